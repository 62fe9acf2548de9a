"""The law: histories of a preparation are those of the whole table in memory, bit by bit."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from automtl.dataset.store import DataLoaderSettings, data_loader
from automtl.errors import AutomtlError
from automtl.experiment.source import TableSource
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, split_table
from automtl.tables.table import read_table
from tests.dataset.builder.tables import FIELDS, TASKS, make_table, streamed, write_parts
from tests.dataset.builder.test_pipeline import same_rows, same_state

HISTORY: dict[str, Any] = {"keys": [["user"], ["item"], ["price"], ["user", "flag"]], "last": 2, "session": "3s"}
SEQUENCE = {"key": "user", "fields": ["item", "wide", "user"], "length": 3}


def make_schema(time: str, split: bool, **history: Any) -> Schema:
    fields = [one for one in FIELDS if one["name"] != "size"]
    unit = {"unit": "s"} if time == "when" else {}
    roles = {"time": time, **({"split": "part"} if split else {})}
    return Schema.from_dict(
        {"fields": fields, "tasks": TASKS, "outcomes": ["size"], "history": HISTORY | unit | history, **roles}
    )


def in_memory(
    table: pl.DataFrame, schema: Schema, encoding: EncoderSettings, split: SplitSettings
) -> tuple[Encoder, list[Batch]]:
    source = TableSource(split_table(table, schema, split, 0), schema, 0)
    with data_loader(DataLoaderSettings()) as loader:
        encoder, train, valid = source.encode(encoding, loader)
        return encoder, [train, valid, source.test(encoder, loader, train)]


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_histories_of_chunks_are_those_of_the_whole_table(data: st.DataObject) -> None:
    table = make_table(data.draw(st.integers(0, 10_000)), data.draw(st.integers(48, 120)))
    split, frozen, sequences = (data.draw(st.booleans()) for _ in range(3))
    delay = data.draw(st.sampled_from(["0s", "5s", {"click": "2s", "size": "1h"}]))
    sequence = data.draw(st.sampled_from([SEQUENCE, False]))
    schema = make_schema(
        data.draw(st.sampled_from(["when", "at"])), split, label_delay=delay, frozen=frozen, sequence=sequence,
        max_keys=data.draw(st.sampled_from([3, 1000])),
    )  # fmt: skip
    encoding = EncoderSettings(min_count=2, bins=0, sequences=sequences)
    splitting = SplitSettings(method=data.draw(st.sampled_from(["random", "time"])), shares=(0.5, 0.25, 0.25))
    chunk, memory_bytes = data.draw(st.integers(12, 60)), data.draw(st.sampled_from([2**30, 2**16]))
    more = {"rows": chunk, "memory_bytes": memory_bytes, "readers": data.draw(st.integers(1, 3))}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, work = Path(folder) / "parts", Path(folder) / "work"
        write_parts(table, source, data.draw(st.integers(1, 4)), data.draw(st.sampled_from([".parquet", ".csv"])))

        def stream() -> tuple[Encoder, list[Batch], dict[str, Any]]:
            return streamed(work, source, schema, encoding, splitting, **more)

        try:
            encoder, batches = in_memory(read_table(source), schema, encoding, splitting)
        except AutomtlError as error:
            with pytest.raises(type(error)):
                stream()
            return
        for _ in range(2):  # the second run goes on from what the first one left
            found, stored, _ = stream()
            same_state(found, encoder)
            for one, other in zip(stored, batches, strict=True):
                same_rows(one, other)
