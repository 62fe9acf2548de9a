"""Random tables: files through the commands `describe` and `check`, frames through their functions, and some fits."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from automtl.cli import app
from automtl.config import make_settings
from automtl.dataset.store import data_loader
from automtl.errors import AutomtlError
from automtl.experiment.check import check_table
from automtl.experiment.fit import fit_table
from automtl.experiment.source import TableSource, open_source
from automtl.tables.columns import ColumnRoles, check_columns, resolve_schema
from automtl.tables.describe import summarize
from automtl.tables.history_text import history_lines
from automtl.tables.table import read_table
from tests.faults.inputs.bent import TEXTS, bend_text
from tests.forms.files import FORMS
from tests.forms.kinds import KINDS
from tests.forms.law import choose, make_table

SETTINGS = make_settings({
    "model": "shared-bottom", "presets": [], "training": {"epochs": 1}, "network": {"embedding_size": 2, "width": 4,
    "towers": [4]},
})  # fmt: skip
FITTED = 0.02  # share of tables that are fitted
NAMES = (
    "user_id", "item", "ts", "time", "click", "label", "a", "", " ", "été", "x\ny", "\x00", "\x1f", "a'b", 'a"b',
    "`a`", "*",
    "^a$", "nan", "1", "-a", "--task", "a=b", "a,b", "[/a]", "{a}", "%s", "\u202e", "y" * 300, "__index_level_0__",
    "literal",
    "index", "row", "weight", "split", "name\ud800",
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, 0, 1, -1, True, 2**53 + 1, 2**63, 2**64, 10**40, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, -0.0,
    Decimal("1e-30"), Decimal("nan"), Decimal("9" * 40), dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.datetime(1, 1, 1),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.time(1), dt.timedelta(1),
    dt.timedelta.max, b"\xff", [], [1, None], [[1], []], ["a", 1], (), (1,), {}, {"a": 1}, {"a": [1]}, {1}, 1 + 2j,
    np.float32(1), np.int8(1), np.datetime64("NaT"), np.datetime64("2024"), np.array([1, 2]), np.zeros((2, 2)), pd.NA,
    pd.Timestamp("2024"), pd.Period("2024"), pd.Interval(0, 1), UUID(int=1), object(), print, *TEXTS,
)  # fmt: skip
LABELS: tuple[list[Any], ...] = (
    [0, 1], [0, 1], [0, 1], [0, 1], [True, False], [0.0, 1.0, math.nan], [1], [0, 2], ["yes", "no"], [0, 1, None],
)  # fmt: skip
DTYPES: tuple[Any, ...] = (
    pl.Null(), pl.Int8(), pl.UInt64(), pl.Int128(), pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Date(),
    pl.Datetime("ns"), pl.Datetime("us", "Asia/Kathmandu"), pl.Datetime("ms"), pl.Duration("us"), pl.Time(),
    pl.Binary(),
    pl.Categorical(), pl.Enum(["a", "b"]), pl.Decimal(38, 10), pl.List(pl.Int64()), pl.List(pl.List(pl.String())),
    pl.List(pl.Float32()), pl.List(pl.Boolean()), pl.List(pl.Date()), pl.Array(pl.Int32(), 2), pl.Object(),
    pl.Struct({"a": pl.Int64(), "b": pl.List(pl.String())}), pl.List(pl.Struct({"a": pl.Int64()})), pl.List(pl.Null()),
)  # fmt: skip


def try_table(rng: Random, folder: Path) -> None:
    """Describe a table, check it and encode it; fit a small model for some."""
    source = drawn(rng, folder)
    tasks, named = roles_of(rng, source)
    if isinstance(source, Path):
        by_commands(source, tasks, named)
    roles = ColumnRoles(**{name: (value,) if name in ("drop", "outcomes") else value for name, value in named.items()})
    table = read_table(source)
    schema = resolve_schema(table, tasks, roles, None)
    check_columns(table, schema)
    summarize(table, schema)
    history_lines(schema, inferred=True)
    schema.text()
    check_table(source, tasks, roles=roles, settings=SETTINGS)
    rows, settings = open_source(source, tasks, roles, None, SETTINGS, 0)
    with data_loader(settings.data_loader) as loader:
        encoder, train, valid = rows.encode(settings.encoder, loader)
        assert len(train) and len(valid) and rows.test(encoder, loader, train)
    assert (
        isinstance(rows, TableSource)
        and np.isfinite(encoder.encode(table.head(3), labels=False).features.numeric.numpy()).all()
    )
    if rng.random() < FITTED:
        fit_table(source, tasks, roles=roles, settings=SETTINGS, out=folder / "run", overwrite=True)


def by_commands(path: Path, tasks: list[str], named: dict[str, str]) -> None:
    """Run the commands on a file."""
    options = [f"--{name.replace('outcomes', 'outcome')}={value}" for name, value in named.items() if name != "split"]
    options += [f"--task={name}" for name in tasks]
    for command in ("describe", "check"):
        app([command, str(path), *options], standalone_mode=False)


def roles_of(rng: Random, source: Any) -> tuple[list[str], dict[str, str]]:
    """Draw the names of tasks, most of them labels, and of columns with a role."""
    try:
        names = read_table(source).columns
    except AutomtlError:
        names = ["a", "click"]
    labels = [name for name in names if name in ("click", "label", "y")]
    tasks = (
        rng.sample(labels or names, 1) if rng.random() < 0.8 else rng.sample(names, min(len(names), rng.randint(0, 2)))
    )
    roles = {
        role: rng.choice(names)
        for role in ("time", "group", "weight", "drop", "outcomes", "split")
        if rng.random() < 0.12
    }
    return tasks, {role: name for role, name in roles.items() if name not in tasks or rng.random() < 0.1}


def drawn(rng: Random, folder: Path) -> Any:
    """Draw a table: odd columns in a frame or file, a table of the campaign of forms, or a bent file."""
    kind = rng.random()
    if kind < 0.55:
        return stored(rng, folder, odd_columns(rng))
    if kind < 0.7:
        return of_forms(rng, folder)
    path = (
        stored(rng, folder, odd_columns(rng))
        if kind < 0.8
        else folder / rng.choice(("bent.csv", "bent.tsv", "bent.csv.gz"))
    )
    if not isinstance(path, Path):
        return path
    if kind < 0.8:
        content = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 5)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice((len(content), rng.randrange(len(content))))])
    else:
        path.write_bytes(bent_csv(rng).encode("utf-8", "surrogatepass"))
    return path


def bent_csv(rng: Random) -> str:
    """Write a CSV text and bend it."""
    rows = rng.choice((1, 3, 40, 120))
    lines = ["user_id,item,ts,click", *(f"{n % 7},i{n % 5},2024-01-{n % 28 + 1:02d},{n % 3 % 2}" for n in range(rows))]
    text = rng.choice(("\n", "\r\n", "\r")).join(lines).replace(",", rng.choice((",", ";", "\t", "|", " ")))
    return bend_text(rng, text)


def of_forms(rng: Random, folder: Path) -> Any:
    """Draw a table whose kinds and forms are right."""
    table = make_table(rng, rng.sample(list(KINDS), rng.randint(1, 4)), rng.choice((24, 60)))
    found = None
    while found is None:
        found = choose(rng, table, rng.choice(list(FORMS)))
    return found.source(folder, rng.randrange(10**6), table.marks, f"table{rng.randrange(3)}")


def odd_columns(rng: Random) -> dict[str, Any]:
    """Draw odd columns of one length, or nearly, and a label."""
    rows = rng.choice((0, 1, 2, 5, 30, 30, 60))
    plain = {"user_id": [n % 7 for n in range(rows)], "price": [n * 0.5 for n in range(rows)]}
    columns: dict[str, Any] = dict(plain) if rng.random() < 0.6 else {}
    columns |= {name: odd_column(rng, rows) for name in rng.sample(NAMES, rng.choice((0, 1, 1, 2, 3)))}
    if rng.random() < 0.9:
        labels = rng.choice(LABELS)
        columns[rng.choice(("click", "label", "y"))] = [labels[(n * 7 + n // 3) % len(labels)] for n in range(rows)]
    return columns


def odd_column(rng: Random, rows: int) -> Any:
    """Draw a column: random values of a type, some odd Python values, or plain ones with a guest."""
    kind = rng.randrange(5)
    if kind == 0:
        return typed(rng, rng.choice(DTYPES), rows)
    if kind == 1:
        pool = rng.choices(ODD, k=rng.randint(1, 3))
        return [rng.choice(pool) for _ in range(rows)]
    plain: Callable[[int], Any] = rng.choice((
        lambda n: n % 5, lambda n: n * 1e300 * (-1) ** n, lambda n: f"w{n % 4}", lambda n: dt.datetime(2024, 1,
        1) + dt.timedelta(hours=n),
        lambda n: [n % 3, n % 2], lambda n: None, lambda n: 7, lambda n: math.nan, lambda n: n * 86400 + 1_700_000_000,
        lambda n: f"{n % 3}|{n % 4}", lambda n: n % 2 == 0, lambda n: f"2024-01-{n % 28 + 1:02d}",
    ))  # fmt: skip
    guest = rng.choice(ODD)
    return [guest if kind == 2 and rng.random() < 0.1 else plain(n) for n in range(rows)]


def typed(rng: Random, dtype: Any, rows: int) -> Any:
    """Draw a polars column of a type."""
    pool = {
        "String": TEXTS[:20], "Categorical": ["a", "b", "", "é"], "Enum": ["a", "b"], "Boolean": [True, False],
        "Binary": [b"", b"\xff"],
        "Date": [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29)], "Time": [dt.time(0), dt.time(23, 59)],
        "Datetime": [dt.datetime(1970, 1, 1), dt.datetime(2024, 3, 31, 2, 30), dt.datetime(2200, 1, 1)],
        "Duration": [dt.timedelta(0), dt.timedelta(-5), dt.timedelta(9999)], "Struct": [{"a": 1, "b": ["x"]}, None],
        "Null": [None],
        "Object": [object(), 1, "a"], "Decimal": [Decimal(1), Decimal("2.5")], "Array": [[1, 2], [3, 4]],
        "Float32": [0.5, math.nan, math.inf, 3e38], "Float64": [0.5, math.nan, -math.inf, 1e308, 5e-324],
        "Int8": [-128, 127, 0],
        "UInt64": [2**64 - 1, 0, 2**63], "Int128": [2**126, -(2**126), 0],
    }  # fmt: skip
    name = str(dtype.base_type()) if not hasattr(dtype, "inner") or str(dtype).startswith("Array") else "List"
    values = pool.get(name) or [[], None, *{
        pl.Int64(): [[1, 2], [None]], pl.Float32(): [[math.nan], [0.5]], pl.Boolean(): [[True]],
        pl.Date(): [[dt.date(2024, 1, 1)]],
        pl.Null(): [[None]],
    }.get(dtype.inner, [])]  # fmt: skip
    return pl.Series([rng.choice([*values, None]) for _ in range(rows)], dtype=dtype, strict=False)


def stored(rng: Random, folder: Path, columns: dict[str, Any]) -> Any:
    """Store columns as a frame of a library or as a file; as plain columns where that is not possible."""
    forms: tuple[Callable[[], Any], ...] = (
        lambda: columns, partial(_rows, columns), partial(_polars, columns), partial(_pandas, rng, columns),
        partial(_arrow, columns),
        partial(_file, rng, folder, columns, "parquet"), partial(_file, rng, folder, columns, "csv"),
        partial(_file, rng, folder, columns, "arrow"), partial(_pandas_parquet, folder, columns),
    )  # fmt: skip
    try:
        return rng.choice(forms)()
    except BaseException:  # another library refuses
        return columns


def _rows(columns: dict[str, Any]) -> Any:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _polars(columns: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            name: values if isinstance(values, pl.Series) else pl.Series(values, strict=False)
            for name, values in columns.items()
        }
    )


def _pandas(rng: Random, columns: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {name: pd.Series(list(values), dtype=rng.choice((None, object))) for name, values in columns.items()}
    )
    kind = rng.randrange(6)
    if kind == 0 and len(frame.columns) > 1:
        frame.columns = [frame.columns[-1], *frame.columns[1:]]
    if kind == 1:
        frame.columns = pd.MultiIndex.from_tuples([(name, "b") for name in frame.columns])
    if kind == 2:
        frame = frame.set_index(frame.columns[0])
    if kind == 3:
        frame = frame.astype("category")
    return frame


def _arrow(columns: dict[str, Any]) -> pa.Table:
    return pa.table(
        {
            name: values.to_arrow() if isinstance(values, pl.Series) else pa.array(values)
            for name, values in columns.items()
        }
    )


def _file(rng: Random, folder: Path, columns: dict[str, Any], ending: str) -> Path:
    path, frame = folder / f"odd.{ending}", _polars(columns)
    if ending == "parquet":
        frame.write_parquet(path)
    elif ending == "arrow":
        frame.write_ipc(path)
    else:
        frame.write_csv(path, separator=rng.choice((",", ";", "\t")))
    return path


def _pandas_parquet(folder: Path, columns: dict[str, Any]) -> Path:
    path = folder / "pandas.parquet"
    pd.DataFrame({name: list(values) for name, values in columns.items()}).to_parquet(path)
    return path
