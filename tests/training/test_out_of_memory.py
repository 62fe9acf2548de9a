"""Memory that does not suffice for the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.system.memory import out_of_memory
from automtl.system.progress import Event, Notice
from automtl.tables.schema import Task
from automtl.training.evaluation import predict_logits
from automtl.training.fit import FitResult, fit
from automtl.training.settings import TrainingSettings
from tests.conftest import small_batch, small_layout

TASKS = tuple(Task(f"t{index}") for index in range(3))
NETWORK = NetworkSettings(embedding_size=4, width=8, towers=(4,), dropout=0.0)
SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "precision": "full"}
MESSAGE = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."


def made(name: str) -> nn.Module:
    return MODELS.find(name)(small_layout(), NETWORK, torch.Generator().manual_seed(0))


@contextmanager
def bounded(model: nn.Module, rows: int) -> Iterator[None]:
    """Let the embedding fail for more rows."""

    def refuse(module: nn.Module, given: tuple[Any, ...]) -> None:
        if len(given[0].numeric) > rows:
            raise RuntimeError(MESSAGE)

    hook = model.get_submodule("embedding").register_forward_pre_hook(refuse)
    try:
        yield
    finally:
        hook.remove()


def trained(name: str, rows: int | None, **changes: Any) -> tuple[nn.Module, FitResult, list[str]]:
    model, told = made(name), list[Event]()
    train = small_batch(100)
    train.weight[:] = torch.linspace(0.2, 2, 100)
    with bounded(model, 1000 if rows is None else rows):
        result = fit(
            model, train, small_batch(20, seed=2), TASKS, TrainingSettings(**SETTINGS | changes), 5, told.append
        )
    return model, result, [one.text for one in told if isinstance(one, Notice)]


@pytest.mark.filterwarnings("ignore:memory does not suffice to score")
@pytest.mark.parametrize(
    ("name", "changes"),
    [("mmoe", {}), ("mmoe", {"embedding_updates": "row-wise"}), ("tabm", {}), ("mmoe", {"balancing": "uncertainty"}),
     ("mmoe", {"balancing": "famo"})],
)  # fmt: skip
def test_a_training_in_parts_is_the_same_but_for_rounding(name: str, changes: dict[str, Any]) -> None:
    whole, wanted, silent = trained(name, None, **changes)
    parts, found, told = trained(name, 10, **changes)
    assert not silent and len(told) == 2 and "for 32 rows at once; going on with 8" in told[1]
    assert (wanted.rows_at_once, found.rows_at_once) == (None, 8)
    for one, other in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    for mine, yours in zip(wanted.evaluations, found.evaluations, strict=True):
        assert mine.score == pytest.approx(yours.score, rel=1e-4)


def test_no_row_at_once_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        trained("mmoe", 0)


def test_scores_are_those_of_all_rows_at_once() -> None:
    model, rows = made("mmoe").eval(), small_batch(50)
    wanted = predict_logits(model, rows)
    with bounded(model, 30), pytest.warns(UserWarning, match="going on with 25"):
        found = predict_logits(model, rows)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_errors_of_memory_are_told_from_others() -> None:
    assert out_of_memory(MemoryError()) and out_of_memory(RuntimeError(MESSAGE))
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("shapes differ")) and not out_of_memory(ValueError("memory"))
