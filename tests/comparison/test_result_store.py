"""ResultStore appear whole, under the name of what was done, and refuse another comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.comparison.result_store import ResultStore, digest
from automtl.errors import ComparisonError, FileError
from automtl.tables.table import table_digest

IDENTITY = {"table content": "abc", "settings": {"training": {"learning_rate": 0.001}, "presets": [{"name": "a"}]}}


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    found = ResultStore(tmp_path / "out" / "results")
    found.open(IDENTITY, overwrite=False)
    return found


def test_a_result_and_its_scores_come_back_and_nothing_half_written_is_left(store: ResultStore) -> None:
    scores = np.random.default_rng(0).random((2, 7)).T  # not in C order, in which files are
    store.put("test-1", {"score": 0.1234567890123456789}, scores)
    assert store.get("test-1") == {"score": 0.1234567890123456789}
    assert store.get("test-2") is None
    assert np.array_equal(store.scores("test-1"), scores)
    assert {path.name for path in store.folder.iterdir()} == {"test-1.json", "test-1.safetensors"}
    assert len(list(store.folder.glob("*.json"))) == 1


def test_test_rows_are_written_once(store: ResultStore) -> None:
    first = {"labels": np.eye(2, dtype=np.float32), "group": np.array([3, 4])}
    store.keep_rows(first)
    store.keep_rows({"labels": np.zeros((2, 2))})
    assert {name: array.tolist() for name, array in store.rows().items()} == {
        "labels": [[1, 0], [0, 1]], "group": [3, 4],
    }  # fmt: skip


def test_another_comparison_is_refused_by_the_name_of_what_differs(store: ResultStore) -> None:
    store.put("test-1", {})
    store.open(IDENTITY, overwrite=False)
    changed = {**IDENTITY, "settings": {"training": {"learning_rate": 0.002}, "presets": [{"name": "a"}]}}
    with pytest.raises(ComparisonError, match=r"settings\.training\.learning_rate: 0\.001 there, 0\.002 now.*--overw"):
        store.open(changed, overwrite=False)
    with pytest.raises(ComparisonError, match=r"table content: abc there, def now.* its 1 finished trials"):
        store.open({**IDENTITY, "table content": "def"}, overwrite=False)
    store.open(changed, overwrite=True)
    assert not list(store.folder.glob("*.json"))
    store.open(changed, overwrite=False)


def test_a_damaged_result_is_named(store: ResultStore) -> None:
    (store.folder / "test-1.json").write_text("{")
    with pytest.raises(FileError, match=r"test-1\.json' cannot be read.*remove it"):
        store.get("test-1")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="file/results' cannot be written"):
        ResultStore(tmp_path / "file" / "results").open(IDENTITY, overwrite=False)


def test_the_digest_of_a_table_is_that_of_its_content() -> None:
    table = pl.DataFrame({"a": [1, 2, None], "words": [["x"], ["y", "z"], []], "text": ["p", None, "q"]})
    parts = pl.concat([table[:1], table[1:]], rechunk=False)
    assert table_digest(parts) == table_digest(table)
    others = [
        table.with_columns(a=pl.Series([1, 2, 3])),
        table.with_columns(text=pl.Series(["p", None, "r"])),
        table.with_columns(words=pl.Series([["x"], ["y"], ["z"]])),
        table.with_columns(a=pl.col("a").cast(pl.Float64)),
        table[::-1],
        table.rename({"a": "b"}),
        table[:2],
    ]
    assert len({table_digest(other) for other in (table, *others)}) == 8


def test_the_order_of_names_does_not_change_a_digest() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1}) != digest({"a": 1, "b": [2, 1]})


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"extra": None}, "extra: absent there, None now"), ({"tags": []}, r"tags: absent there, \[\]")],
)
def test_a_setting_that_another_automtl_does_not_have_is_named(
    store: ResultStore, setting: dict[str, object], words: str
) -> None:
    with pytest.raises(ComparisonError, match=words):
        store.open(IDENTITY | setting, overwrite=False)
