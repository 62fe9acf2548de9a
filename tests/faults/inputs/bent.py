"""Plain values and texts that are bent: odd values in place of others, entries that are gone, twice or misspelt."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import yaml

NUMBERS = (
    0, 1, -1, 2, 1.5, -0.0, 1e-320, 1e308, 2**31, 2**63, 2**64, 10**30, 10**400, math.nan, math.inf, -math.inf, True,
)  # fmt: skip
TEXTS = (
    "", " ", "nan", "inf", "-inf", "1e5", "1e999", "5%", "1h", "-1h", "1e300d", "é", "\u202ea", "a\nb", "\x00", "'",
    '"',
    "{}", "{name}", "%s", "[/x]", "a" * 3000, "9" * 5000, "mlp-" + "9" * 5000, "mlp-0", "mlp--1", "skip-3", "mlp",
    "mlp-٣",
    "no.such:Thing", "json:loads", "math:pi", ":", "a:", ":b", "..a:b", "cuda:99", "auto", "random", "\ud800",
    "automtl",
    "click = ", "click = 1", "`a` > nan", "x\x1fy", "Europe/Nowhere", "%Q", "null",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, [], {}, [[]], [None], [{}], {"": 1}, {1: 2}, {None: None}, {True: "a"}, [1, "a", None], dt.date(1, 1, 1),
    dt.datetime(9999, 12, 31, 23, 59), b"\xff", {"a"}, "text", {"name": "a"}, [0.5, 0.5, 0], [math.nan] * 3,
)  # fmt: skip
SNIPPETS = (
    "&a ", "*a", "<<: *a\n", "!!python/object:os.system x", "!!binary x", "!!binary =", "? [a]\n: b\n", ": ", "\t",
    "- ",
    "{", "}", "[", "]", "[" * 3000, "{a: " * 400, "---\n", "...\n", "%YAML 9.9\n---\n", "\ufeff", "2024-13-45", "0x",
    "0b", "1_0", "!!int x", "!!int ''", "!!float ''", "!!float x", "1e999", "190:20:30", "&a [*a]", "&a {b: *a}",
    "!!timestamp x", "!!bool x", "!!null x", "!!set {a}", "!!omap [a: 1]", "!!pairs [a]", "!x y", "@", "`", "|\n",
    ">-\n",
    "\x00", "\x1b", "\u2028", "null", "~", "1979-05-27T99:00:00", "'''", '"""', "\\u12", "\n", "=", "[[a]]\n",
    "a.b.c = 1\n",
    "NaN", "Infinity", "-", "\\ud800",
)  # fmt: skip
BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9))


def odd(rng: Random) -> Any:
    """Draw an odd value."""
    if rng.random() < 0.03:
        return deep(rng)
    return rng.choice(rng.choice((NUMBERS, TEXTS, OTHERS)))


def deep(rng: Random) -> Any:
    """Nest a value."""
    value: Any = rng.choice((1, "a", []))
    for _ in range(rng.choice((3, 30, 200))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def bend(rng: Random, values: Any) -> Any:
    """Change some places of plain values."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        values = bent_at(rng, values, rng.choice(list(paths(values))))
    return values


def paths(values: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of plain values: keys and numbers that lead there."""
    yield before
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    if len(before) < 8:
        for key, value in entries:
            yield from paths(value, (*before, key))


def bent_at(rng: Random, values: Any, path: Sequence[Any]) -> Any:
    """Return plain values with a change at a place."""
    if not path:
        return changed(rng, values)
    key, *rest = path
    made = dict(values) if isinstance(values, dict) else list(values)
    if rest or rng.random() < 0.6:
        made[key] = bent_at(rng, made[key], rest)
    elif rng.random() < 0.4:
        del made[key]
    elif isinstance(made, dict):
        name = rng.choice((f"{key}x", str(key)[:-1], str(key).upper(), "variants", "blended", "rates", odd(rng)))
        made[name if isinstance(name, str | int | float | bool) else str(name)] = made.pop(key)
    else:
        made.insert(rng.randint(0, len(made)), rng.choice(made))
    return made


def changed(rng: Random, value: Any) -> Any:
    """Change a value."""
    kind = rng.randrange(7)
    if kind == 0:
        return [value] * rng.choice((1, 1, 2))
    if kind == 1:
        return {rng.choice(("name", "a", "")): value}
    if kind == 2 and isinstance(value, int | float):
        return rng.choice((-value, value * 10**9, str(value), [value], value / 3 if abs(value) < 1e300 else 0.5))
    if kind == 2 and isinstance(value, str):
        return rng.choice((value + "x", value[:-1], value.upper(), [*value], value * 2, f" {value} "))
    if kind == 3 and isinstance(value, list) and value:
        return rng.choice((value * 2, value[0], [], dict(enumerate(value)), " ".join(map(str, value))))
    return odd(rng)


def as_yaml(values: Any) -> str:
    """Write plain values as YAML, or as JSON where they cannot be."""
    try:
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    except Exception:
        return as_json(values)


def as_json(values: Any) -> str:
    """Write plain values as JSON; others as texts."""
    return json.dumps(_named(values), default=str)


def _named(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(key): _named(value) for key, value in values.items()}
    return [*map(_named, values)] if isinstance(values, list | tuple) else values


def bend_text(rng: Random, text: str) -> str:
    """Change some places of a text."""
    for _ in range(rng.randint(1, 3)):
        place, kind = rng.randint(0, len(text)), rng.randrange(5)
        if kind == 0:
            text = text[:place] + text[place + rng.randint(1, 9) :]
        elif kind == 1:
            start = rng.randint(0, len(text))
            text = text[:place] + text[start : start + rng.randint(1, 40)] + text[place:]
        elif kind == 2:
            text = text[:place]
        else:
            text = text[:place] + rng.choice(SNIPPETS) + text[place:]
    return text


def write_bent(rng: Random, path: Any, text: str) -> None:
    """Write a text, or what is no text."""
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.02:
        content = rng.choice(
            (b"\xff\xfe" + content, content[:50] + rng.randbytes(9), b"", text.encode("utf-16", "ignore"))
        )
    path.write_bytes(content)
