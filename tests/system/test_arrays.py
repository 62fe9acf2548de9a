"""Files of arrays that are written and read piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import numpy as safe_numpy

from automtl.system.arrays import TYPES, mapped_arrays, write_arrays

ARRAYS = {f"{kind} {size}": np.arange(size).astype(kind) for kind in TYPES.values() for size in (0, 1, 3, 8)}
ARRAYS |= {"wide": np.arange(12.0).reshape(3, 4), "turned": np.arange(12).reshape(3, 4).T, "none": np.zeros((2, 0))}


def test_arrays_are_those_that_safetensors_reads(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", ARRAYS)
    for found in (safe_numpy.load_file(tmp_path / "a"), mapped_arrays(tmp_path / "a")):
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array, strict=True)


def test_files_are_those_that_safetensors_writes(tmp_path: Path) -> None:
    solid = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    write_arrays(tmp_path / "a", solid)
    assert (tmp_path / "a").stat().st_size == len(safe_numpy.save(solid))


def test_a_file_without_elements_can_be_read(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a", {"none": np.zeros((2, 0), np.int16)})
    assert mapped_arrays(tmp_path / "a")["none"].shape == (2, 0)
