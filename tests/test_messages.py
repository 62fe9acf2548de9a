"""Messages that the tests of their rooms do not look at, each by a short call: docs/errors.md lists all of them."""

from __future__ import annotations

import builtins
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import Module

from automtl.cli import app
from automtl.cli.options import Columns, Rows, duration_of
from automtl.cli.serve import _token
from automtl.comparison.candidates import find_candidate
from automtl.comparison.compare import _check
from automtl.comparison.protocol import Plan
from automtl.config import Settings, checked_seed, make_settings, read_settings
from automtl.dataset.builder.report import describe_tasks
from automtl.ensemble.forest_checks import TYPES, require_sound
from automtl.ensemble.lookup_tables import LookupTables
from automtl.errors import AutomtlError
from automtl.estimator import AutoMTL
from automtl.experiment.fit import check_settings
from automtl.experiment.leaderboard import read_leaderboard
from automtl.experiment.prepare import _check_types
from automtl.experiment.recorded import RecordedFit
from automtl.experiment.report import read_run
from automtl.features.encoder_check import SavedParts, check_encoder
from automtl.operations import operation
from automtl.predictor import Predictor
from automtl.serving.export.feed import Feed
from automtl.serving.online.events import EventReader, plain
from automtl.serving.online.redis_store import RedisStore
from automtl.serving.scoring.formats import format_of
from automtl.serving.scoring.kept import _as_texts
from automtl.serving.scoring.target import Target
from automtl.space import Architecture, SearchSpace
from automtl.space.space import Choice
from automtl.system.files import require_free
from automtl.system.hardware import find_device
from automtl.system.manifest import COMPARISON, MODEL, checksums
from automtl.system.signature import read_key
from automtl.tables.catalog import DATASETS
from automtl.tables.catalog.base import RawFile
from automtl.tables.catalog.prepare import prepare
from automtl.tables.columns import ColumnRoles, resolve_schema
from automtl.tables.infer import check_labels, infer_task
from automtl.tables.labels import check_weights
from automtl.tables.names import check_names
from automtl.tables.reading.faults import reading
from automtl.tables.reading.files import TableFiles
from automtl.tables.roles import TableRoles
from automtl.tables.schema import Condition, Field, FieldKind, Schema, Task, TaskKind
from automtl.tables.split import SplitSettings, require_rows, split_table
from automtl.tables.table import read_table, write_table
from automtl.tables.values.ids import as_text
from automtl.tables.values.lists import as_parts
from automtl.tables.values.numbers import as_labels, as_numbers
from automtl.tables.values.times import as_moments
from automtl.training.balancing import find_balancing
from automtl.training.metrics import metrics_of
from automtl.training.settings import TrainingSettings

TABLE = pl.DataFrame({"user": ["a", "b", "a", "b"], "click": [0, 1, 1, 0], "weight": [0.0] * 4})
FIELDS, TASKS = [{"name": "user", "kind": "categorical"}], [{"name": "click"}]
SKIP, SUM = operation("skip"), operation("sum")
ALONE = Architecture({"interaction": (SKIP,), "pooling": (SUM,)}, ((0,),))
MULTI = Field("a", FieldKind.MULTI)


def schema(**changes: Any) -> Schema:
    return Schema.from_dict({"fields": FIELDS, "tasks": TASKS} | changes)


def text(path: Path, content: str = "") -> Path:
    path.write_text(content)
    return path


def run(folder: Path, **parts: str) -> Path:
    """Write a run folder of JSON files alone."""
    folder.mkdir()
    names = [text(folder / f"{name}.json", content).name for name, content in parts.items()]
    MODEL.write(folder, {}, checksums(folder, names))
    return folder


def space(cells: tuple[Any, ...] = ((SUM,),), selection: Any = ((0,),)) -> SearchSpace:
    return SearchSpace({"interaction": Choice(((SKIP,),)), "pooling": Choice(cells)}, selection, 1)


def forest(**changes: np.ndarray) -> None:
    sizes = {name: tuple(max(size, 0) for size in shape) for name, (_, shape) in TYPES.items()}
    require_sound({name: np.zeros(sizes[name], kind) for name, (kind, _) in TYPES.items()} | changes)


def lookup(start: list[int], values: list[float], kind: Any = np.int64) -> LookupTables:
    return LookupTables(np.arange(len(start) - 1, dtype=np.int32), np.array(start, kind), np.array(values, np.float32))


def series(*values: Any, dtype: Any = None) -> pl.Series:
    return pl.Series("a", values, dtype, strict=False)


NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)


def of_dates(folder: Path) -> TableFiles:
    pl.DataFrame({"user": ["a"], "click": [dt.date(2024, 1, 1)]}).write_parquet(folder / "a.parquet")
    return TableFiles.open(str(folder / "a.parquet"))


def unreadable(path: Path) -> None:
    with reading(path):
        raise OSError(5, "Input/output error")


class Odd(list[int]):
    """A list that cannot be read."""

    def __iter__(self) -> Any:
        raise ValueError("odd")


def unmade(*given: Any) -> Any:
    """Stand for a balancing whose library is not there."""
    raise ImportError("no such library")


CALLS: list[tuple[Callable[[Path], Any], str]] = [
    # command line
    (lambda p: Columns().tasks, "no task given; name at least one label column with --task$"),
    (lambda p: Rows().tasks, "no task given; name at least one label column with --task, or give a --schema"),
    (lambda p: _token(text(p / "t", " ")), "--token-file '.*t' is empty; write the token into it"),
    (lambda p: _token(p), "--token-file '.*' cannot be read"),
    (lambda p: app(["sign"], standalone_mode=False), "no model is given; name the folder to sign, or make a key alone"),
    (lambda p: app(["sign", str(p)], standalone_mode=False), "give either --key and the file of a key, or --new-key"),
    (lambda p: app(["fit", str(text(p / "a.csv", "user,click\na,1\n")), "--task=click", "--schedule=x"],
                   standalone_mode=False), "--schedule 'x': expected 'bounded' or 'published'"),
    (lambda p: app(["update", str(p)], standalone_mode=False), "give a table of later events, or --events and where"),
    (lambda p: read_key(p / "no"), "key file '.*no' cannot be read: No such file or directory; check the path"),
    (lambda p: duration_of("--time-limit", "0s"), "--time-limit 0s: nothing can be done in no time; give a duration "),
    # settings
    (lambda p: read_settings(p / "no.yaml"), r"settings file '.*no\.yaml' does not exist; check the path"),
    (lambda p: find_device("abacus"), "'abacus' is no device; use auto"),
    (lambda p: SplitSettings(shares=(0.5, 0.5, 0.5)), "split.shares .*: expected three shares above 0 that sum to 1"),
    (lambda p: checked_seed(-1), "seed -1 is no whole number from 0 to 2147483647; correct it"),
    (lambda p: checked_seed(2**31), "seed 2147483648 is no whole number from 0 to 2147483647; correct it"),
    (lambda p: metrics_of(Task("click", metrics=("aucc",))), "task 'click': metric 'aucc' is unknown"),
    (lambda p: metrics_of(Task("a", TaskKind.REGRESSION, metrics=("auc",))), "task 'a': metric 'auc' is not for a reg"),
    (lambda p: check_settings(make_settings({"model": "mmoe", "baselines": ["lightgbm"]})), "they stand beside an e"),
    # comparisons
    (lambda p: find_candidate("mmoee"), "candidate 'mmoee' is unknown; did you mean 'mmoe'.*; known: "),
    (lambda p: _check([find_candidate("mmoe")], Settings(), Plan((0,), 0)), "--trials 0: expected at least 1"),
    (lambda p: _check([], Settings(), Plan((0,), 1)), "no model to compare; name some with --models"),
    # runs
    (lambda p: read_leaderboard(p / "no"), "run '.*no' does not exist; check the path"),
    (lambda p: read_leaderboard(run(p / "run", history="{}")), "run '.*run' has no leaderboard: it has one model"),
    (lambda p: read_run(run(p / "run", metrics="{}")), "'.*run' has no metrics.json to report on; fit again with --ou"),
    (lambda p: RecordedFit(p, Settings(), 0, {"path": str(p / "no")}).open(None, schema()), "'.*no', is gone; give th"),
    (lambda p: RecordedFit(p, Settings(), 0, {"path": "s3://b/k"}).open(None, schema()), "'s3://b/k'; an address "),
    (lambda p: RecordedFit(p, Settings(), 0, {}).open(None, schema()), "does not record its table; give the table"),
    (lambda p: _check_types(of_dates(p), schema(), Settings()), "task 'click': values must be numbers, '.*' holds Dat"),
    (lambda p: check_encoder(SavedParts(schema(), {}, {}, {}, None)), "of the model's encoder does not fit; restore t"),
    (lambda p: AutoMTL([]).set_params(seeed=1), "AutoMTL has no parameter 'seeed'; did you mean 'seed'"),
    (lambda p: AutoMTL([]).predictor_, "this AutoMTL is not fitted yet; call fit first"),
    (lambda p: Predictor.encode(cast(Any, SimpleNamespace(encoder=SimpleNamespace(histories=None))), TABLE, TABLE),
     "the model was fitted without histories; leave the log of histories out"),
    # schemas
    (lambda p: Task("a", TaskKind.REGRESSION, transform="log1p", clip=(-1, 5)), "log1p needs labels of 0 or more; rai"),
    (lambda p: Condition.parse("click"), "condition 'click': expected 'column operator value', for instance 'click = "),
    (lambda p: schema(fields=[*FIELDS, *FIELDS]), "column 'user' is in the schema twice .*; keep one of them"),
    (lambda p: schema(split="user"), "split column 'user' is also a field or a task; drop it there"),
    (lambda p: schema(target_encoding=[["usr"]]), "target_encoding key 'usr' is no field of one value; did you mean"),
    # files and folders
    (lambda p: require_free(text(p / "a"), False), "'.*a' is a file; choose another --out"),
    (lambda p: require_free(text(p / "a").parent, False), "exists and is not empty; choose another --out, or pass"),
    (lambda p: MODEL.read(p / "no"), "saved model '.*no' does not exist; check the path"),
    (lambda p: MODEL.require_free(text(p / "a").parent, True), "holds no saved model, it is not overwritten"),
    (lambda p: COMPARISON.read(run(p / "run")), "'.*run' is a saved model.*; expected a comparison"),
    # spaces, operations
    (lambda p: operation("mlp"), "operation 'mlp': expected a number, as in 'mlp-4'"),
    (lambda p: operation("mlp-0"), "operation 'mlp-0': the number must be at least 1 and at most 65,536"),
    (lambda p: operation("json:loads"), "operation 'json:loads' is not a subclass of automtl.operations.Operation"),
    (lambda p: space(((SUM,), (SUM,))).narrow(Architecture(ALONE.choices, ((0,), (0,)))), "for 2 tasks, not 1; search"),
    (lambda p: space(selection=((1,),)), r"a task's experts are \[1\]; name some of 0 to 0"),
    (lambda p: SearchSpace(space().choices, ((0,),), 0), "space.keep is 0; a task needs at least one expert"),
    (lambda p: space().mutate(Architecture({"interaction": (SKIP,), "pooling": (SUM, SUM)}, ((0,),)), Random(0)),
     "the architecture is not of this space: it differs in the cells of 'pooling'"),
    (lambda p: SearchSpace({"interaction": Choice(()), "pooling": Choice(((SUM,),))}, ((0,),), 1), "has 0 cells, not "),
    (lambda p: Architecture.from_dict({}), r"not an architecture: KeyError\('choices'\); expected choices and selecti"),
    # trees
    (lambda p: forest(leaf=np.zeros(3)), "'tree_start' of a forest has 0 entries, not 1"),
    (lambda p: forest(bias=np.zeros(1, np.int8)), r"'bias' of a forest is int8 of shape \(1,\); expected float64 of"),
    (lambda p: forest(columns=np.ones(1, np.int32), tree_start=np.zeros(1, np.int32)), "'bias' of a forest is for 0 "),
    (lambda p: lookup([0, 2], [1.0]), "'table_start' does not fit the tables"),
    (lambda p: lookup([0, 1, 1], [1.0]), "'table_start' does not ascend"),
    (lambda p: lookup([0, 1], [1.0], np.int32), r"'table_start' is int32 of shape \(2,\); expected int64"),
    (lambda p: LookupTables.split({"table_field": np.zeros(1, np.int32)}), "'table_start' is missing"),
    # serving
    (lambda p: plain({1}), r"\{1\} of type set cannot be kept; give a number or a text"),
    (lambda p: EventReader._change(cast(Any, None), 1, 5), "event 1 is no mapping of .*; correct it"),
    (lambda p: EventReader._change(cast(Any, None), 1, {"event_id": ""}), "event 1: 'event_id' is ''; give a text of"),
    (lambda p: EventReader._change(cast(Any, None), 1, {"event_id": "e", "row": 5}), "'row' is no mapping of columns "),
    (lambda p: EventReader._change(cast(Any, None), 1, {"event_id": "e"}), "neither 'row' nor 'labels'; give one of "),
    (lambda p: EventReader._labels(cast(Any, SimpleNamespace(labels=["click"])), "event 1", None, {"clik": 1}),
     "event 1: 'clik' is no label; did you mean 'click'"),
    (lambda p: Feed._texts(cast(Any, SimpleNamespace(_derived={"a": series(1)})), "a"), "'a' holds Int64; the exporte"),
    (lambda p: format_of(p, "xml"), "--format xml: there are csv, tsv"),  # type: ignore[arg-type]
    (lambda p: _as_texts(series([1], [2])), "--keep a: a column of lists cannot be kept where other parts are CSV fil"),
    (lambda p: Target(text(p / "a"), "csv", True).check(), "'.*a' is a file; choose another --out"),
    (lambda p: Target(text(p / "a").parent, "csv", True).check(), "exists and is not empty; choose another --out"),
    # datasets
    (lambda p: prepare(DATASETS.find("ali-ccp"), p, p / "a.parquet", "smal"), "has no variant 'smal'; .*known: "),
    (lambda p: prepare(DATASETS.find("ali-ccp"), p / "no", p / "a.parquet"), "folder '.*no' does not exist; make it a"),
    (lambda p: prepare(DATASETS.find("ali-ccp"), p, p / "a.parquet"), r"is missing \(of \d files, \d are\).*Unpack it"),
    (lambda p: RawFile._check_first_line(cast(Any, None), text(p / "a.csv")), r"'.*a\.csv' is empty; download it agai"),
    # tables
    (lambda p: read_table(p / "no.csv"), r"'.*no\.csv' does not exist; check the path"),
    (lambda p: read_table(text(p / "a.csv")), r"'.*a\.csv' is empty; give a table with a header and rows"),
    (lambda p: read_table(text(p / "a.csv", "a,b\n")), r"'.*a\.csv' has no rows; give a table with at least one row"),
    (lambda p: read_table(text(p / "a.parquet", "x")), r"'.*a\.parquet' cannot be read: .*; is it whole\? write it ag"),
    (lambda p: read_table((p / "a.csv").mkdir() or p / "a.csv" / "b.csv"), "does not exist; check the path"),
    (lambda p: read_table(text(p / "a.csv", 'a,b\n1,"2\n')), r"'.*a\.csv', row 1: "),
    (lambda p: read_table({"a": []}), "the data frame has no rows; give a table with at least one row"),
    (lambda p: read_table({"a": np.array([dt.time(1), "b", {1}], object)}), "holds values of the types set, str, time"),
    (lambda p: write_table(TABLE, p / "a.xml"), r"'.*a\.xml': cannot write this ending; use .parquet, .csv or .arrow"),
    (lambda p: check_names(["a", "a"], "it"), "it has column 'a' twice; rename one of them"),
    (lambda p: unreadable(p / "a.csv"), r"'.*a\.csv' cannot be read: Input/output error; check the file"),
    (lambda p: read_table({"a": Odd()}), "column 'a' of the data frame cannot be read: odd; convert it to text"),
    # schemas
    (lambda p: Schema.read(p / "no.yaml"), r"schema file '.*no\.yaml' does not exist; write one with 'automtl describ"),
    (lambda p: Schema.read(text(p / "a.yaml", "[")), r"schema file '.*a\.yaml' cannot be read: .*; correct it, or wri"),
    (lambda p: schema(fields=1), "schema: entry 'fields': Input should be a valid tuple; see 'automtl describe'"),
    (lambda p: schema(tasks=[]), "the schema has no task; name at least one label column with --task"),
    (lambda p: schema(fields=[]), "the schema has no input field; keep at least one column as a field"),
    (lambda p: schema(tasks=[{"name": ""}]), "a task has an empty name; name the label column"),
    (lambda p: schema(tasks=[{"name": "click", "weight": 0}]), "task 'click': weight 0.0 must be above 0; drop the ta"),
    (lambda p: schema(tasks=[{"name": "click", "clip": [0, 1]}]), "task 'click': 'clip' is not for a binary task; rem"),
    (lambda p: schema(outcomes=["click"]), "outcome 'click' is also a task; an outcome is known only after its row"),
    (lambda p: schema(funnel=["click", "buy"], tasks=[*TASKS, {"name": "buy", "kind": "regression"}]),
     "funnel: task 'buy' is a regression task, stages are binary; take it out"),
    (lambda p: schema(history={"keys": ["usr"]}), "history: key 'usr' is no field of one value; did you mean 'user'"),
    (lambda p: Field("a", FieldKind.NUMERIC, decimal=",", thousands=","), "'decimal' and 'thousands' are both ','; th"),
    (lambda p: Field("a", FieldKind.TIME, unit="s", format="%Y"), "'unit' is for numbers, 'format' for texts; give on"),
    (lambda p: resolve_schema(TABLE, ["clik"], ColumnRoles(), schema()), "task 'clik' is not in the schema file; did "),
    (lambda p: resolve_schema(TABLE[["click"]], ["click"], ColumnRoles(), None), "no input column is left; drop fewer"),
    (lambda p: split_table(TABLE, schema(), SplitSettings(method="time"), 0), "a split by time needs a time column; n"),
    (lambda p: split_table(TABLE, schema(), SplitSettings(method="user"), 0), "a split by user needs the user column;"),
    (lambda p: split_table(
        TABLE.with_columns(t=series(1, None, 2, 3)), schema(time="t"), SplitSettings(method="time"), 0),
     "time column 't' has 1 null values; drop those rows"),
    (lambda p: require_rows([1, 0, 1]), "the split leaves no validation rows; use a larger table or other shares"),
    # values
    (lambda p: infer_task(pl.DataFrame({"a": [0, 2]}), "a"), "found 2 in row 2; recode the column, or declare 'kind: "),
    (lambda p: check_labels(pl.DataFrame({"a": [0, 2]}), Task("a")), "labels must be 0 and 1, found 2 in row 2; recod"),
    (lambda p: check_labels(pl.DataFrame({"a": [0.0, -1.0]}), Task("a", TaskKind.REGRESSION, transform="log1p")),
     "task 'a': log1p needs labels of 0 or more, found -1.0 in row 2; remove 'transform', or cut labels"),
    (lambda p: check_weights(TABLE, schema(weight="weight")), "weight column 'weight' is 0 in all rows; correct it"),
    (lambda p: describe_tasks([TableRoles(TABLE, schema(weight="weight"))], schema(weight="weight")),
     "weight column 'weight' is 0 in all train rows; correct it"),
    (lambda p: as_labels(series("x"), "task"), "task 'a': values must be numbers, .* found 'x' in row 1; convert the "),
    (lambda p: as_labels(series(dt.date(2024, 1, 1)), "task"), "task 'a': values must be numbers, the column holds Da"),
    (lambda p: as_numbers(series(dt.date(2024, 1, 1))), "column 'a' is numeric in the schema but has type Date; conve"),
    (lambda p: as_text(series("1.5e+20")), r"column 'a' is read as ids but holds '1\.5e\+20', which a program has rou"),
    (lambda p: as_parts(series([[1]]), MULTI, 5), "column 'a' holds List.*; a multi-valued field is a list of ids"),
    (lambda p: as_moments(series(NOON), Field("a", FieldKind.TIME, zone="No/Where")), "field 'a': zone 'No/Where' is "),
    (lambda p: find_balancing(TrainingSettings(balancing=f"{__name__}:unmade"), Module(), torch.ones(2)),
     "unmade' needs a package that is not installed .no such library.; pip install"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message[:40] for _, message in CALLS])
def test_a_message_names_the_thing_and_the_remedy(call: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(AutomtlError, match=message) as found:
        call(tmp_path)
    assert str(found.value).isprintable()


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without_redis(name: str, *given: Any) -> Any:
        if name == "redis":
            raise ImportError(name)
        return genuine(name, *given)

    monkeypatch.setattr(builtins, "__import__", without_redis)
    with pytest.raises(AutomtlError, match=r"events in Redis need a package .* pip install 'automtl\[redis\]'"):
        RedisStore.open("redis://localhost:1/0/a")
