"""The law: streaming gives what encoding the whole table in memory gives, bit by bit."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from automtl.errors import AutomtlError, SchemaError
from automtl.features.batch import Batch
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.roles import PARTS
from automtl.tables.split import SplitSettings
from automtl.tables.table import read_table
from tests.dataset.builder.tables import in_memory, make_schema, make_table, streamed, write_parts


def same_state(found: Encoder, expected: Encoder) -> None:
    (values, arrays), (other_values, other_arrays) = found.to_state(), expected.to_state()
    assert values == other_values
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[name], err_msg=name)


def same_rows(found: Batch, expected: Batch) -> None:
    for one, other in zip(found.features.multi, expected.features.multi, strict=True):
        width = max(one.shape[1], other.shape[1])
        wide = [torch.nn.functional.pad(ids, (0, width - ids.shape[1])) for ids in (one, other)]
        assert torch.equal(*wide)
    for name in ("categorical", "numeric"):
        torch.testing.assert_close(getattr(found.features, name), getattr(expected.features, name), rtol=0, atol=0)
    for name in ("labels", "mask", "weight", "group"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0, atol=0)


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_streaming_is_encoding_the_whole_table(data: st.DataObject) -> None:
    seed, rows = data.draw(st.integers(0, 10_000)), data.draw(st.integers(48, 120))
    time, weight, split = (data.draw(st.booleans()) for _ in range(3))
    method = data.draw(st.sampled_from(["random", "user", "time"] if time else ["random", "user"]))
    ending = data.draw(st.sampled_from([".parquet", ".csv", ".arrow"]))
    encoding = EncoderSettings(min_count=data.draw(st.integers(1, 3)), bins=data.draw(st.sampled_from([0, 4])))
    table, schema = make_table(seed, rows), make_schema(time=time, weight=weight, split=split)
    splitting = SplitSettings(method=method, shares=(0.5, 0.25, 0.25))  # type: ignore[arg-type]
    chunk, memory_bytes = data.draw(st.integers(12, 60)), data.draw(st.sampled_from([2**30, 2**16]))
    more = {"rows": chunk, "memory_bytes": memory_bytes, "readers": data.draw(st.integers(1, 3))}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, work = Path(folder) / "parts", Path(folder) / "work"
        write_parts(table, source, data.draw(st.integers(1, 4)), ending)

        def stream() -> tuple[Encoder, list[Batch], dict[str, Any]]:
            return streamed(work, source, schema, encoding, splitting, **more)

        try:
            encoder, batches = in_memory(read_table(source), schema, encoding, splitting)
        except AutomtlError as error:
            with pytest.raises(type(error)):
                stream()
            return
        found, stored, report = stream()
        same_state(found, encoder)
        assert [Coverage.from_dict(report["coverage"][part]) for part in PARTS] == [one.coverage for one in batches]
        for one, other in zip(stored, batches, strict=True):
            same_rows(one, other)


EMPTY = {
    "one": ["price"],
    "the target of a sequence": ["item"],
    "ids, a list and a number": ["wide", "tags", "size"],
    "a time and a part of a cross and of keys": ["at", "user"],
    "all but one": ["user", "item", "wide", "share", "flag", "tags", "seen", "price", "at"],
}


@pytest.mark.filterwarnings("ignore:column 'pair'")
@pytest.mark.parametrize("bins", [0, 4])
@pytest.mark.parametrize("names", EMPTY.values(), ids=EMPTY)
def test_columns_without_a_value_are_left_out_as_if_the_schema_had_no_such_field(
    names: list[str], bins: int, tmp_path: Path
) -> None:
    whole, schema = make_table(3, 96), make_schema(time=False, weight=True, split=True, group=False)
    trained = whole["part"] == "train"
    table = whole.with_columns(whole[name].set(trained, None) for name in names)
    gone = {*names, *(["seen"] if "item" in names else []), *(["pair"] if {"user", "item"} & set(names) else [])}
    encoding, splitting = EncoderSettings(min_count=1, bins=bins), SplitSettings()
    write_parts(table, tmp_path / "parts", 3, ".parquet")
    listed = ", ".join(f"'{field.name}'" for field in schema.fields if field.name in gone)
    message = f"^left out, without a value in the training rows: {listed}$"
    with pytest.warns(UserWarning, match=message) as told:
        encoder, batches = in_memory(table, schema, encoding, splitting)
    assert sum("left out" in str(one.message) for one in told) == 1
    with pytest.warns(UserWarning, match=message):
        found, stored, report = streamed(tmp_path / "work", tmp_path / "parts", schema, encoding, splitting)
    expected, rows = in_memory(whole, schema.without(gone), encoding, splitting)
    assert report["empty_columns"] == [field.name for field in schema.fields if field.name in gone]
    for one in (encoder, found):
        assert one.schema == expected.schema and one.layout == expected.layout
        same_state(one, expected)
    for others in (batches, stored):
        for one, other in zip(others, rows, strict=True):
            same_rows(one, other)
    same_rows(encoder.encode(table.drop(names)), encoder.encode(table))


def test_a_table_without_any_value_is_refused(tmp_path: Path) -> None:
    table, schema = make_table(3, 48), make_schema(time=False, weight=True, split=True, group=False)
    empty = table.with_columns(pl.lit(None, dtype=table.schema[name]).alias(name) for name in schema.columns)
    write_parts(empty, tmp_path / "parts", 1, ".parquet")
    with pytest.raises(SchemaError, match="no field has a value in the training rows"):
        in_memory(empty, schema, EncoderSettings(), SplitSettings())
    with pytest.raises(SchemaError, match="no field has a value in the training rows"):
        streamed(tmp_path / "work", tmp_path / "parts", schema, EncoderSettings(), SplitSettings())
