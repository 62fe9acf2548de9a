"""Tensors of the Open Inference Protocol, as JSON or as binary data behind it. N rows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from automtl.serving.server.problems import malformed

NUMBERS = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
TYPES: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,), "BYTES": (str,), "FP16": (float, int), "FP32": (float, int), "FP64": (float, int),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """The values of an input, N of them, None where there is none: an empty text, NaN, null in JSON."""

    name: str
    values: list[Any]


def read_inputs(given: Any, binary: memoryview, max_rows: int) -> list[Column]:
    """Read all input tensors, each of shape [N] or [N, 1]. binary: what stands behind the JSON. Raises Problem."""
    if not isinstance(given, list) or not given:
        raise malformed("the request has no 'inputs'; give a tensor for each column")
    found, start = list[Column](), 0
    for one in given:
        name, rows, datatype, size = _header(one)
        if rows > max_rows:
            raise malformed(f"input '{name}': {rows} rows are more than {max_rows}; send them in several requests")
        if size is None:
            values = _json_values(name, datatype, one.get("data"), rows)
        else:
            values = _binary_values(name, datatype, binary[start : start + size], size, rows)
            start += size
        found.append(Column(name, values))
    if start != len(binary):
        raise malformed(f"the binary data have {len(binary)} bytes, the inputs {start}; correct 'binary_data_size'")
    lengths = {len(one.values) for one in found}
    if len(lengths) > 1:
        raise malformed(f"inputs have {min(lengths)} and {max(lengths)} rows; give all of them one shape")
    if len({one.name for one in found}) < len(found):
        raise malformed("an input is given twice; leave one of them out")
    return found


def _header(tensor: Any) -> tuple[str, int, str, int | None]:
    """Return the name of an input, its rows, datatype and number of bytes of binary data. Raises Problem."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise malformed("an input is no object with a 'name'")
    name, shape, datatype = tensor["name"], tensor.get("shape"), tensor.get("datatype")
    if (
        not isinstance(shape, list) or len(shape) not in (1, 2) or not all(type(one) is int for one in shape)
        or shape[1:] not in ([], [1]) or shape[0] < 1
    ):  # fmt: skip
        raise malformed(f"input '{name}': its shape is {_shown(shape)}; give [N] or [N, 1], of at least one row")
    if not isinstance(datatype, str) or datatype not in ("BYTES", *NUMBERS):
        raise malformed(
            f"input '{name}': datatype {_shown(datatype)} is unknown; there are BYTES, {', '.join(NUMBERS)}"
        )
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise malformed(f"input '{name}': 'binary_data_size' is {_shown(size)}; give the number of bytes")
    return name, shape[0], datatype, size


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()[:100]


def _json_values(name: str, datatype: str, data: Any, rows: int) -> list[Any]:
    values = _flat(data) if isinstance(data, list) else None
    if values is None or len(values) != rows:
        given = "none" if values is None else len(values)
        raise malformed(f"input '{name}': 'data' has {given} values, its shape {rows}; give one a row")
    known = TYPES.get(datatype, (int,))
    for one in values:
        if one is not None and (not isinstance(one, known) or (isinstance(one, bool) and bool not in known)):
            raise malformed(f"input '{name}': {_shown(one)} is no {datatype}")
    if datatype == "BYTES":
        return [one or None for one in values]
    return [one if one == one else None for one in values]  # NaN is not itself


def _flat(data: list[Any]) -> list[Any]:
    """Return the values of a list whose elements may be lists of one value."""
    if all(isinstance(one, list) and len(one) == 1 for one in data):
        return [one[0] for one in data]
    return data


def _binary_values(name: str, datatype: str, data: memoryview, size: int, rows: int) -> list[Any]:
    if len(data) != size:
        raise malformed(f"input '{name}': the binary data end {size - len(data)} bytes too early")
    if datatype == "BYTES":
        return [one or None for one in _texts(name, data, rows)]
    kind = np.dtype(NUMBERS[datatype])
    if size != rows * kind.itemsize:
        raise malformed(f"input '{name}': {size} bytes are not {rows} values of {datatype}; correct the shape or data")
    values = np.frombuffer(data, kind)
    if kind.kind != "f":
        return list(values.tolist())
    return [one if one == one else None for one in values.tolist()]


def _texts(name: str, data: memoryview, rows: int) -> list[str]:
    """Read texts, each behind its length in 4 bytes."""
    found, place = list[str](), 0
    try:
        while place < len(data):
            (length,) = struct.unpack_from("<I", data, place)
            end = place + 4 + length
            if end > len(data):
                raise malformed(f"input '{name}': a text of {length} bytes is longer than the data")
            found.append(str(data[place + 4 : end], "utf-8"))
            place = end
    except struct.error:
        raise malformed(f"input '{name}': the binary data end within the length of a text") from None
    except UnicodeDecodeError:
        raise malformed(f"input '{name}': text {len(found)} is no UTF-8") from None
    if len(found) != rows:
        raise malformed(f"input '{name}': the binary data have {len(found)} texts, its shape {rows}")
    return found


def output_tensors(scores: Sequence[tuple[str, np.ndarray, bool]]) -> tuple[list[dict[str, Any]], bytes]:
    """Return tensors of scores, (N,) float64 each, and the binary data of those whose third entry says so."""
    tensors, parts = list[dict[str, Any]](), list[bytes]()
    for name, values, binary in scores:
        tensor: dict[str, Any] = {"name": name, "datatype": "FP64", "shape": [len(values)]}
        if binary:
            parts.append(values.astype("<f8").tobytes())
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = values.tolist()
        tensors.append(tensor)
    return tensors, b"".join(parts)
