"""An estimator with the interface of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from sklearn.base import BaseEstimator

from automtl.config import Settings, make_settings
from automtl.errors import SettingsError, suggestion
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.predictor import Predictor
from automtl.tables.schema import Schema


class AutoMTL(BaseEstimator):  # type: ignore[misc]
    """Fits and applies a model with the interface of scikit-learn.

    `settings`: a Settings object or nested plain values such as `{"search": {"trainings": 4}}`. `schema`: a Schema,
    plain values or a file, in place of an inferred schema; with it, no `tasks` means all of its tasks. `outcomes`,
    `label_delay` and `history` are those of `ColumnRoles`.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> model = automtl.AutoMTL(tasks=["click", "buy"], settings=quick).fit(log)
    >>> model.predict(log).columns
    ['click', 'buy']
    """

    def __init__(
        self, tasks: Sequence[str] = (), *, drop: Sequence[str] = (), split_column: str | None = None,
        weight: str | None = None, group: str | None = None, time: str | None = None,
        outcomes: Sequence[str] = (), label_delay: str | float | dict[str, Any] | None = None, history: Any = None,
        schema: Schema | dict[str, Any] | str | Path | None = None,
        settings: Settings | dict[str, Any] | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        self.tasks, self.drop, self.split_column = tasks, drop, split_column
        self.weight, self.group, self.time = weight, group, time
        self.outcomes, self.label_delay, self.history = outcomes, label_delay, history
        self.schema, self.settings, self.seed = schema, settings, seed

    def set_params(self, **params: Any) -> AutoMTL:
        """Change constructor arguments. Raises SettingsError for an unknown one."""
        for name in set(params) - set(self.get_params()):
            raise SettingsError(f"AutoMTL has no parameter '{name}'{suggestion(name, self.get_params())}")
        super().set_params(**params)
        return self

    def fit(self, frame: Any, y: None = None) -> AutoMTL:
        """Search and train on a frame or path that holds the label columns; `y` is not read."""
        given = self.settings
        settings = given if isinstance(given, Settings) else make_settings(given or {})
        roles = ColumnRoles(
            _names(self.drop), self.split_column, self.weight, self.group, self.time, _names(self.outcomes),
            self.label_delay, self.history,
        )  # fmt: skip
        self.run_: Run = fit_table(
            frame, _names(self.tasks), roles=roles, schema=self._schema(), settings=settings, seed=self.seed
        )
        return self

    def _schema(self) -> Schema | None:
        given = self.schema
        if isinstance(given, str | Path):
            return Schema.read(given)
        return Schema.from_dict(given) if isinstance(given, dict) else given

    @property
    def predictor_(self) -> Predictor:
        """The fitted predictor. Raises SettingsError before `fit`."""
        if not hasattr(self, "run_"):
            raise SettingsError("this AutoMTL is not fitted yet; call fit first")
        return self.run_.predictor

    @property
    def metrics_(self) -> dict[str, Any]:
        """Validation and test metrics, cost and number of parameters."""
        assert self.predictor_
        return self.run_.metrics

    def predict(self, frame: Any, *, history: Any = None, allow_unknown: bool = False) -> pl.DataFrame:
        """Score a table: one column for each task. `history`, warnings and errors are those of `Predictor.predict`."""
        return self.predictor_.predict(frame, history=history, allow_unknown=allow_unknown)

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the run folder."""
        assert self.predictor_
        self.run_.save(folder, overwrite=overwrite)


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """Return column names; a single string is one name."""
    return (given,) if isinstance(given, str) else tuple(given)
