"""The record of a fit in its run folder, so that its rows can be opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from automtl.config import Settings, checked_seed, make_settings
from automtl.ensemble.saved_model import read_part
from automtl.ensemble.settings import TreeSettings
from automtl.errors import FileError, SettingsError
from automtl.experiment.source import Source, open_again
from automtl.experiment.tree_candidates import SMALL_TREES
from automtl.system.address import is_address
from automtl.system.manifest import MODEL
from automtl.system.trust import names_of_folder
from automtl.tables.entries import wrong_entry
from automtl.tables.schema import Schema
from automtl.training.settings import TrainingSettings


class Part(BaseModel):
    """What is looked up in a JSON file of a run folder, which may hold more; nothing is converted."""

    model_config = ConfigDict(strict=True)


class Row(Part):
    """A row of the leaderboard."""

    name: str
    stage: str | None = None
    seconds: float | None = None
    settings: dict[str, Any] | None = None


class EarlierRefit(Part):
    """The refit that a run came from."""

    number: int = 0


class History(Part):
    """What is looked up in history.json."""

    leaderboard: list[Row] | None = None
    presets: list[Any] = []
    histories: dict[str, Any] | None = None
    refit: EarlierRefit | None = None


class Steps(Part):
    """The steps of a fit."""

    steps: list[dict[str, Any]]


class Tested(Part):
    """The metrics of some rows by task."""

    tasks: dict[str, dict[str, Any] | None]


class Metrics(Part):
    """What is looked up in metrics.json."""

    test: Tested
    preset: str | None = None
    findings: list[Any] | None = None
    waterfall: Steps | None = None


class Labels(Part):
    """The mean of a task's labels."""

    mean: float | None = None


class Curves(Part):
    """What is looked up in curves.json: labels by part of the rows and task."""

    labels: dict[str, dict[str, Labels | None]]


PARTS: dict[str, type[Part]] = {"history": History, "metrics": Metrics, "curves": Curves}


@dataclass(frozen=True)
class RecordedFit:
    """The settings and seed of a fit, and its table: where it was (`path`) and a digest of its content."""

    folder: Path
    settings: Settings
    seed: int
    table: Mapping[str, Any]

    @staticmethod
    def read(folder: Path | str) -> RecordedFit:
        """Read the settings of a run folder. Raises FileError."""
        where, values = f"'{Path(folder) / 'settings.json'}'", read_part(folder, "settings")
        if not isinstance(values, dict) or not isinstance(values.get("table") or {}, dict):
            raise FileError(f"{where} holds no settings of a fit; {MODEL.remedy}")
        seed, table = checked_seed(values.pop("seed", None), f"{where}: "), values.pop("table", None) or {}
        with names_of_folder():
            return RecordedFit(Path(folder), make_settings(values, where), seed, table)

    def part(self, name: str) -> dict[str, Any]:
        """Return the values of one of the run's JSON files. Raises FileError where what is looked up is not there."""
        values = read_part(self.folder, name)
        try:
            PARTS[name].model_validate(values)
        except ValidationError as error:
            place, what = wrong_entry(error)
            raise FileError(
                f"'{self.folder / name}.json' cannot be used (entry {place}: {what}); {MODEL.remedy}"
            ) from None
        found: dict[str, Any] = values
        return found

    @cached_property
    def leaderboard(self) -> tuple[Mapping[str, Any], ...]:
        """All trained models of the run, the best first; empty where there was one alone."""
        return tuple(self.part("history").get("leaderboard") or ())

    def recorded_row(self, name: str) -> Mapping[str, Any]:
        """Return the row of a model in the leaderboard of the run; empty where there is none."""
        return next((row for row in self.leaderboard if row["name"] == name), {})

    def training_of(self, name: str) -> TrainingSettings:
        """Return the settings with which a model of the run was trained: those of the run, and its own changes."""
        base = (self.settings if self.leaderboard else self._under_preset()).training
        changes = self.recorded_row(name).get("settings") or {}
        try:
            return replace(base, **{one.name: changes[one.name] for one in fields(base) if one.name in changes})
        except ValidationError as error:
            place, what = wrong_entry(error)
            raise FileError(
                f"the leaderboard of run '{self.folder}' has a wrong setting of '{name}' ({place}: {what}); "
                f"{MODEL.remedy}"
            ) from None

    def trees_of(self, name: str) -> TreeSettings:
        """Return the settings of boosted trees of the run."""
        trees = self._under_preset().trees
        return trees.small if name == SMALL_TREES else trees

    def _under_preset(self) -> Settings:
        """Return the settings with the changes of the preset of inputs that was chosen."""
        chosen = self.part("metrics").get("preset")
        preset = next((one for one in self.settings.presets if one.name == chosen), None)
        return self.settings if preset is None else preset.apply(self.settings)

    def open(self, given: Any, schema: Schema) -> Source:
        """Open the rows of the fit, in the same parts. `given`: the table; None where it is where it was.

        Raises SettingsError where no table is given or recorded, or where its content is another one.
        """
        path = self.table.get("path") if given is None else given
        if path is None:
            raise SettingsError(f"run '{self.folder}' does not record its table; give the table that it was fitted on")
        if given is None and is_address(path):
            raise SettingsError(
                f"run '{self.folder}' was fitted on '{path}'; an address is read if it is given: give it"
            )
        if given is None and not glob(str(path)):
            raise FileError(f"the table of run '{self.folder}', '{path}', is gone; give the table")
        source = open_again(path, schema, self.settings.split, self.seed)
        digest = self.table.get("digest")
        if digest and source.digest and source.digest != digest:
            raise SettingsError(f"'{path}' is not the table that run '{self.folder}' was fitted on; give that one")
        return source
