"""What every candidate operation must obey. F fields, D embedding, H width, S experts, B rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automtl.models.cost import multiply_adds
from automtl.nn.interaction import CROSS_RANK
from automtl.nn.shape import BlockShape
from automtl.operations import OPERATIONS, Block, Operation, operation
from automtl.space.presets import PRESETS
from automtl.testing import OPERATION_LAWS
from automtl.testing.operations import make_block

BY_BLOCK = {
    Block.INTERACTION: [text for preset in PRESETS.values() for text in preset.interactions],
    Block.POOLING: [text for preset in PRESETS.values() for text in preset.poolings],
    Block.LAYER: [text for preset in PRESETS.values() for text in preset.layers],
}
BY_BLOCK = {block: list(dict.fromkeys(texts)) for block, texts in BY_BLOCK.items()}
CASES = [(block, operation(text)) for block, texts in BY_BLOCK.items() for text in texts]


def test_every_registered_operation_is_in_a_preset() -> None:
    assert {type(option) for _, option in CASES} == set(OPERATIONS.members().values())


@pytest.mark.parametrize("law", OPERATION_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("option", dict.fromkeys(option for _, option in CASES), ids=str)
def test_it_keeps_the_law(option: Operation, law: Callable[[Operation], None]) -> None:
    law(option)


@pytest.mark.parametrize("block", list(Block))
def test_every_parameter_is_one_candidates_or_shared_by_its_family(block: Block) -> None:
    wide = make_block(block, [operation(text) for text in BY_BLOCK[block]])
    owned = [id(parameter) for place in wide.candidates for parameter in wide.parameters_of(place)]
    shared = {id(parameter) for mixture, _ in wide.candidates.values() for parameter in mixture.shared_parameters()}
    assert len(set(owned)) == len(owned)
    assert not shared & set(owned)
    assert shared | set(owned) == {id(parameter) for parameter in wide.parameters()}


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
        "linear": fields * dim * width, "hidden-gate": width**2,
        "scaled-inner-product": 2 * fields**2 * dim,
        "multi-head": fields * dim * (dim + 2 * number) + number * dim * width,
        "bilinear": fields * dim**2 / 3 + dim**2 * width,  # one sum of pairs for the three experts
        "glu": 3 * width * number, "mlp": 2 * width * number, "conv": width**2,
    }  # fmt: skip
    stacked = make_block(block, [option], shape)
    assert multiply_adds(stacked, block, shape, 0) == expected[OPERATIONS.name_of(type(option))]
