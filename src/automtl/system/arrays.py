"""Files of arrays in the safetensors format that are never whole in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F32": "float32", "F64": "float64",
}  # fmt: skip
NAMES = {kind: name for name, kind in TYPES.items()}
ALIGNED = 8  # bytes


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name, the widest types first, so that each is aligned; `safetensors` reads them."""
    ordered = sorted(arrays.items(), key=lambda one: (-one[1].itemsize, one[0]))
    header, end = {}, 0
    for name, array in ordered:
        start, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype.name], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array).data)


def mapped_arrays(path: Path) -> dict[str, np.ndarray]:
    """Map the arrays of a file that `write_arrays` wrote: they are read when they are used."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    content = np.asarray(np.memmap(path, np.uint8, "r", 8 + size)) if path.stat().st_size > 8 + size else np.zeros(0)
    return {
        name: content[slice(*one["data_offsets"])].view(TYPES[one["dtype"]]).reshape(one["shape"])
        for name, one in header.items()
    }
