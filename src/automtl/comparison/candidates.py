"""Candidates of comparisons by name: the searched model, controls, ablations and published models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from automtl.comparison.result_store import Result
from automtl.config import BUDGETS, Settings
from automtl.errors import SettingsError, suggestion
from automtl.models.registry import MODELS
from automtl.search import STRATEGIES, published
from automtl.tables.schema import Task
from automtl.training.metrics import primary_metric

Values = TypeVar("Values")
DEFAULT = {"model": "automtl", "strategy": Settings().strategy}
ABLATIONS: dict[str, dict[str, Any]] = {  # of the search by gradients
    "no-interaction": {"space": {"interaction": False}},
    "homogeneous": {"space": {"homogeneous": True}},
    "no-selection": {"space": {"selection": False}},
    "no-auxiliary-loss": {"search": {"auxiliary_loss": False}},
    "no-oles": {"search": {"early_stopping": False}},
    "no-trials": {"search": {"trial_rows": 0}},
}
DEFAULT_CONTROLS: dict[str, dict[str, Any]] = {  # what parts of the default give
    "network-alone": {"ensemble": False},
    "drawn": {"search": {"sampler": "random"}},  # random search on the same budget, in the same ensemble
    "fast": BUDGETS["fast"],
    "best": BUDGETS["best"],
}
ENSEMBLE_CONTROLS = {  # published models in an ensemble: they show what an ensemble gives without a search
    f"{name}-ensemble": {"model": name, "ensemble": True} for name in ("shared-bottom", "mmoe")
}
HISTORY_CONTROLS: dict[str, dict[str, Any]] = {  # they tell the gain of histories from the gain of the model
    "no-history": DEFAULT | {"encoder": {"history": False}},
    "lightgbm-no-history": {"model": "lightgbm", "encoder": {"history": False}},
}


@dataclass(frozen=True)
class Candidate:
    """A model to compare. `changes`: the settings that define it, as plain values nested as in a file."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)

    def settings(self, base: Settings) -> Settings:
        """Return `base` with the changes of this candidate."""
        return changed(base.for_strategy(self.changes.get("strategy", base.strategy)), self.changes)


def changed(value: Values, changes: Mapping[str, Any]) -> Values:
    """Return settings with other values; nested mappings change their sections."""
    nested = {key: changed(getattr(value, key), new) for key, new in changes.items() if isinstance(new, Mapping)}
    return replace(value, **{**changes, **nested})  # type: ignore[type-var]


def find_candidate(name: str) -> Candidate:
    """Find a candidate by its name, or your own model by its import path. Raises SettingsError that lists names."""
    if ":" in name:
        MODELS.find(name)  # raises what is wrong with it
        return Candidate(name, {"model": name})
    if name not in CANDIDATES:
        known = f'{", ".join(CANDIDATES)}, or "package.module:Name" for a model of your own'
        raise SettingsError(f"candidate '{name}' is unknown{suggestion(name, CANDIDATES)}; known: {known}")
    return CANDIDATES[name]


def _table() -> dict[str, dict[str, Any]]:
    searched: dict[str, dict[str, Any]] = {name: {"model": "automtl", "strategy": name} for name in STRATEGIES}
    del searched[DEFAULT["strategy"]]  # it is "automtl", the searched model as users get it
    schedules = {
        "automtl": DEFAULT,
        "algorithm-1": searched["automtl"],
        "darts-second-order": searched["darts"] | {"search": {"second_order": True}},
        "published": searched["automtl"] | {"search": asdict(published(STRATEGIES.find("automtl").settings_class()))},
    }
    ablations = {name: searched["progressive"] | changes for name, changes in ABLATIONS.items()}
    controls = {name: DEFAULT | changes for name, changes in DEFAULT_CONTROLS.items()} | HISTORY_CONTROLS
    rivals = {name: {"model": name} for name in MODELS}
    return searched | schedules | ablations | controls | rivals | ENSEMBLE_CONTROLS


CANDIDATES = {name: Candidate(name, changes) for name, changes in _table().items()}


@dataclass(frozen=True)
class CandidateResult:
    """The results of a candidate. `entry`: its part of comparison.json.

    `tests`: names of its test results in the store, by seed; `searches`: results of its searches, by seed.
    """

    name: str
    entry: dict[str, Any]
    tests: tuple[str, ...] = ()
    searches: tuple[Result, ...] = ()

    @property
    def failed(self) -> bool:
        """Tell whether a trial that it needs has no result."""
        return self.entry["failed"] is not None

    @property
    def control(self) -> bool:
        """Tell whether it is searched or made to compare with, so that it is a rival only where no other model is."""
        return self.entry["searched"] or self.name in ENSEMBLE_CONTROLS | HISTORY_CONTROLS

    def values(self, part: str, task: Task) -> list[float] | None:
        """Return the task's main metric by seed, on `validation` or `test` rows; None where it is undefined."""
        found = [seed[part]["tasks"][task.name][primary_metric(task).name] for seed in self.entry["seeds"]]
        return None if any(isinstance(value, Mapping) for value in found) else found
