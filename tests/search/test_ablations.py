"""Ablations do what they say, in a real search."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from automtl.search.search_run import SearchRun
from automtl.space import Architecture, SpaceSettings, published_space
from automtl.system.progress import ignore
from tests.search.test_search import SETTINGS, completed, problem
from tests.search.test_search import begun as begun_with

SPACE = SpaceSettings(experts=3, layers=1, keep=2, expert_layers=("skip", "mlp-16", "hidden-gate"))


def begun(space: dict[str, Any] | None = None, search: dict[str, Any] | None = None) -> SearchRun:
    settings = replace(SETTINGS, **(search or {}))
    return begun_with("automtl", settings, 0, replace(problem(), space=_space(space or {})))


def _space(changes: dict[str, Any]) -> Any:
    return published_space(replace(SPACE, **changes), 3)


def finished(run: SearchRun) -> Architecture:
    return completed(run).result(0.0).architecture


def moved(run: SearchRun) -> torch.Tensor:
    """How beta moves in the first step past the warm-up."""
    while run.state.step < run.schedule.warm_up:
        run.advance(ignore)
    before = run.state.supernet.selection.beta.detach().clone()
    run.advance(ignore)
    return run.state.supernet.selection.beta.detach() - before


def test_without_interaction_the_fields_reach_the_experts_as_they_are() -> None:
    run = begun({"interaction": False})
    assert not list(run.state.supernet.network.blocks["interaction"].parameters())
    assert str(*finished(run)["interaction"]) == "skip"


def test_homogeneous_experts_have_one_alpha_and_are_derived_alike() -> None:
    run = begun({"homogeneous": True})
    assert [len(alpha) for alpha in run.state.supernet.logits.alpha.values()] == [1, 1, 1]
    architecture = finished(run)
    assert len({architecture.expert(index) for index in range(architecture.num_experts)}) == 1
    weights = run.state.supernet.network.blocks["layer_1"].parameters()
    assert any(not torch.equal(parameter[0], parameter[1]) for parameter in weights)  # operations alike, weights not


def test_without_selection_gates_weigh_all_experts_in_the_search_and_after_it() -> None:
    run = begun({"selection": False})
    assert run.state.supernet.relax().experts is None
    assert run.state.supernet.network.gate is not None
    assert not moved(run).any()
    assert finished(run).selection == ((0, 1, 2),) * 3


def test_without_the_auxiliary_loss_only_the_task_loss_moves_beta() -> None:
    with_it, without = moved(begun()), moved(begun(search={"auxiliary_loss": False}))
    assert torch.equal(without, moved(begun(search={"auxiliary_weight": 0.0})))
    assert not torch.equal(without, with_it)
    assert without.any()


def test_without_early_stopping_all_else_is_the_same_until_something_would_stop() -> None:
    with_it, without = begun(search={"stop_patience": 99}), begun(search={"early_stopping": False})
    assert finished(with_it) == finished(without)
    assert with_it.state.history == without.state.history
    stopping, free = (
        begun(search={"stop_threshold": 1e-6, "stop_patience": 1, "early_stopping": on}) for on in (True, False)
    )
    finished(stopping)
    finished(free)
    assert stopping.state.history[-1]["stopped"] > 0
    assert free.state.history[-1]["stopped"] == 0
    assert stopping.state.history != free.state.history
