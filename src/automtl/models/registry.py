"""All models that are trained beside the searched one, by name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from automtl.data.schema import Task
from automtl.models.baselines import BASELINES
from automtl.models.baselines.base import Baseline
from automtl.models.trees import TreeModel

MODELS: dict[str, type[nn.Module]] = {**BASELINES, "lightgbm": TreeModel}


def check_model(name: str, tasks: Sequence[Task]) -> None:
    """Raises SettingsError where a model of MODELS cannot serve these tasks, or needs what is not installed."""
    kind = MODELS.get(name, nn.Module)
    if issubclass(kind, Baseline | TreeModel):
        kind.check(tasks)
