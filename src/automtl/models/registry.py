"""All models that can be trained beside the searched one, by short name or import path."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from automtl.errors import SettingsError
from automtl.models.baselines import BASELINES
from automtl.system.registry import Registry
from automtl.tables.schema import Task

MODELS: Registry[type[nn.Module]] = Registry(
    "model",
    {**BASELINES, "lightgbm": "automtl.ensemble.trees:TreeModel"},
    lambda found: isinstance(found, type) and issubclass(found, nn.Module),
    "a subclass of torch.nn.Module",
    SettingsError,
)


def check_model(name: str, tasks: Sequence[Task]) -> None:
    """Raises SettingsError where a published model cannot serve these tasks, or needs what is not installed."""
    check = None if name == "automtl" else getattr(MODELS.find(name), "check", None)
    if check is not None:
        check(tasks)
