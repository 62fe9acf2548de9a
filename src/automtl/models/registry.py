"""All models that can be trained beside the searched one, by short name or import path. Reading it imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from automtl.errors import SettingsError
from automtl.models.baselines import BASELINES
from automtl.system.registry import Registry, subclass_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from automtl.features.layout import Layout
    from automtl.models.settings import NetworkSettings
    from automtl.tables.schema import Task

SEARCHED = "automtl"  # the network whose architecture is searched


class ModelClass(Protocol):
    """A class of models: subclasses of torch.nn.Module that are made as this call says.

    `layout`: the fields and tasks that the encoder gives; `settings`: sizes, of which a model takes what it has;
    `generator`: draws all initial weights. `forward` takes `Features` of B rows and gives logits (B, T), of regression
    tasks values. A static method `check(tasks)`, if there is one, raises SettingsError for tasks that it cannot serve.
    `automtl.models.baselines.base.Baseline` embeds the fields and has the towers; `gather` is then left to write.
    """

    def __call__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> nn.Module:
        """A new model."""


def _is_model(found: Any) -> bool:
    try:
        inspect.signature(found).bind("layout", "settings", "generator")
    except (TypeError, ValueError):
        return False
    return subclass_of("torch.nn:Module")(found)


MODELS: Registry[ModelClass] = Registry(
    "model",
    {**BASELINES, "lightgbm": "automtl.ensemble.trees:TreeModel"},
    _is_model,
    "a subclass of torch.nn.Module that is made from (layout, settings, generator)",
    SettingsError,
)
EVERY_MODEL: Registry[type[nn.Module]] = replace(  # type: ignore[assignment]
    MODELS,
    aliases={SEARCHED: "automtl.models.network:Network", **MODELS.aliases},
    accepts=subclass_of("torch.nn:Module"),
)


def check_model(name: str, tasks: Sequence[Task]) -> None:
    """Raises SettingsError where there is no such model, it cannot serve these tasks, or lacks an installed package."""
    check = getattr(EVERY_MODEL.find(name), "check", None)
    if check is not None:
        check(tasks)
