"""Models that can be trained, by short name or import path. Reading this module imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from automtl.errors import AutomtlError, SettingsError
from automtl.models.baselines import BASELINES
from automtl.system.registry import Registry, subclass_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from automtl.features.batch import Batch
    from automtl.features.layout import Layout
    from automtl.models.settings import NetworkSettings
    from automtl.tables.schema import Task

SEARCHED = "automtl"  # the network whose architecture is searched


class ModelClass(Protocol):
    """A class of models: subclasses of torch.nn.Module that are made as this call says.

    `layout`: the fields and tasks that the encoder gives; `settings`: sizes, of which a model takes what it has;
    `generator`: draws all initial weights. `forward` takes `Features` of B rows and gives logits (B, T), of regression
    tasks standardized values. A static method `check(tasks)`, if there is one, raises SettingsError for tasks that it
    cannot serve.
    `automtl.models.baselines.base.Baseline` embeds the fields and has the towers; `gather` is then left to write.
    """

    def __call__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> nn.Module:
        """Make an untrained model."""


MODELS: Registry[ModelClass] = Registry(
    "model",
    {
        **BASELINES,
        "lightgbm": "automtl.ensemble.trees:TreeModel",
        "catboost": "automtl.ensemble.catboost_trees:CatBoostTrees",
    },
    subclass_of("torch.nn:Module"),
    "a subclass of torch.nn.Module",
    SettingsError,
)
EVERY_MODEL: Registry[type[nn.Module]] = replace(  # type: ignore[assignment]  # not all are made as a ModelClass says
    MODELS, aliases={SEARCHED: "automtl.models.network:Network", **MODELS.aliases}
)


def check_model(name: str, tasks: Sequence[Task]) -> None:
    """Raise SettingsError where a model is unknown, its package is not installed, or it cannot serve these tasks."""
    check = getattr(EVERY_MODEL.find(name), "check", None)
    if check is not None:
        check(tasks)


def new_model(name: str, layout: Layout, settings: NetworkSettings, seed: int) -> nn.Module:
    """Make an untrained model of MODELS or of an import path, initialised by `seed`. Raises SettingsError."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    model = MODELS.find(name)
    try:
        return model(layout, settings, generator)
    except Exception as error:  # whatever a user's class raises
        if name in MODELS or isinstance(error, AutomtlError):
            raise
        raise SettingsError(
            f"model '{name}' cannot be made ({type(error).__name__}: {error}); it is called with a Layout, "
            "NetworkSettings and a torch.Generator"
        ) from None


def check_logits(name: str, model: nn.Module, rows: Batch) -> None:
    """Raise SettingsError unless the model gives a logit of each task for each of the rows."""
    expected = tuple(rows.labels.shape)
    try:
        found: Any = tuple(model(rows.features).shape)
    except Exception as error:  # whatever a user's class raises
        found = f"{type(error).__name__}: {error}"
    if found != expected:
        raise SettingsError(
            f"model '{name}' must turn Features of {len(rows)} rows into logits of shape {expected}: rows, tasks; "
            f"found {found}"
        )
