"""Events as two fields, against plain loops over rows and events."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from automtl.features.batch import Features
from automtl.features.layout import AspectLayout, CategoricalLayout, Layout, SequenceLayout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.event_sequence import SelfAttention
from automtl.nn.lists import TargetAttention
from automtl.tables.schema import Task

DIM, COUNTS = 3, (0, 1, 3, 4)  # events of each row
ASPECTS = (
    AspectLayout("item", 0, "item"),
    AspectLayout("like", 3),
    AspectLayout("tab", 0, "tab"),
    AspectLayout("age", 5),
)
FIELDS = CategoricalLayout("user", 4), CategoricalLayout("tab", 3), CategoricalLayout("item", 6)
LAYOUT = Layout(FIELDS, (), (), (Task("y"),), (SequenceLayout("seen", ASPECTS, 3),))  # fewer places than events
SIZES = {"item": 6, "like": 3, "tab": 3, "age": 5}


def rows() -> Features:
    generator = torch.Generator().manual_seed(0)
    given = torch.arange(4) < torch.tensor(COUNTS).unsqueeze(1)
    lists = [torch.randint(0, size, (4, 4), generator=generator) for size in SIZES.values()]
    lists[-1].clamp_(min=1)
    fields = torch.stack([torch.randint(0, field.size, (4,), generator=generator) for field in FIELDS], dim=1)
    return Features(fields, tuple(ids * given for ids in lists), torch.zeros(4, 0))


def embedding(seed: int = 0, layout: Layout = LAYOUT) -> FieldEmbedding:
    """An embedding whose parameters are large enough to tell."""
    module = FieldEmbedding(layout, DIM, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + index)))
    return module


def two_fields(module: FieldEmbedding, features: Features) -> Tensor:
    out = module(features)
    assert out.shape == (len(features.categorical), 5, DIM)
    return out[:, 3:]  # type: ignore[no-any-return]


def by_loops(module: FieldEmbedding, features: Features) -> Tensor:
    """The definition, row by row and event by event."""
    return torch.stack([torch.stack(one_row(module, features, row)) for row in range(len(COUNTS))])


def one_row(module: FieldEmbedding, features: Features, row: int) -> list[Tensor]:
    table, (_, tab, item), (sequence,) = module.table, features.categorical[row].tolist(), module.sequences
    events = []
    for ids in zip(*(each[row, : COUNTS[row]].tolist() for each in features.multi), strict=True):
        events.append(long(table[7 + ids[0]] + table[13 + ids[1]] + table[4 + ids[2]] + table[16 + ids[3]]))
    if not events:
        return [torch.zeros(DIM), torch.zeros(DIM)]
    target, lists = long(table[7 + item] + table[4 + tab]), [ids[row, : COUNTS[row]].tolist() for ids in features.multi]
    same = [[float(i == item > 1), float(t == tab > 1)] for i, t in zip(lists[0], lists[2], strict=True)]
    fields = attended(sequence.target_attention, events, target, same), state(sequence.self_attention, events)  # type: ignore[union-attr, arg-type]
    return [0.3 * field for field in fields]


def long(vector: Tensor) -> Tensor:
    """A vector of mean 0 and variance 1."""
    apart = vector - vector.mean()
    return apart / (apart.square().mean() + 1e-5).sqrt()


def attended(part: TargetAttention, events: list[Tensor], target: Tensor, same: list[list[float]]) -> Tensor:
    scores = []
    for at, event in enumerate(events):
        key = event + part.place[min(len(events) - 1 - at, 2)]
        hidden = key @ part.of_value + target @ part.of_target + (key * target) @ part.of_product + part.bias
        hidden = hidden + torch.tensor(same[at]) @ part.of_same  # type: ignore[operator]
        scores.append(hidden.relu() @ part.score)
    return sum(share * event for share, event in zip(torch.stack(scores).softmax(0), events, strict=True))  # type: ignore[return-value]


def state(part: SelfAttention, events: list[Tensor]) -> Tensor:
    placed = [event + part.place[min(len(events) - 1 - at, 2)] for at, event in enumerate(events)]
    asked = placed[-1] @ part.query
    share = torch.stack([asked @ (one @ part.key) / DIM**0.5 for one in placed]).softmax(0)
    heard = sum(weight * (event @ part.value) for weight, event in zip(share, events, strict=True))
    return events[-1] + heard


def test_they_are_what_loops_over_rows_and_events_give_with_their_gradients() -> None:
    fused, plain, features = embedding(), embedding(), rows()
    outs = two_fields(fused, features), by_loops(plain, features)
    torch.testing.assert_close(*outs)
    above = torch.randn(4, 2, DIM, generator=torch.Generator().manual_seed(5))
    for out in outs:
        (out * above).sum().backward()
    compared = [(mine, other) for mine, other in zip(fused.parameters(), plain.parameters()) if other.grad is not None]
    assert len(compared) == 1 + 7 + 4  # the table, target attention, self-attention
    for mine, other in compared:
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_row_without_events_is_exactly_zero_and_has_finite_gradients() -> None:
    module, features = embedding(), rows()
    out = two_fields(module, features)
    assert not out[0].any() and out[1:].any(dim=2).all()
    out.sum().backward()
    assert all(one.grad is None or one.grad.isfinite().all() for one in module.parameters())
    none = Features(features.categorical, tuple(torch.zeros_like(ids) for ids in features.multi), features.numeric)
    assert not two_fields(module, none).any()


def test_padding_tells_nothing_wherever_it_is() -> None:
    module, features = embedding(), rows()
    out = two_fields(module, features)
    for before, after in ((0, 3), (3, 0), (2, 1)):
        longer = tuple(torch.nn.functional.pad(ids, (before, after)) for ids in features.multi)
        torch.testing.assert_close(two_fields(module, replace(features, multi=longer)), out)
    given = features.multi[-1] > 0
    other = tuple(torch.where(given, ids, 1) for ids in features.multi[:-1])
    torch.testing.assert_close(two_fields(module, replace(features, multi=(*other, features.multi[-1]))), out)


def test_the_order_of_events_matters() -> None:
    module, features = embedding(), rows()
    last = features.take(slice(3, 4))
    turned = replace(last, multi=tuple(ids.flip(1) for ids in last.multi))
    assert not torch.allclose(two_fields(module, turned)[0], two_fields(module, features)[3])


def test_two_sequences_read_their_own_lists() -> None:
    short = SequenceLayout("short", ASPECTS[-2:], 3)
    both = embedding(layout=replace(LAYOUT, sequences=(*LAYOUT.sequences, short)))
    features = rows()
    lists = (*features.multi, *(ids.flip(0) for ids in features.multi[2:]))
    out = both(replace(features, multi=lists))
    assert out.shape == (4, 3 + 4, DIM)
    without = both(replace(features, multi=(*features.multi, *(torch.zeros_like(ids) for ids in features.multi[2:]))))
    assert torch.equal(out[:, 3:5], without[:, 3:5]) and not without[:, 5:].any() and out[:3, 5:].any()


def test_the_gradient_by_rows_is_the_tables() -> None:
    found = []
    for row_wise in (False, True):
        module = embedding()
        module.row_wise = row_wise
        two_fields(module, rows()).square().sum().backward()
        assert module.table.grad is not None
        found.append(module.table.grad.to_dense())
    torch.testing.assert_close(found[0], found[1])


def test_what_is_saved_is_all_there_is() -> None:
    module, other = embedding(), embedding(seed=50)
    other.load_state_dict(module.state_dict())
    assert torch.equal(two_fields(module, rows()), two_fields(other, rows()))
