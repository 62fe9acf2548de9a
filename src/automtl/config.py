"""All settings of a run, as read from TOML or YAML. Names become objects only here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.dataset.settings import DataLoaderSettings
from automtl.ensemble.settings import SelectionSettings, TreeSettings
from automtl.errors import AutomtlError, SettingsError, brief, suggestion
from automtl.features.settings import EncoderSettings
from automtl.models.registry import EVERY_MODEL, MODELS, SEARCHED
from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchSettings, published
from automtl.space.presets import SpaceSettings, make_space
from automtl.system.plain import plain_values
from automtl.system.yaml_text import read_yaml
from automtl.tables.durations import Seconds
from automtl.tables.entries import CONFIG, wrong_entry
from automtl.tables.split import SplitSettings
from automtl.trackers import TRACKERS
from automtl.training.settings import TrainingSettings


@settings_dataclass(frozen=True, config=CONFIG)
class InputPreset:
    """A named set of changes of settings, which a reference model tries on validation rows."""

    name: str = Limit(description="What the alternative is called in the history and the metrics.")
    encoder: dict[str, Any] = Limit(default_factory=dict, description="Changes of `encoder`.")
    network: dict[str, Any] = Limit(default_factory=dict, description="Changes of `network`.")
    training: dict[str, Any] = Limit(default_factory=dict, description="Changes of `training`.")
    trees: dict[str, Any] = Limit(default_factory=dict, description="Changes of `trees`.")

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with these changes. Raises SettingsError that names the preset and the setting."""
        made = {}
        for part in ("encoder", "network", "training", "trees"):
            try:
                made[part] = replace(getattr(settings, part), **getattr(self, part))
            except ValidationError as error:
                raise SettingsError(f"preset '{self.name}': {_problem(error, part)}") from None
            except SettingsError as error:
                raise SettingsError(f"preset '{self.name}': {error}") from None
        return replace(settings, **made)


DEFAULT_PRESETS = (
    InputPreset("all inputs, strong decay", training={"embedding_weight_decay": 1e-3}),
    InputPreset("all inputs"),
    InputPreset("ids only", encoder={"target_encoding": False}),
)


LARGEST_SEED = 2**31 - 1  # of 32 bits, which every library takes, also multiplied by a number of steps
RECORDED = {"seed", "table"}  # what the settings.json of a run folder holds beside settings
BUDGETS: dict[str, dict[str, Any]] = {  # changes of the defaults by `budget.preset`
    "fast": {
        "presets": DEFAULT_PRESETS[:1], "search": {"trainings": 1, "promoted": 1.0, "pretrained_embedding": False},
        "selection": {"boosted_trees": "one"}, "trees": {"learning_rate": 0.1}, "budget": {"base_network": False},
    },
    "balanced": {},
    "best": {"search": {"trainings": 1_000, "patience": 12}},
}  # fmt: skip


@settings_dataclass(frozen=True, config=CONFIG)
class BudgetSettings:
    """How much work a fit does."""

    preset: Literal["fast", "balanced", "best"] = Limit(
        default="balanced", description="fast: one network and trees; best: as long as the ensemble improves."
    )
    time_limit: Seconds | None = Limit(
        default=None, gt=0, description="Time after which training ends with what there is; unset: no limit."
    )
    save_every: Seconds = Limit(
        default=60.0, description="Time between two states of a training that are saved, from which it can go on."
    )
    base_network: bool = Limit(
        default=True, description="Whether a small network without histories is trained, to show what they give."
    )


@settings_dataclass(frozen=True, config=CONFIG)
class Settings:
    """All settings of a run. `variants` is read as another name of `presets`, `blended` of `ensemble`.

    >>> automtl.Settings(model="mmoe").network.embedding_size
    16
    """

    model: str = Limit(default="automtl", description="automtl (searched), a published model, or one of your own.")
    strategy: str = Limit(default="halving", description="How the architecture is searched.")
    reference: str = Limit(default="shared-bottom", description="The small model that judges the presets of inputs.")
    warm_start: bool = Limit(default=False, description="Whether the network starts from the supernet's weights.")
    ensemble: bool | None = Limit(
        default=None,
        validation_alias=AliasChoices("ensemble", "blended"),
        description="Whether the reference model and boosted trees join the network; unset: only a searched one.",
    )
    baselines: tuple[str, ...] = Limit(
        default=(),
        description="Models that are trained and tested beside an ensemble, for comparison, and never join it; "
        "automtl is the network made by hand, without a search.",
    )
    train_on_all_rows: bool = Limit(
        default=True,
        description="Whether the selected models are trained once more, as long, on validation rows, too.",
    )
    trackers: tuple[str, ...] = Limit(default=(), description="Trackers that write down the run.")
    tracker_folder: str = Limit(default="runs/tracking", description="The folder that trackers write into.")
    tracking_uri: str | None = Limit(
        default=None, description="The server of MLflow; unset: MLFLOW_TRACKING_URI, or files in the folder."
    )
    presets: tuple[InputPreset, ...] = Limit(
        default=DEFAULT_PRESETS,
        validation_alias=AliasChoices("presets", "variants"),
        description="Alternatives where no single setting fits all tables; the best on validation rows is used.",
    )
    report: bool = Limit(
        default=True, description="Whether report.html is drawn, in some seconds; `automtl report` draws it later."
    )
    split: SplitSettings = field(default_factory=lambda: SplitSettings())
    encoder: EncoderSettings = field(default_factory=lambda: EncoderSettings())
    data_loader: DataLoaderSettings = field(default_factory=lambda: DataLoaderSettings())
    space: SpaceSettings = field(default_factory=lambda: SpaceSettings())
    network: NetworkSettings = field(default_factory=lambda: NetworkSettings())
    search: SearchSettings = Limit(default_factory=lambda: SearchSettings(), validate_default=True)
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings())
    trees: TreeSettings = field(default_factory=lambda: TreeSettings())
    selection: SelectionSettings = field(default_factory=lambda: SelectionSettings())
    budget: BudgetSettings = field(default_factory=lambda: BudgetSettings())

    @field_validator("search", mode="plain")
    @classmethod
    def _search_of_strategy(cls, given: Any, info: ValidationInfo) -> SearchSettings:
        return search_settings(info.data.get("strategy", cls.strategy), given)

    def with_published_search(self) -> Settings:
        """Return the settings with the schedule of the paper's search, by Algorithm 1 where none is by gradients."""
        own = self.for_strategy("automtl") if self.tunes_itself else self
        return replace(own, search=published(type(own.search)))

    def for_strategy(self, name: str) -> Settings:
        """Return the settings for another strategy, without those that only the present strategy has."""
        known = _field_names(STRATEGIES.find(name).settings_class())
        kept = {setting: value for setting, value in changed_values(self.search).items() if setting in known}
        return replace(self, strategy=name, search=search_settings(name, kept))

    @property
    def searched_space(self) -> SpaceSettings:
        """The settings of the space with their preset: if they name none, the wide one for a search that trains."""
        wide = self.space.preset is None and STRATEGIES.find(self.strategy).trains
        return replace(self.space, preset="wide") if wide else self.space

    @property
    def tunes_itself(self) -> bool:
        """Tell whether a search by whole trainings tunes the model, so that nothing is left to tune."""
        return self.is_searched and STRATEGIES.find(self.strategy).trains

    @property
    def is_searched(self) -> bool:
        """Tell whether the model's architecture is searched."""
        return self.model == SEARCHED

    @property
    def uses_ensemble(self) -> bool:
        """Tell whether other models join the network; unless set, they join only searched ones."""
        return self.is_searched if self.ensemble is None else self.ensemble

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values."""
        return asdict(self)


def read_settings(path: Path | str | None, changes: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from a TOML or YAML file, or the defaults, and apply `changes`. Raises SettingsError.

    The settings.json of a run folder is such a file, too; its seed and its table are no settings.

    >>> automtl.read_settings(None, {"search": {"trainings": 4}}).search.trainings
    4
    """
    if path is None:
        return make_settings(dict(changes or {}))
    values = _read_values(Path(path))
    if _is_recorded(values):
        values = {name: value for name, value in values.items() if name not in RECORDED}
    return make_settings(_merged(values, dict(changes or {})) if isinstance(values, dict) else values, f"'{path}'")


def recorded_seed(path: Path | str) -> int:
    """Return the seed in the settings.json of a run folder; 0 for other settings. Raises SettingsError."""
    values = _read_values(Path(path))
    if not _is_recorded(values):
        return 0
    return checked_seed(values["seed"], f"'{path}': ")


def checked_seed(seed: Any, where: str = "") -> int:
    """Return a seed. Raises SettingsError, after `where` it is from, for what is none."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) <= LARGEST_SEED:
        raise SettingsError(f"{where}seed {brief(seed)} is no whole number from 0 to {LARGEST_SEED}; correct it")
    return int(seed)


def _is_recorded(values: Any) -> bool:
    """Tell whether values are those of a run folder."""
    return isinstance(values, dict) and values.keys() >= RECORDED


def _read_values(path: Path) -> Any:
    """Read the plain values of a file, which may be empty. Raises SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
        values = plain_values(text, tomllib.loads if path.suffix == ".toml" else read_yaml)
    except FileNotFoundError:
        raise SettingsError(f"settings file '{path}' does not exist; check the path") from None
    except (ValueError, OSError) as error:
        raise SettingsError(
            f"settings file '{path}' cannot be read: {str(error).splitlines()[0]}; correct it"
        ) from None
    return {} if values is None else values


def make_settings(values: dict[str, Any], where: str = "settings") -> Settings:
    """Make settings from plain values, which change those of their `budget.preset`.

    Raises SettingsError that names the setting and what was expected.
    """
    try:
        settings = TypeAdapter(Settings).validate_python(_with_preset(values))
        _check_names(settings)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_problem(error)}") from None
    except AutomtlError as error:
        raise SettingsError(f"{where}: {error}") from None
    return settings


def _check_names(settings: Settings) -> None:
    """Raise an AutomtlError for an unknown name of a model, tracker or operation, and for presets of wrong changes."""
    for model in (settings.model, *settings.baselines):
        EVERY_MODEL.path(model)
    MODELS.path(settings.reference)
    for tracker in settings.trackers:
        TRACKERS.path(tracker)
    make_space(settings.searched_space, num_tasks=1)
    for preset in settings.presets:
        preset.apply(settings)


def _with_preset(values: Any) -> Any:
    """Fill in the values of the preset that plain values name; a search of another strategy has none of them."""
    budget = values.get("budget") if isinstance(values, dict) else None
    name = budget.get("preset") if isinstance(budget, dict) else None
    if not isinstance(name, str) or name not in BUDGETS:
        return values
    has_search = values.get("strategy", Settings.strategy) == Settings.strategy
    base = {key: value for key, value in BUDGETS[name].items() if key != "search" or has_search}
    if "variants" in values:
        base.pop("presets", None)
    return _merged(base, values)


def _merged(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Change nested plain values."""
    nested = {name for name in base if isinstance(base[name], dict) and isinstance(values.get(name), dict)}
    return base | values | {name: _merged(base[name], values[name]) for name in nested}


def search_settings(strategy: str, given: Any) -> SearchSettings:
    """Make settings of a search from plain values or from settings of another strategy.

    Raises SettingsError that names the setting, and the strategies that have it if this one does not.
    """
    kind = STRATEGIES.find(strategy).settings_class()
    if isinstance(given, kind):
        return given
    values = changed_values(given) if isinstance(given, SearchSettings) else given
    strangers = [str(name) for name in values if name not in _field_names(kind)] if isinstance(values, dict) else []
    if strangers:
        raise SettingsError(_stranger(strangers[0], strategy, kind))
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise SettingsError(_problem(error, "search")) from None


def _stranger(name: str, strategy: str, kind: type[SearchSettings]) -> str:
    """Explain that the strategy does not have a setting."""
    members = STRATEGIES.members().items()
    others = ", ".join(f"'{other}'" for other, member in members if name in _field_names(member.settings_class()))
    if not others:
        return f"unknown setting 'search.{name}'{suggestion(name, _field_names(kind))}"
    return (
        f"setting 'search.{name}' belongs to strategy {others}, not to '{strategy}'; leave it out or change 'strategy'"
    )


def _field_names(kind: type[SearchSettings]) -> set[str]:
    return {one.name for one in fields(kind)}


def changed_values(given: Any) -> dict[str, Any]:
    """Collect the settings of a section that differ from their defaults."""
    default, values = type(given)(), {one.name: getattr(given, one.name) for one in fields(given)}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def _problem(error: ValidationError, *within: str) -> str:
    first, (place, what) = error.errors(include_url=False)[0], wrong_entry(error, *within)
    if not place:
        return f"{brief(first['input'])} is no mapping; name sections and settings, as in 'search: {{trainings: 4}}'"
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"unknown setting {place}{suggestion(str(first['loc'][-1]), _names())}"
    return f"setting {place}: {what}, found {brief(first['input'])}"


def _names() -> set[str]:
    values = Settings().to_dict()
    return set(values) | {name for part in values.values() if isinstance(part, dict) for name in part}
