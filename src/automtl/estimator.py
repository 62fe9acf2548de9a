"""An estimator with the interface of scikit-learn."""

from __future__ import annotations

import html
import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, validate_data

from automtl.config import Settings, make_settings
from automtl.dataset.prepared import is_prepared
from automtl.errors import ArgumentError, DataWarning, suggestion
from automtl.experiment import ColumnRoles, Run, fit_table
from automtl.experiment.messages import logged
from automtl.experiment.recorded import RecordedFit
from automtl.predictor import Predictor
from automtl.report.folder import run_report
from automtl.report.text import metric_rows
from automtl.system.files import write_whole
from automtl.system.trust import allowing
from automtl.tables.infer import infer_schema
from automtl.tables.schema import Schema, Task, TaskKind
from automtl.tables.table import read_table
from automtl.training.metrics import Rows, auc, rmse, task_rows

FEW = 10  # most different labels of `y` that may be classes


class NotFittedModelError(ArgumentError, NotFittedError):  # type: ignore[misc]
    """An AutoMTL that is not fitted yet was asked for what only a fit gives."""


class AutoMTL(BaseEstimator):  # type: ignore[misc]
    """Fits and applies a model with the interface of scikit-learn.

    `tasks` names label columns of the table, or of `y`, where the labels are apart. `settings`: a Settings object or
    nested plain values such as `{"search": {"trainings": 4}}`. `schema`: a Schema, plain values or a file, in place of
    an inferred schema; with it, no `tasks` means all of its tasks. `outcomes`, `label_delay` and `history` are those of
    `ColumnRoles`. `verbose`: 1 tells on standard error how far a fit is, 2 every step; the logger "automtl" has both.

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
        settings: Settings | dict[str, Any] | None = None, seed: int = 0, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.tasks, self.drop, self.split_column = tasks, drop, split_column
        self.weight, self.group, self.time = weight, group, time
        self.outcomes, self.label_delay, self.history = outcomes, label_delay, history
        self.schema, self.settings, self.seed, self.verbose = schema, settings, seed, verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.multi_output = True
        tags.target_tags.required = not len(self.tasks) and self.schema is None
        return tags

    def set_params(self, **params: Any) -> AutoMTL:
        """Change constructor arguments. Raises ArgumentError for an unknown one."""
        for name in set(params) - set(self.get_params()):
            raise ArgumentError(f"AutoMTL has no parameter '{name}'{suggestion(name, self.get_params())}")
        super().set_params(**params)
        return self

    def fit(self, X: Any, y: Any = None) -> AutoMTL:
        """Search and train on a frame, path or array `X`.

        The labels are columns of X, which `tasks` or the schema name, or `y`: a frame, a series or an array of a column
        a task, named by its own names, else by `tasks`, else "y", or "y0", "y1" ... Labels of 0 and 1 make binary
        tasks, all others quantities. Warns of doubtful data (`DataWarning`). Raises an AutomtlError.
        """
        given = self.settings
        settings = given if isinstance(given, Settings) else make_settings(given or {})
        roles = ColumnRoles(
            _names(self.drop), self.split_column, self.weight, self.group, self.time, _names(self.outcomes),
            self.label_delay, self.history,
        )  # fmt: skip
        tasks, schema, table, flat = _names(self.tasks), self._schema(), X, False
        if y is not None:
            inputs = self._inputs(X, fitting=True)
            labels, flat = _labels(y, tasks)
            table = _joined(inputs, labels)
            schema, tasks = schema or _schema_of_labels(table, labels, roles), tuple(labels.columns)
        elif not tasks and schema is None and not is_prepared(X):
            raise ArgumentError(
                "AutoMTL requires y to be passed, but the target y is None; give it, or name label columns by 'tasks'"
            )
        elif _is_array(X):
            raise ArgumentError("an array has no names, by which its label columns could be found; give them as y")
        elif not isinstance(X, str | Path):
            table = read_table(X)
            known = tasks or (() if schema is None else schema.task_names)
            self._note_names([name for name in table.columns if name not in known])
        with logged(self.verbose) as callback:
            self.run_: Run = fit_table(
                table, tasks, roles=roles, schema=schema, settings=settings, seed=self.seed, callback=callback
            )
        if y is None and isinstance(X, str | Path):
            self._note_names(self.run_.predictor.schema.columns)
        self._flat = flat
        return self

    def _schema(self) -> Schema | None:
        given = self.schema
        if isinstance(given, str | Path):
            return Schema.read(given)
        return Schema.from_dict(given) if isinstance(given, dict) else given

    def _note_names(self, names: Sequence[str]) -> None:
        """Note which columns of a table are features, in scikit-learn's words."""
        self.feature_names_in_, self.n_features_in_ = np.array(names, dtype=object), len(names)

    def _inputs(self, X: Any, *, fitting: bool = False) -> Any:
        """Return X as a table that can be read; the columns of an array are "x0", "x1" ..."""
        if not _is_array(X):
            if isinstance(X, Mapping) and _is_row(X):
                return [X]
            if fitting:
                X = read_table(X)
                self._note_names(X.columns)
            return X
        least = 2 if fitting else 1
        array = validate_data(self, X, reset=fitting, dtype=None, ensure_all_finite=False, ensure_min_samples=least)
        names = getattr(self, "feature_names_in_", [f"x{place}" for place in range(array.shape[1])])
        return {name: np.asarray(array[:, place]) for place, name in enumerate(names)}

    @property
    def predictor_(self) -> Predictor:
        """The fitted predictor. Raises NotFittedModelError before `fit`."""
        return self._fitted.predictor

    @property
    def metrics_(self) -> dict[str, Any]:
        """Validation and test metrics, cost and number of parameters."""
        return self._fitted.metrics

    @property
    def classes_(self) -> list[np.ndarray]:
        """The labels, 0 and 1, of each binary task."""
        return [np.array([0, 1]) for _ in self._binary]

    @property
    def _fitted(self) -> Run:
        if not hasattr(self, "run_"):
            raise NotFittedModelError("this AutoMTL is not fitted yet; call fit first")
        return self.run_

    @property
    def _binary(self) -> list[str]:
        return [task.name for task in self.predictor_.schema.tasks if task.kind is TaskKind.BINARY]

    def predict(self, X: Any, *, history: Any = None, allow_unknown: bool = False) -> Any:
        """Score rows: the probability of a binary task, the value of a quantity, in one column for each task.

        The result is of the kind of X: a frame of pandas with its index, of polars (also for paths), an array, a list
        of dictionaries, or one dictionary for one row. Where `y` had one dimension, so has the result. `history`,
        warnings and errors are those of `Predictor.predict`.
        """
        predictor = self.predictor_
        found = predictor.predict(self._inputs(X), history=history, allow_unknown=allow_unknown)
        return _like(X, found, flat=getattr(self, "_flat", False))

    @available_if(lambda self: not hasattr(self, "run_") or bool(self._binary))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of labels 0 and 1, (N, 2), of the binary task, or a list of such arrays of several.

        Quantities have none; `predict` gives the probabilities of 1 beside them.
        """
        found = self.predictor_.predict(self._inputs(X))
        parts = [np.stack([1 - found[name].to_numpy(), found[name].to_numpy()], axis=1) for name in self._binary]
        return parts[0] if len(parts) == 1 else parts

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean over tasks of AUC (binary) and R² (quantities); larger is better.

        Tasks whose metric has no value on these rows are left out, with a warning; NaN where none has one.
        """
        predictor = self.predictor_
        batch = predictor.encode(read_table(self._labelled(X, y)))
        scores, tasks = predictor.scores(batch), predictor.schema.tasks
        found = {task.name: _skill(task, task_rows(scores(place), batch, place)) for place, task in enumerate(tasks)}
        defined = [value for value in found.values() if not math.isnan(value)]
        if len(defined) < len(found):
            named = ", ".join(f"'{name}'" for name, value in found.items() if math.isnan(value))
            warnings.warn(f"the score leaves out {named}: all labels are alike there", DataWarning, stacklevel=2)
        return fmean(defined) if defined else math.nan

    def evaluate(self, X: Any, y: Any = None, *, history: Any = None, allow_unknown: bool = False) -> dict[str, Any]:
        """Return metrics by task and the MTL-Loss on labelled rows, as `Predictor.evaluate` does."""
        return self.predictor_.evaluate(self._labelled(X, y), history=history, allow_unknown=allow_unknown)

    def _labelled(self, X: Any, y: Any) -> Any:
        if y is None:
            return X if isinstance(X, str | Path) else self._inputs(X)
        return _joined(self._inputs(X), _labels(y, self.predictor_.schema.task_names)[0])

    def leaderboard(self) -> pl.DataFrame:
        """List the models that the fit has trained, best first: loss, metrics, cost, and share in the final scores.

        Raises ArgumentError where one model alone was trained.
        """
        rows = self._fitted.history.get("leaderboard")
        if not rows:
            raise ArgumentError("the fit has trained one model alone, which 'metrics_' describes; set 'ensemble: true'")
        tasks = self.predictor_.schema.task_names
        plain = ("name", "stage", "score", "seconds", "latency_ms", "parameters")
        return pl.DataFrame([
            {name: row.get(name) for name in plain}
            | {f"{part} {task}": _number((row.get(part) or {}).get(task))
               for part in ("validation", "test", "share") for task in tasks}
            for row in rows
        ])  # fmt: skip

    def report(self, path: Path | str) -> None:
        """Write the report of the fit, a page of HTML. Raises FileError."""
        write_whole(Path(path), run_report(self._fitted.values))

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the run folder."""
        self._fitted.save(folder, overwrite=overwrite)

    @classmethod
    def load(cls, folder: Path | str, *, allow: Collection[str] = ()) -> AutoMTL:
        """Read a run folder, also one of `automtl fit`, as a fitted estimator of its schema, settings and seed.

        Raises FileError as `Predictor.load` does, whose `allow` this is.
        """
        with allowing(allow):
            run, recorded = Run.load(folder), RecordedFit.read(folder)
        model = cls(schema=run.predictor.schema, settings=recorded.settings, seed=recorded.seed)
        model.run_ = run
        model._note_names(run.predictor.schema.columns)
        return model

    def _html_repr(self) -> str:
        """Show the estimator in a notebook, with its test metrics once it is fitted."""
        shown: str = super()._html_repr()
        if not hasattr(self, "run_"):
            return shown
        header, rows = metric_rows(self.run_.metrics["test"])
        lines = [_html_row(header, "th"), *(_html_row(row, "td") for row in rows)]
        return f"{shown}<table><caption>test rows</caption>{''.join(lines)}</table>"


def _names(given: Sequence[str]) -> tuple[str, ...]:
    """Return column names; a single string is one name."""
    return (given,) if isinstance(given, str) else tuple(given)


def _is_row(given: Mapping[str, Any]) -> bool:
    """Tell whether a dictionary is one row; one whose values are all lists holds columns."""
    return not all(isinstance(value, list | tuple | np.ndarray | pl.Series) for value in given.values())


def _is_array(given: Any) -> bool:
    """Tell whether rows have places in place of names."""
    if issparse(given):
        return True
    if isinstance(given, str | Path | Mapping | pl.DataFrame | pl.LazyFrame) or _has_columns(given):
        return False
    return not (isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(row, Mapping) for row in given))


def _has_columns(given: Any) -> bool:
    """Tell whether this is a frame of pandas or a table of pyarrow."""
    return type(given).__module__.partition(".")[0] in ("pandas", "pyarrow") and hasattr(given, "columns")


def _labels(y: Any, tasks: tuple[str, ...]) -> tuple[pl.DataFrame, bool]:
    """Return labels as a table of a column a task, and whether they had one dimension. Raises ArgumentError."""
    if isinstance(y, pl.DataFrame | Mapping) or _has_columns(y):
        table = read_table(y)
        missing = [name for name in tasks if name not in table.columns]
        if missing:
            near = suggestion(missing[0], table.columns)
            raise ArgumentError(f"task '{missing[0]}' is no column of y{near}; give its labels there")
        return table.select(tasks or table.columns), False
    flat = np.ndim(y) == 1
    if flat:
        named = getattr(y, "name", None)
        columns = {str(named) if named not in (None, "") else tasks[0] if len(tasks) == 1 else "y": y}
    else:
        values = np.asarray(y)
        if values.ndim != 2 or values.shape[1] == 0:
            raise ArgumentError(f"y has {values.ndim} dimensions and the shape {values.shape}; give a column a task")
        names = tasks if len(tasks) == values.shape[1] else [f"y{place}" for place in range(values.shape[1])]
        columns = {name: values[:, place] for place, name in enumerate(names)}
    if tasks and set(tasks) != set(columns):
        raise ArgumentError(f"y is named {', '.join(columns)}, tasks are {', '.join(tasks)}; give a column of y a task")
    plain = isinstance(y, pl.Series) or _of_pandas(y)
    return read_table({name: one if plain else np.asarray(one) for name, one in columns.items()}), flat


def _of_pandas(given: Any) -> bool:
    return type(given).__module__.partition(".")[0] == "pandas"


def _joined(inputs: Any, labels: pl.DataFrame) -> pl.DataFrame:
    """Put labels beside their rows. Raises ArgumentError for a label that is a column of the rows, too."""
    table = read_table(inputs)
    check_consistent_length(table, labels)
    twice = [name for name in labels.columns if name in table.columns]
    if twice:
        raise ArgumentError(f"task '{twice[0]}' is a column of X and of y; leave y out, or the column of X")
    return pl.concat([table, labels], how="horizontal")


def _schema_of_labels(table: pl.DataFrame, labels: pl.DataFrame, roles: ColumnRoles) -> Schema | None:
    """Infer the schema where labels have few values that are not 0 and 1, and are quantities all the same."""
    few = [one.name for one in labels if one.dtype.is_numeric() and one.n_unique() <= FEW and not _is_binary(one)]
    if not few:
        return None
    warnings.warn(
        f"'{few[0]}' of y has {labels[few[0]].n_unique()} different labels, which are learned as a quantity; for "
        "classes, give a column of 0 and 1 for each",
        DataWarning, stacklevel=3,
    )  # fmt: skip
    return infer_schema(table, labels.columns, **roles.columns, history=roles.history_of(None), quantities=few)


def _is_binary(labels: pl.Series) -> bool:
    known = labels.drop_nulls()
    return bool(((known == 0) | (known == 1)).all())


def _like(X: Any, found: pl.DataFrame, *, flat: bool) -> Any:
    """Return scores as the kind of table that X is."""
    if isinstance(X, Mapping) and _is_row(X):
        return found.row(0, named=True)
    if isinstance(X, list | tuple) and not _is_array(X):
        return found.to_dicts()
    column = found.to_series() if flat else None
    if _of_pandas(X):
        import pandas

        if column is not None:
            return pandas.Series(column.to_numpy(), X.index, name=column.name)
        return pandas.DataFrame({one.name: one.to_numpy() for one in found}, X.index)
    if _is_array(X):
        return found.to_numpy() if column is None else column.to_numpy()
    return found if column is None else column


def _skill(task: Task, rows: Rows) -> float:
    """Return the AUC of a binary task or the R² of a quantity, NaN where it has no value."""
    if task.kind is TaskKind.BINARY:
        return float(_number(auc(rows), math.nan))
    if len(rows.labels) == 0:
        return math.nan
    mean = np.full(len(rows.labels), np.average(rows.labels, weights=rows.weights))
    error, spread = (_number(rmse(one), math.nan) for one in (rows, replace(rows, scores=mean)))
    return float(1 - (error / spread) ** 2) if spread > 0 else math.nan


def _number(value: Any, other: Any = None) -> Any:
    """Return a metric that has a value, else another one."""
    return float(value) if isinstance(value, int | float) else other


def _html_row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
