"""Who takes part in comparisons, by name: the searched model, controls, ablations and published models."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from automtl.config import Settings
from automtl.errors import SettingsError, suggestion
from automtl.models.registry import MODELS
from automtl.search import STRATEGIES, published

DEFAULT = {"model": "automtl", "strategy": Settings().strategy}
ABLATIONS: dict[str, dict[str, Any]] = {
    "no-interaction": {"space": {"interaction": False}},
    "homogeneous": {"space": {"homogeneous": True}},
    "no-selection": {"space": {"selection": False}},
    "no-auxiliary-loss": {"search": {"auxiliary_loss": False}},
    "no-oles": {"search": {"early_stopping": False}},
    "no-trials": {"search": {"trial_rows": 0}},
    "network-alone": {"ensemble": False},
}
BLENDED_CONTROLS = {  # published models with the same others beside them: what those give without a search
    f"{name}-blended": {"model": name, "ensemble": True} for name in ("shared-bottom", "mmoe")
}


@dataclass(frozen=True)
class Contender:
    """`changes`: plain values of the settings that make it what it is, nested as in a settings file."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)

    def settings(self, base: Settings) -> Settings:
        """`base` with the changes; everything else is as it was."""
        found: Settings = _changed(base.for_strategy(self.changes.get("strategy", base.strategy)), self.changes)
        return found


def _changed(value: Any, changes: dict[str, Any]) -> Any:
    nested = {key: _changed(getattr(value, key), new) for key, new in changes.items() if isinstance(new, dict)}
    return replace(value, **(changes | nested))


def contender(name: str) -> Contender:
    """The one of this name. Raises SettingsError that lists all names."""
    if name not in CONTENDERS:
        known = ", ".join(CONTENDERS)
        raise SettingsError(f"contender '{name}' is unknown{suggestion(name, CONTENDERS)}; known: {known}")
    return CONTENDERS[name]


def _table() -> dict[str, dict[str, Any]]:
    searched: dict[str, dict[str, Any]] = {name: {"model": "automtl", "strategy": name} for name in STRATEGIES}
    del searched[DEFAULT["strategy"]]  # it is "automtl", the searched model as users get it
    schedules = {
        "automtl": DEFAULT,
        "algorithm-1": searched["automtl"],
        "darts-second-order": searched["darts"] | {"search": {"second_order": True}},
        "published": searched["automtl"] | {"search": asdict(published(STRATEGIES.find("automtl").settings_class()))},
    }
    ablations = {name: DEFAULT | changes for name, changes in ABLATIONS.items()}
    rivals = {name: {"model": name} for name in MODELS}
    return searched | schedules | ablations | rivals | BLENDED_CONTROLS


CONTENDERS = {name: Contender(name, changes) for name, changes in _table().items()}
