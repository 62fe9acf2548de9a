"""Encoded rows in files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from automtl.dataset.store import DataLoaderSettings, Store, data_loader, slices
from automtl.errors import FileError
from automtl.features.batch import Batch, Features, iterate, subset
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.infer import infer_schema
from tests.conftest import small_batch, small_layout


def same(left: Batch, right: Batch) -> bool:
    pairs = zip(left.tensors, right.tensors, strict=True)
    return all(a.shape == b.shape and torch.equal(a.double(), b.double()) for a, b in pairs)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.write(tmp_path / "rows", slices(small_batch(40), 9), small_layout())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("cached", [True, False])
def test_rows_that_are_not_cached_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    dropped: set[str] = set()

    def advised(file: int, offset: int, count: int, advice: int) -> None:
        assert (offset, count, advice) == (0, 0, os.POSIX_FADV_DONTNEED)
        dropped.add(Path(f"/proc/self/fd/{file}").resolve().name)

    monkeypatch.setattr(os, "posix_fadvise", advised)
    found = Store.write(tmp_path / "rows", slices(small_batch(40), 9), small_layout(), cached=cached)
    found.verify()
    assert same(found.rows(), small_batch(40))
    assert dropped == (set() if cached else {path.name for path in found.folder.glob("*.bin")})


@pytest.mark.parametrize("part", [1, 7, 100])
def test_rows_written_in_parts_are_read_back_as_they_were(tmp_path: Path, part: int) -> None:
    rows = replace(small_batch(40), group=torch.arange(40) * 10**10)
    found = Store.write(tmp_path / "rows", slices(rows, part), small_layout())
    assert same(found.rows(), rows)
    assert found.rows().features.categorical.dtype == torch.int32
    assert found.num_bytes == sum(path.stat().st_size for path in found.folder.glob("*.bin"))
    assert found.layout == small_layout()
    found.verify()


def test_lists_of_sequences_are_read_back_and_a_missing_one_is_named(store: Store) -> None:
    assert store.layout == small_layout()
    found, expected = store.rows().features.multi, small_batch(40).features.multi
    assert len(found) == len(expected) == 1 + 4
    assert all(torch.equal(a.long(), b) for a, b in zip(found, expected, strict=True))
    manifest = store.folder / "manifest.json"
    index = json.loads(manifest.read_text())
    del index["arrays"]["multi.4"]
    manifest.write_text(json.dumps(index))
    with pytest.raises(FileError, match=r"'multi\.4' is missing"):
        Store.open(store.folder)


@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_lists_of_another_length_in_every_part_are_padded(
    widths: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def part(width: int) -> Batch:
        rows = small_batch(4, seed=width)
        ids = torch.arange(1, width + 1).expand(4, width)
        return replace(rows, features=Features(rows.features.categorical, (ids,), rows.features.numeric))

    parts = [part(width) for width in widths]
    layout = replace(small_layout(), sequences=())
    store = Store.write(tmp_path_factory.mktemp("rows") / "rows", parts, layout)
    (found,) = store.rows().features.multi
    expected = torch.zeros(4 * len(widths), max(widths), dtype=torch.int32)
    for index, width in enumerate(widths):
        expected[4 * index : 4 * index + 4, :width] = torch.arange(1, width + 1)
    assert torch.equal(found, expected)
    store.verify()
    assert sorted(path.suffix for path in store.folder.iterdir()) == [".bin"] * 6 + [".json"]


def test_a_table_without_rows_can_be_stored(tmp_path: Path) -> None:
    found = Store.write(tmp_path / "rows", slices(small_batch(0), 5), small_layout()).rows()
    assert len(found) == 0
    assert list(iterate(found, 4, torch.Generator().manual_seed(0))) == []


def test_mapped_rows_give_the_same_batches_as_rows_in_memory(store: Store) -> None:
    mapped, held = (
        list(iterate(rows, 8, torch.Generator().manual_seed(2))) for rows in (store.rows(10**9), small_batch(40))
    )
    assert all(same(a, b) for a, b in zip(mapped, held, strict=True))


def test_rows_larger_than_the_memory_given_are_shuffled_by_blocks(store: Store) -> None:
    rows = store.rows(store.num_bytes // 2)
    assert rows.buffer_rows == 20
    parts = list(iterate(rows, 8, torch.Generator().manual_seed(2)))
    numeric = torch.cat([part.features.numeric for part in parts])
    assert torch.equal(numeric.sort(0).values, small_batch(40).features.numeric.sort(0).values)


def test_a_change_in_place_does_not_reach_the_file(store: Store) -> None:
    store.rows().labels.fill_(7.0)
    store.verify()
    assert same(store.rows(), small_batch(40))


def test_an_error_in_a_part_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Batch]:
        yield small_batch(5)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        Store.write(tmp_path / "rows", broken(), small_layout())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from automtl.dataset.store import Store
from tests.conftest import small_batch, small_layout
def parts():
    yield small_batch(5)
    os.kill(os.getpid(), signal.SIGKILL)
Store.write(sys.argv[1], parts(), small_layout())
"""


def test_a_killed_write_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    target = tmp_path / "rows"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", KILLED, str(target)], env=environment, check=False)
    assert result.returncode == -signal.SIGKILL
    assert not target.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".rows.")
    with pytest.raises(FileError, match="interrupted"):
        Store.open(left)
    Store.write(target, slices(small_batch(5), 5), small_layout())


def test_what_exists_is_not_overwritten(store: Store) -> None:
    with pytest.raises(FileError, match="exists"):
        Store.write(store.folder, slices(small_batch(5), 5), small_layout())
    assert same(Store.open(store.folder).rows(), small_batch(40))


@pytest.mark.parametrize("name", ["categorical", "multi.0", "numeric", "labels", "mask", "weight"])
def test_a_truncated_a_missing_and_a_changed_file_are_named(store: Store, name: str) -> None:
    path = store.file(name)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FileError, match=rf"{name}\.bin' was changed.*prepare the table again"):
        Store.open(store.folder).verify()
    path.write_bytes(content[:-1])
    with pytest.raises(
        FileError, match=rf"{name}\.bin' is truncated: {len(content) - 1} bytes, .*prepare the table again"
    ):
        Store.open(store.folder)
    path.unlink()
    with pytest.raises(FileError, match=rf"{name}\.bin' is missing; prepare the table again"):
        Store.open(store.folder)


def test_folders_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(FileError, match="no folder of encoded rows"):
        Store.open(tmp_path)
    for content, message in (
        ("{", "cannot be read"),
        ("[]", "not written by automtl"),
        ('{"kind": "x"}', "not written"),
    ):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(FileError, match=message):
            Store.open(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 99, "has format 99"),
        ("byte_order", "middle", "byte order"),
        ("rows", 41, "damaged"),
        ("arrays", {}, "array 'categorical' is missing"),
        ("layout", {}, "damaged"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(store: Store, key: str, value: object, message: str) -> None:
    path = store.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(FileError, match=message):
        Store.open(store.folder)


def test_one_rule_says_whether_rows_are_kept_in_files() -> None:
    assert not DataLoaderSettings(memory_bytes=100).uses_files(100)
    assert DataLoaderSettings(memory_bytes=100).uses_files(101)
    assert DataLoaderSettings(mapped=True).uses_files(1)
    assert DataLoaderSettings().budget_bytes > 2**20


def test_a_table_encoded_part_by_part_is_what_it_is_when_encoded_at_once(log: pl.DataFrame, tmp_path: Path) -> None:
    table = log.with_columns(tags=pl.concat_list("hour", "hour").list.head(pl.col("hour") % 3))
    schema = infer_schema(table, ["click"], drop=("like", "buy", "cart"), group="user_id")
    encoder, rows = Encoder.fit(table, schema, EncoderSettings(), 0)
    with data_loader(DataLoaderSettings(mapped=True, part_rows=100), tmp_path / "run") as loader:
        assert same(loader.hold(rows, encoder.layout), rows)
        parts, whole = loader.encode(encoder, table, like=rows), encoder.encode(table)
        assert same(replace(parts, group=None), replace(whole, group=None))
        assert parts.group is not None
        assert whole.group is not None
        pairs = torch.stack([parts.group, whole.group], dim=1).unique(dim=0)  # the same groups, whatever their numbers
        assert len(pairs) == len(parts.group.unique()) == len(whole.group.unique())
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


def test_rows_that_fit_stay_in_memory_and_nothing_is_written(log: pl.DataFrame, tmp_path: Path) -> None:
    rows = small_batch(5)
    with data_loader(DataLoaderSettings(), tmp_path / "run") as loader:
        assert loader.hold(rows, small_layout()) is rows
        assert list(tmp_path.iterdir()) == []


HOLDING = """
import signal, sys
from automtl.dataset.store import DataLoaderSettings, data_loader
from tests.conftest import small_batch, small_layout
with data_loader(DataLoaderSettings(mapped=True), sys.argv[1]) as loader:
    loader.hold(small_batch(5), small_layout())
    print("holds", flush=True)
    signal.pause()
"""


def test_files_of_a_killed_process_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "run")]
    held: dict[subprocess.Popen[str], Path] = {}
    for _ in range(2):
        before = set(tmp_path.iterdir())
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        (held[process],) = set(tmp_path.iterdir()) - before
    (killed, gone), (living, kept) = held.items()
    killed.kill()
    killed.communicate()
    with data_loader(DataLoaderSettings(), tmp_path / "run"):
        assert set(tmp_path.iterdir()) == {kept}
    living.kill()
    living.communicate()
    assert gone != kept


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rows_beyond_the_memory_given_leave_it_after_they_were_read(tmp_path: Path) -> None:
    features = Features(torch.ones(200_000, 50, dtype=torch.int32), (), torch.ones(200_000, 2))
    labels = torch.ones(200_000, 1)
    layout = replace(small_layout(1), categorical=small_layout().categorical[:1] * 50, multi=(), sequences=())
    layout = replace(layout, numeric=small_layout().numeric[1:])
    stored = Store.write(tmp_path / "rows", [Batch(features, labels, labels, torch.ones(200_000))], layout)
    rows = stored.rows(2**20)

    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssFile:")[1].split()[0]) * 1024

    generator = torch.Generator().manual_seed(0)
    before, seen = resident(), []
    for batch in iterate(rows, 1000):
        seen.append((float(batch.features.categorical.sum()), resident()))
    for batch in iterate(rows, 1000, generator):
        seen.append((float(batch.features.categorical.sum()), resident()))
    drawn = subset(rows, 5000, seed=0)
    assert same(drawn, subset(rows, 5000, seed=0)) and len(drawn) == 5000
    assert {total for total, _ in seen} == {50_000.0}
    assert stored.num_bytes > 40e6
    assert max(size for _, size in seen) - before < 12e6
    assert resident() - before < 12e6
