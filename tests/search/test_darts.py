"""DARTS, of first and second order, and DARTS-."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from automtl.operations import Block
from automtl.search.search_run import SearchRun
from automtl.system.progress import ignore
from automtl.system.randomness import seeded
from tests.search.test_search import DARTS, begun, completed

KINDS = {
    "darts": ("darts", DARTS), "second order": ("darts", replace(DARTS, second_order=True)),
    "darts-minus": ("darts-minus", DARTS),
}  # fmt: skip


def copies(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_and_beta_move_on_the_validation_batch_from_the_first_step_and_weights_on_the_training_batch(
    kind: str,
) -> None:
    run = begun(*KINDS[kind])
    supernet = run.state.supernet
    weights, alpha, beta = copies(supernet.network), copies(supernet.logits), copies(supernet.selection)
    run.move_architecture(replace(run.plan(), compares=False))
    assert all(torch.equal(a, b) for a, b in zip(weights, supernet.network.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(alpha, supernet.logits.parameters(), strict=True))
    assert not torch.equal(beta[0], supernet.selection.beta)
    alpha, beta = copies(supernet.logits), copies(supernet.selection)
    run.move_weights(replace(run.plan(), records=False))
    assert all(torch.equal(a, b) for a, b in zip(alpha, supernet.logits.parameters(), strict=True))
    assert torch.equal(beta[0], supernet.selection.beta)


def test_nothing_steadies_the_search_and_the_history_still_tells_all() -> None:
    run = begun("darts", DARTS)
    assert run.schedule.warm_up == 0
    assert not run.procedure.auxiliary_loss
    completed(run)
    history = run.result(0.0).history
    assert history["stopped"] == []
    for record in history["records"]:
        assert record["skips"] >= 0
        assert len(record["alpha"]) == 3
        assert len(record["beta"]) == 3
        assert len(record["gradient_difference"]) == 5


def test_second_order_gives_other_gradients_than_first_and_both_use_the_same_dropped_numbers() -> None:
    first, second = begun("darts", DARTS), begun("darts", replace(DARTS, second_order=True, learning_rate=1.0))
    with seeded(3):
        first.move_architecture(replace(first.plan(), compares=False))
    with seeded(3):
        second.move_architecture(replace(second.plan(), compares=False))
    assert not torch.equal(gradient(first), gradient(second))
    still = begun("darts", replace(DARTS, second_order=True, learning_rate=1e-12))
    with seeded(3):
        still.move_architecture(replace(still.plan(), compares=False))
    torch.testing.assert_close(gradient(still), gradient(first))


def gradient(run: SearchRun) -> torch.Tensor:
    found = run.state.supernet.logits.alpha["interaction"].grad
    assert found is not None
    return found


def test_operations_of_a_second_order_search_are_measured_at_the_weights_one_step_ahead() -> None:
    run = begun("darts", replace(DARTS, second_order=True))
    run.move_weights(replace(run.plan(), records=True))
    run.move_architecture(replace(run.plan(), compares=True))
    assert run.state.stopping.difference().count_nonzero() > 0


def test_the_auxiliary_skip_fades_from_one_to_nothing_whatever_alpha_is() -> None:
    run = begun("darts-minus", DARTS)
    seen = []
    while not run.finished:
        run.advance(ignore)
        seen.append(run.state.supernet.skips[Block.LAYER])
    assert seen[0] == 1
    assert seen[-1] == 0
    steps = [a - b for a, b in pairwise(seen)]
    assert steps == pytest.approx([1 / (len(seen) - 1)] * len(steps))
