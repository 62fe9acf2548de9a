"""Ensemble selection: weights that are chosen on validation rows, by plain loops and by what they promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import Tensor

from automtl.ensemble.selection import PRIOR, Choice, Selector, select
from automtl.ensemble.settings import SelectionSettings
from automtl.features.batch import Batch
from automtl.tables.schema import TaskKind
from tests.ensemble.test_trees import TASKS, rows

SETTINGS = SelectionSettings()


def noisy(batch: Batch, seed: int, noise: float = 1.0) -> Tensor:
    """Logits that know something of the labels."""
    drawn = torch.randn(batch.labels.shape, generator=torch.Generator().manual_seed(seed))
    return batch.labels * torch.tensor([2.0, 1.0]) + noise * drawn * torch.tensor([1.0, 6.0])


def kinds(*logits: Tensor) -> list[Choice]:
    """Each of a kind of its own."""
    return [Choice(str(place), one) for place, one in enumerate(logits)]


def networks(*logits: Tensor) -> list[Choice]:
    return [Choice("network", one) for one in logits]


def weights(choices: list[Choice], valid: Batch, settings: SelectionSettings = SETTINGS) -> Tensor:
    return select(choices, valid, TASKS, settings)


def penalized(share: np.ndarray, logits: list[np.ndarray], valid: Batch, task: int) -> float:
    """Return the objective that the shares of one task minimize, by scikit-learn's losses, in units of one row."""
    labels, weight, count = valid.labels[:, task].numpy(), valid.weight.numpy(), len(valid)
    mixed = sum(of * part for of, part in zip(share, logits, strict=True))
    divergence = PRIOR / count * float(np.sum(share * np.log(np.maximum(share * len(share), 1e-12))))
    if TASKS[task].kind is TaskKind.BINARY:
        return float(log_loss(labels, 1 / (1 + np.exp(-mixed)), sample_weight=weight)) + divergence
    members = [*logits, sum(logits) / len(logits)]
    least = min(mean_squared_error(labels, part, sample_weight=weight) for part in members)
    return float(mean_squared_error(labels, mixed, sample_weight=weight)) / (2 * least) + divergence


@pytest.mark.parametrize("task", [0, 1])
def test_weights_of_kinds_are_the_best_of_a_plain_loop(task: int) -> None:
    valid = replace(rows(), weight=torch.rand(600, generator=torch.Generator().manual_seed(3)) + 0.1)
    logits = [noisy(valid, seed) for seed in (1, 2, 3)]
    found = weights(kinds(*logits), valid)[:, task].numpy()
    plain = [part[:, task].double().numpy() for part in logits]
    steps = np.linspace(0, 1, 51)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1]
    best = min(penalized(share, plain, valid, task) for share in grid)
    assert found.sum() == pytest.approx(1, abs=1e-6) and (found > 0).all()
    assert penalized(found, plain, valid, task) <= best + 1e-6


def plain_greedy(logits: list[np.ndarray], valid: Batch, steps: int) -> np.ndarray:
    """Greedy selection with replacement, by the losses of scikit-learn, each in units of the best model's."""

    def losses(mixed: np.ndarray) -> np.ndarray:
        labels, weight = valid.labels.numpy(), valid.weight.numpy()
        return np.array([
            log_loss(labels[:, 0], 1 / (1 + np.exp(-mixed[:, 0])), sample_weight=weight),
            mean_squared_error(labels[:, 1], mixed[:, 1], sample_weight=weight),
        ])  # fmt: skip

    least = np.min([losses(one) for one in logits], axis=0)
    counts, total, reached = np.zeros(len(logits)), np.zeros_like(logits[0]), []
    for size in range(1, steps + 1):
        tried = [(losses((total + one) / size) / least).mean() for one in logits]
        chosen = int(np.argmin(tried))
        total, counts[chosen] = total + logits[chosen], counts[chosen] + 1
        reached.append((tried[chosen], counts / size))
    return min(reached, key=lambda one: one[0])[1]


def test_greedy_selection_is_that_of_a_plain_loop() -> None:
    valid = replace(rows(), weight=torch.rand(600, generator=torch.Generator().manual_seed(3)) + 0.1)
    logits = [noisy(valid, seed, noise) for seed, noise in ((1, 1.0), (2, 1.2), (3, 1.4), (4, 3.0))]
    found = Selector(networks(*logits), valid, TASKS, SETTINGS, 0).greedy(range(4))
    expected = plain_greedy([one.double().numpy() for one in logits], valid, SETTINGS.steps)
    assert found.numpy() == pytest.approx(expected) and np.count_nonzero(expected) > 1


def test_networks_share_one_weight_that_each_task_gives_them() -> None:
    valid = rows()
    trees, *some = (noisy(valid, seed) for seed in range(5))
    found = weights([Choice("trees", trees), *networks(*some)], valid)
    shares = found[1:] / found[1:].sum(0)
    torch.testing.assert_close(shares[:, 0], shares[:, 1])
    torch.testing.assert_close(found.sum(0), torch.ones(2))
    assert (found[0] > 0).all() and int((shares[:, 0] > 0).sum()) > 1


def test_an_ensemble_is_better_than_its_best_member() -> None:
    valid, later = rows(), rows(seed=5)
    found = weights(networks(*(noisy(valid, seed) for seed in range(6))), valid)
    mixed = sum(noisy(later, 10 + seed) * weight for seed, weight in enumerate(found))
    assert log_loss(later.labels[:, 0], torch.as_tensor(mixed)[:, 0].sigmoid()) < min(
        log_loss(later.labels[:, 0], noisy(later, 10 + seed)[:, 0].sigmoid()) for seed in range(6)
    )


def test_few_rows_leave_kinds_alike_and_many_do_not() -> None:
    valid = rows()
    good, bad = 4 * valid.labels - 2, torch.zeros_like(valid.labels)
    few = valid.take(slice(0, 4))
    assert 0.5 < weights(kinds(good[:4], bad[:4]), few)[0, 0] < 0.6
    assert weights(kinds(good, bad), valid)[0, 0] > 0.95


def test_a_useless_model_has_no_weight() -> None:
    valid = rows()
    wrong = 20 * (1 - 2 * valid.labels)
    for made in (kinds, networks):
        found = weights(made(noisy(valid, 1), wrong, noisy(valid, 2)), valid)[:, 0]
        assert found[1] == 0 and float(found.sum()) == pytest.approx(1)


def test_a_task_without_validation_rows_is_left_to_one_kind() -> None:
    valid = rows()
    empty = replace(valid, mask=valid.mask * torch.tensor([1.0, 0.0]))
    assert weights(kinds(noisy(valid, 1), noisy(valid, 2)), empty)[:, 1].tolist() == [1, 0]


def test_the_seed_decides_and_the_order_of_kinds_does_not() -> None:
    valid = rows()
    some = networks(*(noisy(valid, seed) for seed in range(5)))
    trees = Choice("trees", noisy(valid, 9))
    first, again = weights([trees, *some], valid), weights([trees, *some], valid)
    assert torch.equal(first, again)
    assert torch.equal(weights([*some, trees], valid), torch.cat([first[1:], first[:1]]))


def costly(valid: Batch) -> list[Choice]:
    """A good model that is slow, two that are quick, and one that is quickest and bad."""
    good, fair, other, bad = noisy(valid, 1, 0.5), noisy(valid, 2), noisy(valid, 3), noisy(valid, 4, 4.0)
    return [
        Choice("a", good, 5e-3, 900), Choice("b", fair, 1e-3, 100), Choice("b", other, 1e-3, 100),
        Choice("c", bad, 1e-4, 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bounds", "allowed"),
    [({"max_latency": "3ms"}, {1, 2, 3}), ({"max_parameters": 150}, {1, 2, 3}), ({"max_latency": "6ms"}, {0, 1, 2, 3})],
)
def test_selected_models_keep_to_the_bounds_together(bounds: dict[str, str | int], allowed: set[int]) -> None:
    valid, settings = rows(), SelectionSettings(**bounds)  # type: ignore[arg-type]
    choices = costly(valid)
    chosen = [place for place, weight in enumerate(weights(choices, valid, settings)) if weight.any()]
    assert set(chosen) <= allowed and chosen
    assert sum(choices[place].latency for place in chosen) <= (settings.max_latency or 1)
    assert sum(choices[place].parameters for place in chosen) <= (settings.max_parameters or 10_000)


def test_where_no_model_keeps_to_the_bounds_the_cheapest_is_taken() -> None:
    valid = rows()
    found = weights(costly(valid), valid, SelectionSettings(max_latency="1us"))  # type: ignore[arg-type]
    assert found[3].tolist() == [1, 1] and float(found[:3].sum()) == 0


def test_networks_that_save_next_to_nothing_are_left_out_and_no_others() -> None:
    valid = rows()
    choices = networks(noisy(valid, 1, 0.5), noisy(valid, 2, 0.5), noisy(valid, 3, 1.0))
    every = weights(choices, valid, SelectionSettings(worth=0))
    few = weights(choices, valid, SelectionSettings(worth=0.1))
    judge = Selector(choices, valid, TASKS, SETTINGS, 0)
    losses = [float(judge.total(mixed(choices, found))) for found in (every, few)]
    assert (every > 0).all()
    assert (few[:2] > 0).all() and not few[2].any() and torch.allclose(few.sum(0), torch.ones(len(TASKS)))
    assert losses[1] <= losses[0] * 1.1


def test_what_is_worthwhile_is_that_of_a_plain_loop() -> None:
    valid, generator = rows(), torch.Generator().manual_seed(5)
    choices = networks(*(noisy(valid, seed, 0.5 if seed < 3 else 1.5) for seed in range(6)))
    drawn, worth = torch.rand(len(choices), generator=generator), 3e-3
    given = drawn / drawn.sum()
    selector = Selector(choices, valid, TASKS, SelectionSettings(worth=worth), 0)

    def loss(places: list[int]) -> float:
        left = torch.zeros(len(choices), 1)
        left[places, 0] = given[places] / given[places].sum()
        return float(selector.total(mixed(choices, left.expand(-1, len(TASKS)))))

    kept = list(range(len(choices)))
    met = loss(kept)
    while len(kept) > 1:
        tried = {one: loss([place for place in kept if place != one]) for one in kept}
        least = min(tried, key=lambda one: tried[one])
        if tried[least] > met * (1 + worth):
            break
        met = min(met, tried[least])
        kept.remove(least)
    assert 1 < len(kept) < len(choices)
    found = selector.worthwhile(given.unsqueeze(0), torch.ones(1, len(TASKS)))
    assert found[0].nonzero().squeeze(1).tolist() == kept


def mixed(choices: list[Choice], found: Tensor) -> Tensor:
    """Logits of a mixture."""
    return torch.stack([one.logits * weight for one, weight in zip(choices, found, strict=True)]).sum(0)
