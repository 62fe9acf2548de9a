"""Changes of one file of a model folder, as somebody would make them who wants to harm whoever loads it."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Place = tuple[Any, Any]  # a dictionary or list, and a key or place in it
Files = Mapping[str, bytes]

NAMES = (
    "automtl_canary:Thing", "os:system", "antigravity:geohash", "subprocess:Popen", "builtins:eval", "../../etc/passwd",
    "/etc/passwd", "torch.nn:Linear", "torch.nn:Module", "automtl.models.network:Network", "mlp-65536", "mlp-0",
    "mlp-99999999999999999999", "attention-65536", "multi-head-65536", "conv-4", "lightgbm", "mmoe", "bilinear", "",
    "\x00", "a" * 100_000, "<script>", "click", "nan", "1e400", "(" * 5000, "(a+)+$" * 40,
)  # fmt: skip


def nested(depth: int) -> Any:
    """Return a list within a list, so many levels deep."""
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**40, 2**63 - 1, -(2**63), 2**63, 10**30, 10**4000,
    0.5, -0.5, 1e308, -1e308, 1e-320, float("nan"), float("inf"), float("-inf"), [], {}, [[]], [None], {"a": 1},
    [0] * 200_000, ["a"] * 200_000, {str(one): one for one in range(50_000)}, nested(900), [1e308, -1e308],
)  # fmt: skip
YAMLS = (
    "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    ) + "fields: *j\n",
    "!!python/object/apply:os.system ['touch automtl_canary']",
    "fields: !!python/name:automtl_canary.Thing\n",
    "fields: &a [*a]\ntasks: [{name: click}]\n",
    "[" * 3000, "{a: " * 3000, "- " * 3000,
    "fields: 2001-01-01\ntasks: !!binary aGVsbG8=\n", "\ufeff", "--- a\n--- b\n",
    "<<: {a: 1}\n", "? [a, b]\n: c\n", "fields: 1_0:30:30\ntasks: 0x7fffffffffffffff\n", "%YAML 9.9\n---\na: b\n",
)  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """A file's new content, and what was done to it."""

    name: str
    what: str
    content: bytes


def mutated(files: Files, rng: random.Random) -> Mutation:
    """Change one file of a folder; all kinds of files are equally likely, and so are the files of a kind."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(files):
        kinds.setdefault("manifest" if name == "manifest.json" else name.rpartition(".")[2], []).append(name)
    weights = {"safetensors": 8, "json": 8, "yaml": 3, "manifest": 1}
    chosen = [kind for kind in kinds if kind in weights]
    name = rng.choice(kinds[rng.choices(chosen, [weights[kind] for kind in chosen])[0]])
    if rng.random() < 0.06:
        what, content = _bytes(files[name], files, rng)
    elif name.endswith(".safetensors"):
        what, content = _arrays(files[name], rng)
    elif name.endswith(".yaml"):
        what, content = _yaml(files[name], rng)
    else:
        what, content = _json(files[name], rng)
    return Mutation(name, what, content)


def _bytes(content: bytes, files: Files, rng: random.Random) -> tuple[str, bytes]:
    """Cut, empty, repeat or replace a whole file."""
    place = rng.randrange(len(content) or 1)
    other = rng.choice(sorted(files))
    flipped = content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]
    return rng.choice(
        [
            ("cut", content[:place]), ("empty", b""), ("twice", content * 2), (f"content of {other}", files[other]),
            ("a byte", flipped), ("nested lists", b"[" * 200_000), ("nested objects", b'{"a":' * 100_000),
            ("zeros", bytes(len(content))), ("no text", b"\xff\xfe" * 100),
        ]
    )  # fmt: skip


def _json(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    values = json.loads(content)
    what, values = change(values, rng)
    return what, json.dumps(values).encode()


def _yaml(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    if rng.random() < 0.15:
        place = rng.randrange(len(YAMLS))
        return f"yaml {place}", YAMLS[place].encode()
    what, values = change(yaml.safe_load(content), rng)
    return what, json.dumps(values).encode()  # JSON is YAML, and is written in less time


def change(values: Any, rng: random.Random) -> tuple[str, Any]:
    """Change one value of plain values, or the names in them."""
    values = copy.deepcopy(values)
    places = list(_places({"": values}, ""))
    # a container that holds many values is as likely to be met as all of these together
    by_depth: dict[int, list[tuple[str, Place]]] = {}
    for path, place in places:
        by_depth.setdefault(path.count("/"), []).append((path, place))
    path, (holder, key) = rng.choice(by_depth[rng.choice(sorted(by_depth))])
    root = {"": values}
    if path == "":
        holder, key = root, ""
    kind = rng.randrange(10)
    if kind < 5:
        place = rng.randrange(len(VALUES))
        holder[key] = VALUES[place]
        what = f"value {VALUES[place]!r}"[:60]
    elif kind == 5:
        holder[key] = rng.choice(NAMES)
        what = f"name {holder[key][:40]!r}"
    elif kind == 6:
        del holder[key]
        what = "removed"
    elif kind == 7 and isinstance(holder, dict):
        name = rng.choice([*NAMES[:12], *map(str, holder)])
        holder[name] = holder.pop(key)
        what = f"renamed {name[:40]!r}"
    elif kind == 8:
        other_path, (other, other_key) = rng.choice(places[1:] or places)
        if isinstance(other, dict | list) and other_path:
            holder[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(holder[key])
        what = f"swapped with {other_path}"
    else:
        value = holder[key]
        if isinstance(value, list):
            value.extend(copy.deepcopy(value[:1]) * rng.choice([1, 3, 5000]))
        elif isinstance(value, dict):
            value[rng.choice(["extra", "1", "__class__", "key"])] = 1
        elif isinstance(value, int | float):
            holder[key] = value * rng.choice([-1, 2, 1000, 0.999]) + rng.choice([0, 1, -1])
        else:
            holder[key] = [value, value]
        what = "grown"
    return f"{path}: {what}", root.get("")


def _places(value: Any, path: str) -> Iterator[tuple[str, Place]]:
    """Yield all places in plain values, with their paths."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        own = f"{path}/{key}" if path or key != "" else ""
        yield own, (value, key)
        yield from _places(inner, own)


SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8, "F16": 2, "BF16": 2,
    "F32": 4, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8, "F4": 1,
}  # fmt: skip
FORMATS = {"I64": "<q", "I32": "<i", "I16": "<h", "U8": "<B", "BOOL": "<B", "F32": "<f", "F64": "<d"}
NUMBERS = {
    "I64": [-1, 0, 1, -(2**63), 2**63 - 1, 2**62, 2**31, 10**15], "I32": [-1, 0, 1, 2**31 - 1, -(2**31), 7, 1000],
    "I16": [-1, 0, 1, 2**15 - 1, -(2**15)], "U8": [0, 1, 2, 3, 128, 255], "BOOL": [0, 1, 2, 255],
    "F32": [float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 0.0, -1.0, 1e30, 1e-45],
    "F64": [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 0.0, -1.0, 1e30, 5e-324],
}  # fmt: skip


def _arrays(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Change the header or the numbers of a file of arrays."""
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), bytearray(content[8 + size :])
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    change_of = rng.choice([_numbers] * 6 + [_resized] * 3 + [_header] * 3 + [None])
    if change_of is None:
        wrong = rng.choice([0, 1, 2**31, 2**62, 2**64 - 1, size - 1, size + 8])
        return f"header of {wrong}", wrong.to_bytes(8, "little") + content[8:]
    what, data = change_of(header, name, data, rng)
    return f"{name}: {what}", packed(header, data)


def packed(header: Mapping[str, Any], data: bytes | bytearray) -> bytes:
    """Return the content of a safetensors file."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(data)


def _numbers(header: dict[str, Any], name: str, data: bytearray, rng: random.Random) -> tuple[str, bytearray]:
    """Set one number, some, or all of an array."""
    one = header[name]
    start, end = one["data_offsets"]
    form = FORMATS.get(one["dtype"])
    if form is None or start == end:
        return "nothing", data
    width = struct.calcsize(form)
    count = (end - start) // width
    number = rng.choice(NUMBERS[one["dtype"]])
    if rng.random() < 0.25:  # another number that is there
        number = struct.unpack_from(form, data, start + width * rng.randrange(count))[0]
    some = rng.sample(range(count), min(count, 3))
    where = rng.choice([[rng.randrange(count)], [0], [count - 1], some, range(count)])
    for place in where:
        struct.pack_into(form, data, start + width * place, number)
    return f"{len(where)} x {number}", data


def _resized(header: dict[str, Any], name: str, data: bytearray, rng: random.Random) -> tuple[str, bytearray]:
    """Give an array more or fewer rows, in a file whose header fits."""
    one = header[name]
    start, end = one["data_offsets"]
    rows = one["shape"][0] if one["shape"] else 1
    row = (end - start) // rows if rows else SIZES[one["dtype"]]
    wanted = max(0, rng.choice([0, 1, rows - 1, rows + 1, 2 * rows, 3]))
    own = bytes(data[start:end])[: wanted * row]
    own += (own[:row] or bytes(row)) * (wanted - len(own) // row if row else 0)
    if one["shape"]:
        one["shape"][0] = wanted
    else:
        one["shape"] = [wanted]
    gap = len(own) - (end - start)
    for other in header.values():
        if "data_offsets" in other and other is not one and other["data_offsets"][0] >= end:
            other["data_offsets"] = [place + gap for place in other["data_offsets"]]
    one["data_offsets"] = [start, start + len(own)]
    return f"{rows} rows become {wanted}", bytearray(data[:start] + own + data[end:])


def _header(header: dict[str, Any], name: str, data: bytearray, rng: random.Random) -> tuple[str, bytearray]:
    """Bend what the header says of an array."""
    one, kind = header[name], rng.randrange(8)
    if kind == 0:
        same = [dtype for dtype, size in SIZES.items() if size == SIZES[one["dtype"]]]
        one["dtype"] = rng.choice(same)
    elif kind == 1:
        one["dtype"] = rng.choice([*SIZES, "", "O", "PICKLE", None, 3])
    elif kind == 2:
        shape = list(one["shape"]) or [1]
        shape[rng.randrange(len(shape))] = rng.choice([-1, 0, 1, 2**31, 2**62, 2**63, 10**30, 0.5, "3", None])
        one["shape"] = shape
    elif kind == 3:
        one["shape"] = rng.choice([[], [1], [*one["shape"], 1], [1, *one["shape"]], one["shape"][::-1], [1] * 100])
    elif kind == 4:
        start, end = one["data_offsets"]
        one["data_offsets"] = rng.choice(
            [[start, end - 1], [end, start], [0, len(data)], [-8, end], [2**62, 2**63], [start, 2**64], [start], []]
        )
    elif kind == 5:
        header.pop(name)
    elif kind == 6:
        other = rng.choice([*header, "extra", "newest", "0.keys", "values", "trees", "__metadata__", "\x00"])
        header[other] = header.pop(name)
        return f"renamed {other}", data
    else:
        header["extra"] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data), len(data)]}
    return f"header {json.dumps(header.get(name))}", data
