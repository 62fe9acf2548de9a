"""What every candidate operation must obey. F fields, D embedding, H width, S experts, B rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from automtl.models.block import MixedBlock, check_pruned
from automtl.models.cost import multiply_adds
from automtl.nn.interaction import CROSS_RANK
from automtl.nn.shape import BlockShape
from automtl.operations import OPERATIONS, Block, Operation, operation
from automtl.space.presets import INTERACTIONS, LAYERS, POOLINGS

BY_BLOCK = {Block.INTERACTION: INTERACTIONS, Block.POOLING: POOLINGS, Block.LAYER: LAYERS}
CASES = [(block, operation(text)) for block, texts in BY_BLOCK.items() for text in texts]
SHAPE = BlockShape(fields=5, dim=8, width=12)


def made(block: Block, options: list[Operation], shape: BlockShape = SHAPE, seed: int = 0) -> MixedBlock:
    stack = 1 if block is Block.INTERACTION else 3
    wide = MixedBlock(tuple(options), stack, shape, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    return wide


def inputs(block: Block, shape: BlockShape = SHAPE, rows: int = 4) -> Tensor:
    size = (3, rows, shape.width) if block is Block.LAYER else (rows, shape.fields, shape.dim)
    return torch.randn(*size, generator=torch.Generator().manual_seed(3))


def all_options(block: Block) -> list[Operation]:
    return [operation(text) for text in BY_BLOCK[block]]


def test_every_registered_operation_is_in_the_published_space() -> None:
    assert {type(option) for _, option in CASES} == set(OPERATIONS.members().values())


@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_one_hot_mixture_is_the_single_operation(block: Block, option: Operation) -> None:
    options = all_options(block)
    wide, single = made(block, options), made(block, [option], seed=5)
    single.copy_from(wide)
    x, one_hot = inputs(block), torch.zeros(wide.stack, len(options))
    one_hot[:, options.index(option)] = 1
    torch.testing.assert_close(wide(x, one_hot), single(x, torch.ones(single.stack, 1)))


@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_the_short_way_of_a_single_candidate_is_that_of_weight_one_gradients_included(
    block: Block, option: Operation
) -> None:
    wide, x, place = made(block, all_options(block)), inputs(block).requires_grad_(), all_options(block).index(option)
    short, full = wide(x, None, (place,)), wide(x, torch.ones(wide.stack, 1), (place,))
    torch.testing.assert_close(short, full)
    probe = torch.randn(full.shape, generator=torch.Generator().manual_seed(9))
    wanted = [x, *(p for p in wide.parameters())]
    ways = [torch.autograd.grad((out * probe).sum(), wanted, allow_unused=True) for out in (short, full)]
    for a, b in zip(*ways, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", list(Block))
def test_a_mixture_is_linear_in_its_weights(block: Block) -> None:
    wide, x = made(block, all_options(block)), inputs(block)
    first, second = torch.rand(2, wide.stack, len(wide.options))
    together = wide(x, 2 * first - 3 * second)
    torch.testing.assert_close(together, 2 * wide(x, first) - 3 * wide(x, second), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", [Block.POOLING, Block.LAYER])
def test_experts_do_not_mix(block: Block) -> None:
    wide, x = made(block, all_options(block)), inputs(block)
    weights = torch.rand(3, len(wide.options))
    before = wide(x, weights)
    with torch.no_grad():
        for parameter in wide.parameters():
            parameter[1] += 1
    after = wide(x, weights)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("block", list(Block))
def test_the_fused_form_equals_a_plain_loop_gradients_included(block: Block) -> None:
    """Each candidate runs alone, with the parameters of its own, and the outputs are summed by weight."""
    options = all_options(block)
    wide, x = made(block, options), inputs(block).requires_grad_()
    weights = torch.rand(wide.stack, len(options)).requires_grad_()
    total = torch.zeros(())
    for index, option in enumerate(options):
        single = made(block, [option], seed=index + 20)
        single.copy_from(wide)
        total = total + single(x, torch.ones(wide.stack, 1)) * weights[:, index].reshape(-1, 1, 1)
    torch.testing.assert_close(wide(x, weights), total, rtol=1e-4, atol=1e-5)
    probe = torch.randn(total.shape, generator=torch.Generator().manual_seed(9))
    fused = torch.autograd.grad((wide(x, weights) * probe).sum(), [x, weights])
    plain = torch.autograd.grad((total * probe).sum(), [x, weights])
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", list(Block))
@pytest.mark.parametrize(("fields", "dim"), [(2, 4), (2, 128), (17, 16), (79, 4), (79, 64)])
def test_shapes(block: Block, fields: int, dim: int) -> None:
    shape = BlockShape(fields, dim, 16)
    wide = made(block, all_options(block), shape)
    out = wide(inputs(block, shape, rows=2), torch.full((wide.stack, len(wide.options)), 1 / len(wide.options)))
    assert out.shape == ((2, fields, dim) if block is Block.INTERACTION else (3, 2, 16))
    assert torch.isfinite(out).all()


@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_parameters_of_a_candidate_alone_decide_its_output(block: Block, option: Operation) -> None:
    """Moving what belongs to other candidates changes nothing under one-hot weights."""
    options = all_options(block)
    wide, x, one_hot = made(block, options), inputs(block), torch.zeros(1, len(options))
    one_hot[0, options.index(option)] = 1
    one_hot = one_hot.expand(wide.stack, -1)
    before = wide(x, one_hot)
    with torch.no_grad():
        for place, other in enumerate(options):
            for parameter in wide.parameters_of(place) if other != option else ():
                parameter.add_(1.0)
    torch.testing.assert_close(wide(x, one_hot), before)


@pytest.mark.parametrize("block", list(Block))
def test_every_parameter_is_one_candidates_or_shared_by_its_family(block: Block) -> None:
    wide = made(block, all_options(block))
    owned = [id(parameter) for place in wide.candidates for parameter in wide.parameters_of(place)]
    shared = {id(parameter) for mixture, _ in wide.candidates.values() for parameter in mixture.shared_parameters()}
    assert len(set(owned)) == len(owned)
    assert not shared & set(owned)
    assert shared | set(owned) == {id(parameter) for parameter in wide.parameters()}


@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_giving_up_other_candidates_changes_nothing(block: Block, option: Operation) -> None:
    """The very parameters are held by the narrower block: alone, and beside the neighbour in the list."""
    options, x = all_options(block), inputs(block)
    place = options.index(option)
    for kept in [(place,), tuple(sorted({place, (place + 1) % len(options)}))]:
        wide, narrow = made(block, options), made(block, [options[index] for index in kept], seed=6)
        narrow.reuse(wide)
        check_pruned(wide, narrow, x, kept)
        weights = torch.rand(wide.stack, len(kept))
        torch.testing.assert_close(narrow(x, weights), wide(x, weights, kept), rtol=1e-4, atol=1e-5)
        assert set(map(id, narrow.parameters())) <= set(map(id, wide.parameters()))


@pytest.mark.parametrize("block", list(Block))
def test_candidates_that_are_not_active_weigh_nothing_and_get_no_gradient(block: Block) -> None:
    options = all_options(block)
    wide, x = made(block, options), inputs(block)
    for active in [(1, len(options) - 1), (0, 2, 3), (2,)]:
        weights = torch.zeros(wide.stack, len(options))
        weights[:, list(active)] = some = torch.rand(wide.stack, len(active))
        out = wide(x, some, active)
        torch.testing.assert_close(out, wide(x, weights), rtol=1e-4, atol=1e-5)
        wide.zero_grad()
        out.sum().backward()
        for place in range(len(options)):
            assert all((p.grad is not None) == (place in active) for p in wide.parameters_of(place))


@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_text_and_value_are_inverse(block: Block, option: Operation) -> None:
    assert operation(str(option)) == option


@pytest.mark.parametrize("shape", [BlockShape(7, 8, 12), BlockShape(3, 16, 16), BlockShape(150, 4, 8)], ids=str)
@pytest.mark.parametrize(("block", "option"), CASES, ids=str)
def test_multiply_adds_are_those_of_the_formulas(block: Block, option: Operation, shape: BlockShape) -> None:
    fields, dim, width = shape.fields, shape.dim, shape.width
    number = option.numbers[0] if option.numbers else 0
    mapped = 0 if dim == width else dim * width
    size = number * max(1, dim // number) if number else 0  # of all heads
    expected = {
        "skip": 0, "inner-product": 2 * fields**2 * dim, "outer-product": fields * dim + dim**2,
        "bit-gate": fields * dim**2, "vector-gate": 0, "cross": number * 2 * fields * dim * CROSS_RANK,
        "attention": fields * dim * (4 * size + dim) + 2 * fields**2 * size,
        "sum": mapped, "average": mapped, "attentive": mapped + fields * (dim**2 + 2 * dim),
        "linear": fields * dim * width, "hidden-gate": width**2, "mlp": 2 * width * number, "conv": width**2,
    }  # fmt: skip
    stacked = made(block, [option], shape)
    assert multiply_adds(stacked, block, shape, 0) == expected[OPERATIONS.name_of(type(option))]
