"""Laws of candidate operations. F fields, D embedding, H width, S stacked experts, B rows, K candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial

import torch
from torch import Tensor
from torch.testing import assert_close

from automtl.models.block import MixedBlock, example_inputs
from automtl.nn.shape import BlockShape
from automtl.operations import Block, Operation, operation

SHAPE = BlockShape(fields=5, dim=8, width=12)
SHAPES = (SHAPE, BlockShape(2, 4, 16), BlockShape(17, 16, 16), BlockShape(79, 4, 16))
BESIDE = {  # candidates that stand beside the tested one
    Block.INTERACTION: ("skip", "bit-gate", "cross-2"),
    Block.POOLING: ("sum", "attentive", "linear"),
    Block.LAYER: ("skip", "hidden-gate", "mlp-16", "conv-3"),
}
close = partial(assert_close, rtol=1e-4, atol=1e-4)


def make_block(block: Block, options: list[Operation], shape: BlockShape = SHAPE, seed: int = 0) -> MixedBlock:
    """Mix these options in one block, with no parameter at a value that hides a mistake, such as 0."""
    stack = 1 if block is Block.INTERACTION else 3
    made = MixedBlock(tuple(options), stack, shape, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    return made.eval()


def make_inputs(block: Block, shape: BlockShape = SHAPE, rows: int = 4) -> Tensor:
    """Draw inputs of a block, the same at every call: (S, B, H) of layers, (B, F, D) of other blocks."""
    return example_inputs(block, shape, 3, rows)


def settings_of(tested: Operation) -> Iterator[tuple[Block, list[Operation]]]:
    """Yield each block where the operation may stand, and options: others, and one of its family if it has a number."""
    family = [replace(tested, **{one.name: getattr(tested, one.name) + 2}) for one in fields(tested)]  # kernels are odd
    for block in tested.blocks:
        first, *others = [one for one in map(operation, BESIDE[block]) if one not in (tested, *family)]
        yield block, [first, tested, *others, *family]


def text_and_value_are_inverse(tested: Operation) -> None:
    """The text of an operation names it."""
    assert operation(str(tested)) == tested


def it_keeps_the_shapes_of_its_block(tested: Operation) -> None:
    """Outputs are finite and of the block's shape, whatever the number of fields and the sizes."""
    for block in tested.blocks:
        for shape in SHAPES:
            made = make_block(block, [tested], shape)
            out = made(make_inputs(block, shape, rows=2), torch.ones(made.stack, 1))
            wanted = (2, shape.fields, shape.dim) if block is Block.INTERACTION else (3, 2, shape.width)
            assert out.shape == wanted, f"{tested}: expected {wanted}, found {tuple(out.shape)}"
            assert out.isfinite().all(), f"{tested}: outputs are not finite"


def a_one_hot_mixture_is_the_single_operation(tested: Operation) -> None:
    """A supernet whose weights name one candidate gives what the derived model with its parameters gives."""
    for block, options in settings_of(tested):
        wide, single = make_block(block, options), make_block(block, [tested], seed=5)
        single.copy_from(wide)
        x, one_hot = make_inputs(block), torch.zeros(wide.stack, len(options))
        one_hot[:, options.index(tested)] = 1
        close(wide(x, one_hot), single(x, torch.ones(wide.stack, 1)))


def the_short_way_of_a_single_candidate_is_that_of_weight_one(tested: Operation) -> None:
    """The method `Mixture.single` gives what `forward` gives by weight 1, gradients included."""
    for block, options in settings_of(tested):
        wide, x, place = make_block(block, options), make_inputs(block).requires_grad_(), options.index(tested)
        short, full = wide(x, None, (place,)), wide(x, torch.ones(wide.stack, 1), (place,))
        close(short, full)
        probe = torch.randn(full.shape, generator=torch.Generator().manual_seed(9))
        wanted = [x, *wide.parameters()]
        ways = [torch.autograd.grad((out * probe).sum(), wanted, allow_unused=True) for out in (short, full)]
        for one, other in zip(*ways, strict=True):
            assert (one is None) == (other is None), f"{tested}: a parameter has a gradient on one way alone"
            if one is not None:
                close(one, other)


def a_mixture_is_linear_in_its_weights(tested: Operation) -> None:
    """The weights of candidates enter their sum and nothing else."""
    for block, options in settings_of(tested):
        wide, x = make_block(block, options), make_inputs(block)
        first, second = torch.rand(2, wide.stack, len(options), generator=torch.Generator().manual_seed(1))
        close(wide(x, 2 * first - 3 * second), 2 * wide(x, first) - 3 * wide(x, second))


def a_family_equals_a_plain_loop_over_its_candidates(tested: Operation) -> None:
    """The block's output and gradients are those of candidates that run alone and are summed by weight."""
    for block, options in settings_of(tested):
        wide, x = make_block(block, options), make_inputs(block).requires_grad_()
        weights = torch.rand(wide.stack, len(options), generator=torch.Generator().manual_seed(2)).requires_grad_()
        total = torch.zeros(())
        for place, option in enumerate(options):
            single = make_block(block, [option], seed=place + 20)
            single.copy_from(wide)
            total = total + single(x, torch.ones(wide.stack, 1)) * weights[:, place].reshape(-1, 1, 1)
        close(wide(x, weights), total)
        probe = torch.randn(total.shape, generator=torch.Generator().manual_seed(9))
        fused = torch.autograd.grad((wide(x, weights) * probe).sum(), [x, weights])
        plain = torch.autograd.grad((total * probe).sum(), [x, weights])
        for one, other in zip(fused, plain, strict=True):
            assert_close(one, other, rtol=1e-3, atol=1e-4)


def stacked_experts_do_not_mix(tested: Operation) -> None:
    """The parameters of one expert change its own output alone."""
    for block in set(tested.blocks) - {Block.INTERACTION}:
        made, x = make_block(block, [tested]), make_inputs(block)
        before = made(x, torch.ones(made.stack, 1))
        with torch.no_grad():
            for parameter in made.parameters_of(0):
                parameter[1] += 1
        assert_close(made(x, torch.ones(made.stack, 1))[[0, 2]], before[[0, 2]])


def its_parameters_alone_decide_its_output(tested: Operation) -> None:
    """Moving what belongs to other candidates changes nothing under one-hot weights."""
    for block, options in settings_of(tested):
        wide, x, one_hot = make_block(block, options), make_inputs(block), torch.zeros(1, len(options))
        one_hot[0, options.index(tested)] = 1
        one_hot = one_hot.expand(wide.stack, -1)
        before = wide(x, one_hot)
        with torch.no_grad():
            for place, other in enumerate(options):
                for parameter in wide.parameters_of(place) if other != tested else ():
                    parameter.add_(1.0)
        assert_close(wide(x, one_hot), before)


def giving_up_other_candidates_changes_nothing(tested: Operation) -> None:
    """A narrower block that holds the very parameters gives the same outputs."""
    for block, options in settings_of(tested):
        place, x = options.index(tested), make_inputs(block)
        for kept in [(place,), tuple(sorted({place, (place + 1) % len(options)}))]:
            wide, narrow = make_block(block, options), make_block(block, [options[one] for one in kept], seed=6)
            narrow.reuse(wide)
            weights = torch.rand(wide.stack, len(kept), generator=torch.Generator().manual_seed(3))
            close(narrow(x, weights), wide(x, weights, kept))
            assert set(map(id, narrow.parameters())) <= set(map(id, wide.parameters()))


def a_candidate_that_is_not_active_gets_no_gradient(tested: Operation) -> None:
    """A pass that leaves a candidate out neither weighs nor moves it."""
    for block, options in settings_of(tested):
        wide, place = make_block(block, options), options.index(tested)
        active = tuple(other for other in range(len(options)) if other != place)
        wide(make_inputs(block), torch.rand(wide.stack, len(active)), active).sum().backward()
        assert all(parameter.grad is None for parameter in wide.parameters_of(place))


OPERATION_LAWS = (
    text_and_value_are_inverse,
    it_keeps_the_shapes_of_its_block,
    a_one_hot_mixture_is_the_single_operation,
    the_short_way_of_a_single_candidate_is_that_of_weight_one,
    a_mixture_is_linear_in_its_weights,
    a_family_equals_a_plain_loop_over_its_candidates,
    stacked_experts_do_not_mix,
    its_parameters_alone_decide_its_output,
    giving_up_other_candidates_changes_nothing,
    a_candidate_that_is_not_active_gets_no_gradient,
)
