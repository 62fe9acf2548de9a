"""All settings together, as read from TOML or YAML. Names become objects here and nowhere else."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.dataset.store import FeedingSettings
from automtl.errors import SettingsError, suggestion
from automtl.features.encoder import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.search.settings import SearchSettings
from automtl.space.presets import SpaceSettings
from automtl.tables.schema import CONFIG
from automtl.tables.split import SplitSettings
from automtl.training.fit import TrainingSettings


@settings_dataclass(frozen=True, config=CONFIG)
class Variant:
    """One alternative to be judged on validation rows: changes of the encoder, network and training settings."""

    name: str
    encoder: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


DEFAULT_VARIANTS = (
    Variant("rates, strong decay", training={"embedding_weight_decay": 1e-3}),
    Variant("rates"),
    Variant("ids only", encoder={"rates": False}),
)


@settings_dataclass(frozen=True, config=CONFIG)
class Settings:
    """`model`: 'automtl' (searched) or a published one. `variants`: what one setting does not fit all tables for;
    a small reference model tries each, the best on validation rows is used. `warm_start`: the derived network starts
    from the supernet's weights, not from new ones. `blended`: the reference model and boosted
    trees stand beside the network, the share of each in a task's score is chosen on validation rows; unset: beside
    searched networks. `trackers` write into `tracker_folder`, MLflow to `tracking_uri` (or what MLFLOW_TRACKING_URI
    says), if there is one."""

    model: str = "automtl"
    strategy: str = "progressive"
    reference: str = "shared-bottom"
    warm_start: bool = False
    blended: bool | None = None
    trackers: tuple[str, ...] = ()
    tracker_folder: str = "runs/tracking"
    tracking_uri: str | None = None
    variants: tuple[Variant, ...] = DEFAULT_VARIANTS
    split: SplitSettings = field(default_factory=lambda: SplitSettings())
    encoder: EncoderSettings = field(default_factory=lambda: EncoderSettings())
    feeding: FeedingSettings = field(default_factory=lambda: FeedingSettings())
    space: SpaceSettings = field(default_factory=lambda: SpaceSettings())
    network: NetworkSettings = field(default_factory=lambda: NetworkSettings())
    search: SearchSettings = field(default_factory=lambda: SearchSettings())
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings())

    @property
    def blends(self) -> bool:
        """Whether others stand beside the network: unless said, beside searched ones and no others."""
        return self.model == "automtl" if self.blended is None else self.blended

    def to_dict(self) -> dict[str, Any]:
        """Plain values, all of them resolved."""
        return asdict(self)


def read_settings(path: Path | str | None) -> Settings:
    """Settings of a TOML or YAML file (defaults without one). Raises SettingsError that names the setting."""
    if path is None:
        return Settings()
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except FileNotFoundError:
        raise SettingsError(f"settings file '{path}' does not exist") from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"settings file '{path}' cannot be read: {str(error).splitlines()[0]}") from None
    return make_settings(values or {}, f"'{path}'")


def make_settings(values: dict[str, Any], where: str = "settings") -> Settings:
    """Settings from plain values. Raises SettingsError that names the setting and what was expected."""
    try:
        return TypeAdapter(Settings).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise SettingsError(
                f"{where}: unknown setting '{place}'{suggestion(str(first['loc'][-1]), _names())}"
            ) from None
        raise SettingsError(f"{where}: setting '{place}': {first['msg']}, found {first['input']!r}") from None


def _names() -> set[str]:
    values = Settings().to_dict()
    return set(values) | {name for part in values.values() if isinstance(part, dict) for name in part}
