"""Arrays of a chunk come back as they were written, with codes of as few bytes as they need; what leaves the memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from automtl.dataset.builder.workdir import Work, write_chunk
from automtl.features.settings import EncoderSettings
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings
from tests.dataset.builder.tables import in_memory, streamed, write_parts
from tests.dataset.builder.test_pipeline import same_rows, same_state

ARRAYS = {
    "whole": np.arange(5000),
    "small": np.arange(3, dtype=np.uint8),
    "rows": np.arange(12.0).reshape(4, 3),
    "columns": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    "none": np.zeros((0, 2), np.uint16),
}


def test_arrays_of_a_chunk_come_back_with_type_and_shape(tmp_path: Path) -> None:
    work = Work(tmp_path)
    with work.step("chunks/00000000") as folder:
        write_chunk(folder, ARRAYS, {"rows": 4})
    (chunk,) = work.chunks
    for name, values in ARRAYS.items():
        found = chunk.array(name)
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(found, values)


def test_codes_that_outgrow_their_bytes_stand_for_the_same_values(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), 90_000
    values = rng.permutation(np.arange(rows) // 1.2).astype(int)  # 75 thousand differ
    click = (rng.random(rows) < 0.2).astype(int)
    table = pl.DataFrame({"wide": values, "text": [f"u{value}" for value in values], "few": values % 7, "click": click})
    names = ("wide", "text", "few")
    fields = [{"name": name, "kind": "categorical"} for name in names]
    schema = Schema.from_dict({"fields": fields, "tasks": [{"name": "click"}]})
    write_parts(table, tmp_path / "parts", 1, ".arrow")
    encoding, splitting = EncoderSettings(min_count=1), SplitSettings(method="random")
    encoder, batches = in_memory(table, schema, encoding, splitting)
    found, stored, _ = streamed(tmp_path / "work", tmp_path / "parts", schema, encoding, splitting, rows=9000)
    same_state(found, encoder)
    for one, other in zip(stored, batches, strict=True):
        same_rows(one, other)
    chunks = Work(tmp_path / "work").chunks
    wide, text, few = ([chunk.array(f"ids.{place}").itemsize for chunk in chunks] for place in range(len(names)))
    assert wide == text == sorted(wide)
    assert (set(wide), set(few)) == ({2, 4}, {1})


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
@pytest.mark.parametrize(("memory_bytes", "stays"), [(2**30, True), (2**14, False)])
def test_rows_beyond_the_memory_given_leave_it_once_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int, stays: bool
) -> None:
    advised: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: advised.append(given[-1]))
    table = pl.DataFrame({"few": np.arange(2000) % 7, "click": np.arange(2000) % 3 == 0})
    schema = Schema.from_dict({"fields": [{"name": "few", "kind": "categorical"}], "tasks": [{"name": "click"}]})
    write_parts(table, tmp_path / "parts", 1, ".arrow")
    encoding, splitting = EncoderSettings(min_count=1), SplitSettings(method="random")
    given = (tmp_path / "work", tmp_path / "parts", schema, encoding, splitting)
    streamed(*given, rows=500, memory_bytes=memory_bytes)
    assert (not advised) == stays
