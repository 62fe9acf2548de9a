"""Algorithm 1, step by step."""

from __future__ import annotations

import json
import math
import random
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from automtl.errors import SettingsError
from automtl.models.settings import NetworkSettings
from automtl.nn.embedding import FieldEmbedding
from automtl.operations import Block
from automtl.search import STRATEGIES, SearchProblem, SearchSettings, early_stopping, published
from automtl.search.candidates import sample_candidates
from automtl.search.darts import DartsSettings
from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.procedure import Procedure, Schedule
from automtl.search.progressive import ProgressiveSettings
from automtl.search.search_run import SearchRun, diversity
from automtl.search.settings import DifferentiableSettings, RegularizedSettings, SteppedSettings
from automtl.space import SpaceSettings, published_space
from automtl.system.hardware import has_bf16
from automtl.system.progress import ignore
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

SPACE = published_space(SpaceSettings(experts=3, layers=1, keep=2, expert_layers=("skip", "mlp-16", "hidden-gate")), 3)
BUDGET: dict[str, Any] = {"min_steps": 1, "max_steps": 9, "batch_size": 16, "epochs": 3}
SETTINGS = RegularizedSettings(**BUDGET, stop_every=2)
DARTS = DartsSettings(**BUDGET, stop_every=2)
PROGRESSIVE = ProgressiveSettings(
    **BUDGET, stop_every=1, candidates=2, trained_candidates=1, architecture_rest=0.0, prune_at=(0.3, 0.6),
    patience=None,
)  # fmt: skip
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,))
TRAINING = TrainingSettings(epochs=1, batch_size=32)


DIFFERENTIABLE = [name for name, kind in STRATEGIES.members().items() if issubclass(kind, DifferentiableStrategy)]


def begun(name: str, settings: SearchSettings, seed: int = 3, given: SearchProblem | None = None) -> SearchRun:
    strategy = STRATEGIES.find(name)(settings)
    assert isinstance(strategy, DifferentiableStrategy)
    return strategy.begin(given or problem(), seed)


def run_of(settings: DifferentiableSettings, given: SearchProblem | None = None, **rules: Any) -> SearchRun:
    return SearchRun(given or problem(), settings, Procedure.of(settings, **rules), 0)


def small_settings(name: str, **changes: Any) -> Any:
    kind = STRATEGIES.find(name).settings_class()
    known = {field.name for field in fields(kind)}
    budget = {setting: value for setting, value in (BUDGET | {"trainings": 2}).items() if setting in known}
    return kind(**budget, **changes)


def completed(run: SearchRun) -> SearchRun:
    while not run.finished:
        run.advance(ignore)
    return run


def mlp(run: SearchRun) -> int:
    """Which watched candidate is the MLP of the first layer."""
    return next(
        i
        for i, one in enumerate(run.state.stopping.operations)
        if (one.choice, str(one.operation)) == ("layer_1", "mlp-16")
    )


def problem() -> SearchProblem:
    return SearchProblem(SPACE, small_layout(), small_batch(64), small_batch(48, seed=1), NETWORK, TRAINING)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_deterministic_and_stays_in_the_space(name: str) -> None:
    strategy = STRATEGIES.find(name)(small_settings(name))
    first, second = (strategy.search(problem(), 4, ignore) for _ in range(2))
    assert first.architecture == second.architecture
    assert first.history == second.history
    assert SPACE.narrow(first.architecture).sample(random.Random(0)) == first.architecture


def test_diversity_is_subtracted_so_it_pushes_equal_distributions_apart() -> None:
    beta = (torch.randn(4, 8, generator=torch.Generator().manual_seed(0)) * 1e-3).requires_grad_()
    optimizer = torch.optim.SGD([beta], lr=1.0)
    before = diversity(beta.softmax(1))
    for _ in range(20):
        optimizer.zero_grad()
        (-0.1 * diversity(beta.softmax(1))).backward()
        optimizer.step()
    assert diversity(beta.softmax(1)) > 2 * before


def test_diversity_has_a_finite_gradient_at_equal_distributions_and_the_papers_value() -> None:
    equal = torch.full((3, 4), 0.25, requires_grad=True)
    diversity(equal).backward()
    assert equal.grad is not None
    assert torch.isfinite(equal.grad).all()
    apart = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(diversity(apart)) == pytest.approx(float(torch.log1p(torch.tensor(2.0).sqrt())), abs=1e-6)


def test_the_auxiliary_weight_is_constant_in_the_warm_up_and_ends_at_zero() -> None:
    schedule = Schedule(Procedure(warm_up=1 / 3, auxiliary_loss=True, auxiliary_weight=0.1), SETTINGS, 9, 0)
    weights = [schedule.plan(step, {"pooling": 3}).auxiliary_weight for step in range(10)]
    assert weights[:4] == [0.1] * 4
    assert weights[9] == 0
    assert all(a > b for a, b in pairwise(weights[3:]))


def test_beta_rests_in_the_warm_up_and_moves_after_it() -> None:
    run = run_of(SETTINGS)
    beta = run.state.supernet.selection.beta
    start = beta.detach().clone()
    for _ in range(run.schedule.warm_up):
        run.advance(ignore)
        assert torch.equal(beta, start)
    run.advance(ignore)
    assert not torch.equal(beta, start)


def test_the_architecture_step_moves_alpha_alone_and_the_weight_step_does_not_move_alpha() -> None:
    run = run_of(SETTINGS)
    supernet = run.state.supernet
    weights = [p.detach().clone() for p in supernet.network.parameters()]
    alpha = [p.detach().clone() for p in supernet.logits.parameters()]
    run.move_architecture(replace(run.plan(), compares=False))
    assert all(torch.equal(a, b) for a, b in zip(weights, supernet.network.parameters(), strict=True))
    moved = [p.detach().clone() for p in supernet.logits.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(alpha, moved, strict=True))
    run.move_weights(replace(run.plan(), records=True))
    assert all(torch.equal(a, b) for a, b in zip(moved, supernet.logits.parameters(), strict=True))


def test_gradient_differences_equal_a_plain_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_stopping, "SMOOTHING", 1)
    run = run_of(SETTINGS)
    state = run.state
    run.move_weights(replace(run.plan(), records=True))
    index = mlp(run)
    candidate, stopping = state.stopping.operations[index], state.stopping
    train = stopping.recorded[index].clone()
    run.move_architecture(replace(run.plan(), compares=True))
    for copy in range(3):
        b = torch.cat([p.grad[copy].flatten() for p in candidate.parameters if p.grad is not None])
        cosine = torch.nn.functional.cosine_similarity(train[copy], b, dim=0)
        torch.testing.assert_close(stopping.difference()[stopping.rows[index]][copy], 1 - cosine, rtol=1e-4, atol=1e-5)
    assert torch.equal(stopping.recorded[index], train)


@pytest.mark.parametrize("copies", [[1], [0, 1, 2]])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_stopped_operation_does_not_move_but_its_alpha_does(optimizer: str, copies: list[int]) -> None:
    run = run_of(replace(SETTINGS, optimizer=optimizer, weight_decay=0.1))  # type: ignore[arg-type]
    for _ in range(3):
        run.advance(ignore)
    stopping, index = run.state.stopping, mlp(run)
    stopping.stopped_at[stopping.rows[index]][copies] = 3
    stopping.load(stopping.tensors())
    parameters = stopping.operations[index].parameters
    before = [parameter.detach().clone() for parameter in parameters]
    alpha = run.state.supernet.logits.alpha["layer_1"].detach().clone()
    run.advance(ignore)
    for old, parameter in zip(before, parameters, strict=True):
        assert [torch.equal(old[copy], parameter[copy]) for copy in range(3)] == [copy in copies for copy in range(3)]
    assert (alpha[1] != run.state.supernet.logits.alpha["layer_1"][1]).all()


def test_operations_are_stopped_after_patience_checks_and_small_ones_are_exempt() -> None:
    run = run_of(replace(SETTINGS, stop_threshold=1e-6, stop_patience=2, max_steps=8))
    completed(run)
    stopped = run.result(0.0).history["stopped"]
    assert stopped
    assert min(entry["step"] for entry in stopped) >= 4
    sizes = [sum(p[0].numel() for p in one.parameters) for one in run.state.stopping.operations]
    assert min(sizes) >= 16


def test_without_early_stopping_nothing_stops_but_differences_are_measured() -> None:
    run = run_of(replace(SETTINGS, stop_threshold=1e-6, early_stopping=False))
    completed(run)
    history = run.result(0.0).history
    assert not history["stopped"]
    low, *_, high = history["records"][-1]["gradient_difference"]
    assert low < high


def test_the_published_schedule_is_the_papers() -> None:
    settings = published(RegularizedSettings)
    assert (settings.learning_rate, settings.architecture_learning_rate, settings.optimizer) == (0.01, 1e-3, "sgd")
    assert (settings.stop_threshold, settings.auxiliary_weight, settings.epochs) == (0.5, 0.1, 15)


def test_the_budget_bounds_steps_and_rows() -> None:
    run = run_of(replace(SETTINGS, max_rows=32, max_steps=4))
    assert run.schedule.total == 4
    assert len(run.train.rows) == 32
    long = completed(run_of(replace(SETTINGS, epochs=0.75, max_steps=20, batch_size=2)))
    assert long.state.step == 20
    assert len(long.train.rows) == 54


@pytest.mark.parametrize(("rows", "steps"), [(1000, 200), (60_000, 200), (80_000, 234), (10_000_000, 300)])
def test_small_tables_get_the_least_number_of_steps_and_large_ones_a_sample(rows: int, steps: int) -> None:
    assert steps_of(SteppedSettings(), rows) == pytest.approx(steps, abs=1)


@pytest.mark.parametrize(
    ("max_steps", "epochs"), [(400, 0.75), (600, 0.75), (7, 0.7), (400, 1), (400, 3.5), (100, 1 / 3)]
)
def test_the_most_steps_are_reached_where_there_are_rows_enough(max_steps: int, epochs: float) -> None:
    settings = SteppedSettings(max_steps=max_steps, epochs=epochs, min_steps=1)
    assert steps_of(settings, 1_000_000) == max_steps
    assert settings.num_rows <= math.ceil(max_steps / min(epochs, 1)) * 256


def steps_of(settings: SteppedSettings, rows: int) -> int:
    drawn = min(rows, settings.num_rows)
    return settings.num_steps(max(drawn // settings.batch_size, 1))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_a_pretrained_embedding_is_the_supernets_and_rests(name: str) -> None:
    pretrained = FieldEmbedding(small_layout(), NETWORK.embedding_size, torch.Generator().manual_seed(9))
    run = begun(name, small_settings(name), given=replace(problem(), embedding=pretrained))
    table = run.state.supernet.network.embedding.table
    assert table is not pretrained.table
    completed(run)
    assert torch.equal(run.state.supernet.network.embedding.table, pretrained.table)
    without = run_of(replace(SETTINGS, pretrained_embedding=False), run.problem).state.supernet
    assert not torch.equal(without.network.embedding.table, pretrained.table)


def test_memory_that_does_not_suffice_for_a_step_is_an_error_that_names_the_setting() -> None:
    run = run_of(SETTINGS)

    def refuse(module: torch.nn.Module, given: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes.")

    run.state.supernet.network.register_forward_pre_hook(refuse)
    with pytest.raises(SettingsError, match="a step of the search with 16 rows; set a smaller search.batch_size"):
        run.advance(ignore)


def options(run: SearchRun) -> list[int]:
    return [len(choice.options) for choice in run.state.supernet.space.choices.values()]


def test_a_pass_runs_few_candidates() -> None:
    run = run_of(replace(PROGRESSIVE, early_stopping=False))
    run.advance(ignore)
    layer = [one for one in run.state.stopping.operations if one.choice == "interaction"]
    assert sum(one.parameters[0].grad is not None for one in layer) <= 1


def test_the_supernet_is_pruned_and_its_weights_moments_and_statistics_go_on() -> None:
    run = run_of(PROGRESSIVE, small_choice=0)
    while options(run) == [13, 4, 3]:
        run.advance(ignore)
    assert options(run) == [6, 2, 2]
    state = run.state
    known = {id(p) for group in state.weights.param_groups for p in group["params"]}
    assert known == {id(p) for p in state.supernet.network.parameters()}
    assert {id(p) for p in state.weights.state} <= known
    assert all(state.alpha.state[p]["exp_avg"].shape == p.shape for p in state.supernet.logits.alpha.values())
    completed(run)
    last = run.result(0.0).history["records"][-1]["alpha"]
    assert [len(row) for row in (choice[0] for choice in last.values())] == [13, 4, 3]
    assert all(
        sum(weight > 0 for weight in choice[0]) == left
        for choice, left in zip(last.values(), options(run), strict=True)
    )
    assert options(run)[0] == 1  # the one interaction is decided


def test_pruning_changes_neither_weights_nor_what_the_supernet_computes() -> None:
    supernet = run_of(SETTINGS).state.supernet.eval()
    kept = {"interaction": (1, 7, 12), "pooling": (0, 3), "layer_1": (1, 2)}
    features = small_batch(8).features
    before = supernet(features, kept)
    weights = {id(parameter) for parameter in supernet.network.parameters()}
    supernet.prune(kept)
    torch.testing.assert_close(supernet(features), before)
    assert {id(parameter) for parameter in supernet.network.parameters()} < weights


def test_a_search_ends_early_where_the_architecture_does_not_change() -> None:
    steady = replace(
        PROGRESSIVE, max_steps=60, min_steps=60, patience=2, architecture_learning_rate=1e-9,
        selection_learning_rate=1e-9, prune_at=(0.2,),
    )  # fmt: skip
    run = completed(run_of(steady, small_choice=0))
    assert 12 < run.state.step < 30


def test_within_a_round_every_candidate_has_its_turn() -> None:
    sizes = {"interaction": 13, "pooling": 4}
    drawn = [sample_candidates(sizes, step, 2, 0, 0) for step in range(7)]
    assert {option for choices in drawn if choices for option in choices["interaction"]} == set(range(13))
    assert drawn[3] == sample_candidates(sizes, 3, 2, 0, 0)
    assert sample_candidates(sizes, 3, None, 0, 0) is None


def test_a_choice_of_few_candidates_runs_all_and_is_decided_at_the_end() -> None:
    run = begun("progressive", PROGRESSIVE)
    candidates = run.plan().architecture_candidates
    assert candidates is not None and [len(places) for places in candidates.values()] == [2, 4, 3]
    while options(run)[0] == 13:
        run.advance(ignore)
    assert options(run) == [6, 4, 3]
    assert options(completed(run))[1] < 4


def test_the_progressive_searchs_skip_connection_is_gone_after_the_last_pruning() -> None:
    run = begun("progressive", PROGRESSIVE)
    weights = []
    while not run.finished:
        run.advance(ignore)
        weights.append(run.state.supernet.skips[Block.LAYER])
    last = run.schedule.last_pruning
    assert weights[0] == 1
    assert all(a > b for a, b in pairwise(weights[:last]))
    assert set(weights[last:]) <= {0}


RESUMED: dict[str, tuple[str, SearchSettings]] = {
    "automtl": ("automtl", SETTINGS), "progressive": ("progressive", PROGRESSIVE), "darts": ("darts", DARTS),
    "darts, second order": ("darts", replace(DARTS, second_order=True)), "darts-minus": ("darts-minus", DARTS),
}  # fmt: skip


def test_every_differentiable_strategy_is_resumed() -> None:
    assert {name for name, _ in RESUMED.values()} == set(DIFFERENTIABLE)


@pytest.mark.parametrize("case", RESUMED)
def test_a_search_resumed_from_its_written_state_ends_the_same(case: str) -> None:
    unbroken, first, second = (begun(*RESUMED[case]) for _ in range(3))
    completed(unbroken)
    for _ in range(6):
        first.advance(ignore)
    second.state.restore(first.state.tensors(), json.loads(json.dumps(first.state.to_dict())))
    completed(second)
    for a, b in zip(unbroken.state.supernet.parameters(), second.state.supernet.parameters(), strict=True):
        assert torch.equal(a, b)
    assert unbroken.result(0.0).history == second.result(0.0).history


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no instructions for bf16")
def test_a_search_runs_in_the_precision_of_training() -> None:
    low = replace(problem(), training=replace(TRAINING, precision="bf16"))
    strategy = STRATEGIES.find("progressive")(PROGRESSIVE)
    found = strategy.search(low, 0, ignore)
    assert found.architecture == strategy.search(low, 0, ignore).architecture
    assert all(math.isfinite(record["valid_loss"]) for record in found.history["records"])


def test_alpha_rests_at_first_and_moves_every_second_step_afterwards() -> None:
    run = run_of(replace(PROGRESSIVE, architecture_rest=0.5, max_steps=8, min_steps=8, prune_at=()))
    moved = []
    while not run.finished:
        before = run.state.supernet.logits.alpha["interaction"].detach().clone()
        run.advance(ignore)
        moved.append(not torch.equal(before, run.state.supernet.logits.alpha["interaction"]))
    assert moved == [False] * 4 + [True, False] * 2
