"""All models that can be trained beside the searched one, by short name or import path. Reading it imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from automtl.errors import SettingsError
from automtl.models.baselines import BASELINES
from automtl.system.registry import Registry, subclass_of

if TYPE_CHECKING:
    from torch import nn

    from automtl.tables.schema import Task

SEARCHED = "automtl"  # the network whose architecture is searched


MODELS: Registry[type[nn.Module]] = Registry(
    "model",
    {**BASELINES, "lightgbm": "automtl.ensemble.trees:TreeModel"},
    subclass_of("torch.nn:Module"),
    "a subclass of torch.nn.Module",
    SettingsError,
)
EVERY_MODEL = replace(MODELS, aliases={SEARCHED: "automtl.models.network:Network", **MODELS.aliases})


def check_model(name: str, tasks: Sequence[Task]) -> None:
    """Raises SettingsError where there is no such model, it cannot serve these tasks, or lacks an installed package."""
    check = getattr(EVERY_MODEL.find(name), "check", None)
    if check is not None:
        check(tasks)
