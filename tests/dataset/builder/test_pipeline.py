"""The law: streaming gives what encoding the whole table in memory gives, bit by bit."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from automtl.errors import AutomtlError
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
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, work = Path(folder) / "parts", Path(folder) / "work"
        write_parts(table, source, data.draw(st.integers(1, 4)), ending)

        def stream() -> tuple[Encoder, list[Batch], dict[str, Any]]:
            return streamed(work, source, schema, encoding, splitting, rows=chunk, memory_bytes=memory_bytes)

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
