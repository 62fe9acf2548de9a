"""What every published model obeys, and what is known of the parts that make each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from automtl.cli import app
from automtl.config import make_settings
from automtl.errors import SettingsError
from automtl.experiment import ColumnRoles, fit_table
from automtl.features.layout import Layout
from automtl.models.baselines import BASELINES
from automtl.models.baselines.adatt import Fusion
from automtl.models.baselines.aitm import AITM, Transfer
from automtl.models.baselines.base import HIDDEN, GroupedExperts, make_experts
from automtl.models.baselines.cross_stitch import CrossStitch
from automtl.models.baselines.deep_cross import DeepCross
from automtl.models.baselines.esmm import ESMM
from automtl.models.baselines.home import task_groups
from automtl.models.baselines.stem import STEM
from automtl.models.baselines.tabm import TabM
from automtl.models.registry import EVERY_MODEL, MODELS, check_model
from automtl.models.settings import NetworkSettings
from automtl.nn.funnel import chain
from automtl.predictor import Predictor
from automtl.tables.schema import Task, TaskKind
from automtl.tables.synthetic import synthetic_log
from automtl.testing import MODEL_LAWS
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from tests.conftest import TINY, small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(6,))


def build(name: str, num_tasks: int = 3, seed: int = 0, layout: Layout | None = None) -> nn.Module:
    return MODELS.find(name)(layout or small_layout(num_tasks), SETTINGS, torch.Generator().manual_seed(seed))


def test_the_names_on_the_command_line_are_the_models() -> None:
    shown = CliRunner().invoke(app, ["fit", "--help"], env={"COLUMNS": "400"}).stdout
    assert all(name in shown for name in EVERY_MODEL)


@pytest.mark.parametrize("law", MODEL_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", BASELINES)
def test_it_keeps_the_law(name: str, law: Callable[[type[nn.Module]], None]) -> None:
    law(MODELS.find(name))


@pytest.mark.parametrize("name", BASELINES)
def test_rows_without_a_label_of_a_task_teach_it_nothing(name: str) -> None:
    model, batch = build(name), small_batch()
    unlabelled = batch.mask * torch.tensor([1.0, 1.0, 0.0])
    MultiTaskLoss(small_layout().tasks)(model(batch.features), replace(batch, mask=unlabelled)).backward()
    towers = model.models[-1].towers if name == "single-task" else model.towers  # type: ignore[index, union-attr]
    gradients = [p.grad for p in towers.parameters()]  # type: ignore[union-attr]
    assert all(not gradient[-1].any() for gradient in gradients)  # type: ignore[index]
    assert name == "single-task" or all(gradient[0].any() for gradient in gradients)  # type: ignore[index]


@pytest.mark.parametrize("name", BASELINES)
def test_it_is_normalized_and_has_dropout_as_the_settings_say(name: str) -> None:
    features, made = small_batch().features, {}
    for normalization in ("none", "layer"):
        settings = replace(SETTINGS, normalization=normalization, dropout=0.5, towers=())  # dropout of experts alone
        model = MODELS.find(name)(small_layout(), settings, torch.Generator().manual_seed(0))
        made[normalization] = model.eval()(features)
        assert not torch.allclose(model.train()(features), made[normalization])
    assert not torch.allclose(made["none"], made["layer"])


@pytest.fixture(scope="module")
def easy() -> pl.DataFrame:
    return synthetic_log(4000, users=40, items=30, noise=0.0, seed=3)


@pytest.mark.parametrize("name", tuple(MODELS))
def test_it_learns_and_a_loaded_one_predicts_the_same(name: str, easy: pl.DataFrame, tmp_path: Path) -> None:
    training = {"epochs": 4, "batch_size": 128, "learning_rate": 5e-3}
    settings = make_settings({**TINY, "model": name, "presets": [], "training": training, "trees": {"rounds": 400}})
    run = fit_table(
        easy, ["click", "like"], roles=ColumnRoles(drop=("buy", "cart")), settings=settings, out=tmp_path / "run"
    )
    assert all(values["auc"] > 0.8 for values in run.metrics["validation"]["tasks"].values())
    assert Predictor.load(tmp_path / "run").predict(easy).equals(run.predictor.predict(easy))


# AITM


def test_transfer_is_the_attention_of_the_paper() -> None:
    part, before, own = Transfer(4, torch.Generator().manual_seed(0)), torch.randn(5, 4), torch.randn(5, 4)
    passed = (before @ part.passed.weight[0] + part.passed.bias[0]).relu()
    heads = [[u @ w + b for w, b in zip(part.heads.weight, part.heads.bias, strict=True)] for u in (passed, own)]
    weights = torch.stack([(k * q).sum(1) / 2 for _, k, q in heads]).exp()  # the root of 4 is 2
    expected = sum(w.unsqueeze(1) * h[0] for w, h in zip(weights / weights.sum(0), heads, strict=True))
    torch.testing.assert_close(part(before, own), expected)


def test_the_calibrator_is_for_labels_that_imply_the_label_before() -> None:
    model, batch = build("aitm"), small_batch()
    assert isinstance(model, AITM)
    chained = batch.labels.clone()
    chained[:, 1] *= chained[:, 0]
    model.look(replace(batch, labels=chained))
    assert model.implied.tolist() == [1.0, 0.0]  # the last one is positive where the second is not
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    rise = (logits[:, 1].sigmoid() - logits[:, 0].sigmoid()).clamp(min=0).mean()
    torch.testing.assert_close(model.penalty(logits), torch.stack([rise * 0, 0.6 * rise, rise * 0]))
    model.look(batch)
    assert not model.penalty(logits).any()


def test_training_descends_the_calibrator_too() -> None:
    settings, tasks = replace(SETTINGS, dropout=0.0), small_layout().tasks
    model, plain = (AITM(small_layout(), settings, torch.Generator().manual_seed(0)) for _ in range(2))
    batch = small_batch(200)
    chained = replace(batch, labels=batch.labels.cumprod(dim=1))
    plain.look(chained)
    loss, logits = MultiTaskLoss(tasks), plain(chained.features).detach()
    expected = (loss.per_task(logits, chained) + plain.penalty(logits)) @ loss.weights
    result = fit(model, chained, chained, tasks, TrainingSettings(epochs=1, batch_size=200), 0)
    assert plain.penalty(logits).sum() > 0
    assert result.evaluations[0].train_loss == pytest.approx(float(expected), rel=1e-4)


# ESMM


def test_the_chain_is_the_product_of_probabilities() -> None:
    steps = 6 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    product = steps.sigmoid().cumprod(dim=1)
    torch.testing.assert_close(chain(steps).double(), torch.logit(product), rtol=1e-4, atol=1e-4)


def test_no_step_of_the_chain_is_more_likely_than_the_one_before() -> None:
    found = build("esmm")(small_batch().features)
    assert (found[:, 1:] <= found[:, :-1]).all()


@pytest.mark.parametrize("extreme", [-200.0, 0.0, 200.0])
def test_gradients_of_the_chain_are_finite_at_extremes(extreme: float) -> None:
    steps = torch.tensor([[extreme, 200.0, -200.0], [200.0, extreme, 0.0]], requires_grad=True)
    logits = chain(steps)
    nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()
    assert logits.isfinite().all() and steps.grad is not None and steps.grad.isfinite().all()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task("watch", TaskKind.REGRESSION), "task 'watch' is a regression"),
        (Task("buy", condition="click = 1"), "task 'buy' on all rows"),
    ],
)
def test_tasks_that_are_no_step_of_a_chain_are_refused(task: Task, message: str) -> None:
    tasks = (Task("click"), task)
    with pytest.raises(SettingsError, match=message):
        check_model("esmm", tasks)
    with pytest.raises(SettingsError, match=message):
        ESMM(replace(small_layout(), tasks=tasks), SETTINGS, torch.Generator())
    check_model("mmoe", tasks)


# Cross-stitch


def test_units_of_identity_leave_single_task_bottoms() -> None:
    model = build("cross-stitch").eval()
    assert isinstance(model, CrossStitch)
    with torch.no_grad():
        model.units.copy_(torch.eye(3).repeat(2, 1, 1))
    x = torch.randn(7, model.embedding.width)
    for task, gathered in enumerate(model.gather(x)):
        hidden = x
        for linear in model.layers:
            hidden = (hidden @ linear.weight[task] + linear.bias[task]).relu()  # type: ignore[index, operator]
        torch.testing.assert_close(gathered, nn.functional.layer_norm(hidden, (8,)))


# STEM


def test_a_task_teaches_its_own_and_the_shared_embedding_alone() -> None:
    layout, features = replace(small_layout(), sequences=()), small_batch().features  # attention mixes them
    model = build("stem", layout=layout)
    assert isinstance(model, STEM)
    model(replace(features, multi=features.multi[:1]))[:, 1].sum().backward()
    gradient: Tensor = model.embeddings.table.grad  # type: ignore[assignment]
    of_each = gradient.unflatten(1, (4, -1)).abs().sum(dim=(0, 2))  # three tasks, then the shared one
    assert (of_each > 0).tolist() == [False, True, False, True]


def test_a_task_hears_the_embeddings_of_other_tasks() -> None:
    model, features = build("stem").eval(), small_batch().features
    before = model(features)
    with torch.no_grad():
        model.embeddings.table[:, :4] += 1.0  # type: ignore[index, union-attr]
    assert (model(features) != before).any(dim=0).all()


# TabM


def test_members_have_the_mean_of_their_logits_and_differ() -> None:
    model, features = build("tabm").eval(), small_batch().features
    assert isinstance(model, TabM)
    members = model.member_logits(features)
    assert members.shape == (8, *model(features).shape)
    torch.testing.assert_close(members.mean(0), model(features))
    assert (members.std(0) > 0).all()


# Deep and cross


def test_crosses_without_weights_leave_a_shared_bottom() -> None:
    crossed, plain = build("deep-cross").eval(), build("shared-bottom").eval()
    assert isinstance(crossed, DeepCross)
    with torch.no_grad():
        for up in crossed.cross.up:
            up.zero_()
    plain.load_state_dict({name: one for name, one in crossed.state_dict().items() if not name.startswith("cross")})
    torch.testing.assert_close(crossed(small_batch().features), plain(small_batch().features))


# AdaTT


def test_fusion_with_closed_gates_is_the_native_combination() -> None:
    part, x = Fusion(3, 5, 4, nn.Identity(), torch.Generator().manual_seed(0)), torch.randn(3, 6, 5)
    with torch.no_grad():
        part.native.copy_(torch.arange(12.0).view(3, 1, 4))
    experts = part.experts(x).view(3, 4, 6, 4)
    native = torch.stack([sum((4 * t + e) * experts[t, e] for e in range(4)) for t in range(3)])  # type: ignore[misc]
    torch.testing.assert_close(part(x) - part.gate(x, part.experts(x)), native, rtol=1e-4, atol=1e-4)


def test_owned_experts_are_perceptrons_on_their_owners_input() -> None:
    owned, plain = GroupedExperts(2, 3, 5, (HIDDEN, 4), torch.Generator()), make_experts(6, 5, 4, torch.Generator())
    first, second = plain.layers
    with torch.no_grad():
        for expert in range(6):
            part = slice(expert % 3 * HIDDEN, (expert % 3 + 1) * HIDDEN)
            first.weight[expert] = owned.first.weight[expert // 3][:, part]  # type: ignore[index, operator]
            first.bias[expert] = owned.first.bias[expert // 3][:, part]  # type: ignore[index, operator]
        second.load_state_dict(owned.rest.layers[0].state_dict())
    x = torch.randn(2, 6, 5)
    torch.testing.assert_close(owned(x), plain(x.repeat_interleave(3, dim=0)))


# HoME


def test_groups_are_kinds_or_halves() -> None:
    assert [task_groups([Task(f"t{i}") for i in range(count)]) for count in range(1, 5)] == [
        [0], [0, 1], [0, 0, 1], [0, 0, 1, 1],
    ]  # fmt: skip
    assert task_groups([Task("a"), Task("b", TaskKind.REGRESSION), Task("c")]) == [0, 1, 0]


def test_a_task_hears_only_its_own_group_and_what_is_shared() -> None:
    """Of the second level: three tasks in groups 0, 0, 1; owners are tasks, groups and the shared one."""
    model = build("home")
    seen = [set(row.nonzero()[:, 0].tolist()) for row in ~model.gate.closed]  # type: ignore[operator, union-attr]
    owners = [sorted({expert // 4 for expert in experts}) for experts in seen]
    assert owners == [[0, 3, 5], [1, 3, 5], [2, 4, 5], [0], [1], [2]]
