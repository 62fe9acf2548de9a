"""Cut the bytes of a CSV file into blocks of whole records, in a form that any reader of CSV takes.

A quote has a meaning where it begins a field, until the one that ends the field; elsewhere it is a letter. Blank lines
are no records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RECORD_BYTES = 1 << 28  # no record is larger
SLICE = 1 << 20  # bytes that are looked at at a time, so that temporaries stay in the cache
QUOTED = re.compile(rb'"[^"]*(?:""[^"]*)*"?')  # a quote within is written twice
OPEN_QUOTE = "has a quote that opens a field and is never closed; close it, or put the field in quotes and double it"
LONG = "is longer than 256 MB; put each record in a line of its own"
QUOTE, CR, LF = b'"\r\n'
Edit = tuple[int, int, bytes]  # where bytes start and stop, and what takes their place


class RecordError(Exception):
    """A record cannot be read. `row`: its place among those at hand, from 0; `what`: the remedy included."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row, self.what = row, what


@dataclass(frozen=True)
class Block:
    """Whole records, each in lines of its own. `size`: the bytes they take in the file."""

    content: bytes
    size: int


@dataclass(frozen=True)
class Lines:
    """Content and its line `ends`, (L,), but for those in quotes; `odd`: fields that must be written otherwise.

    `open`: the place of a quote that is not closed.
    """

    content: bytes
    ends: np.ndarray
    odd: list[Edit] = field(default_factory=list)
    open: int | None = None


def blocks(file: Any, size: int, separator: str) -> Iterator[Block]:
    """Read the rest of a file, about `size` bytes at a time. Raises RecordError for a quote that is never closed."""
    rest, more = b"", b" "
    while more:
        more = file.read(max(size, len(rest)))  # a long record is looked at again each time
        content = rest + more
        block = cut(content, separator, last=not more)
        if block is not None:
            yield block
        elif len(content) > RECORD_BYTES:
            raise RecordError(0, OPEN_QUOTE if b'"' in content else LONG)
        rest = content if block is None else content[block.size :]


def cut(content: bytes, separator: str, *, last: bool) -> Block | None:
    """Cut off all whole records; None without one. `last`: the content ends where the file ends."""
    lines = _lines(content, separator)
    size = len(content) if last else int(lines.ends[-1]) + 1 if len(lines.ends) else 0
    if size == 0:
        return None
    blank = _blank_lines(lines, size, separator)
    if last and lines.open is not None:
        records = int((lines.ends < lines.open).sum()) - sum(stop <= lines.open for _, stop, _ in blank)
        raise RecordError(records, OPEN_QUOTE)
    return Block(_edited(lines.content, size, sorted([*lines.odd, *blank])), size)


def first_record(content: bytes, separator: str) -> int:
    """Return the length of the first record, its line end included; 0 if it does not end here."""
    ends = _lines(content, separator).ends
    return int(ends[0]) + 1 if len(ends) else 0


def _lines(content: bytes, separator: str) -> Lines:
    """Find the lines; where a quote or CR stands at an unusual place, field by field."""
    array, ends, inside = np.frombuffer(content, np.uint8), [np.empty(0, np.int64)], 0
    opening, closing = (np.isin(np.arange(256), list(chars + separator.encode())) for chars in (b'"\n', b'"\r\n'))
    for start in range(0, len(array), SLICE):
        part = array[start : start + SLICE]
        found = np.flatnonzero(part == LF) + start
        quotes = np.flatnonzero(part == QUOTE) + start
        if len(quotes):
            first, second = quotes[inside::2], quotes[1 - inside :: 2]
            if not (opening[_at(array, first - 1)].all() and closing[_at(array, second + 1)].all()):
                return _walked(content, separator)
            found = found[(np.searchsorted(quotes, found) + inside) % 2 == 0]
            inside = (inside + len(quotes)) % 2
        if not (_at(array, np.flatnonzero(part == CR) + start + 1) == LF).all():
            return _walked(content, separator)
        ends.append(found)
    return Lines(content, np.concatenate(ends), [], content.rfind(b'"') if inside else None)


def _at(array: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the bytes at some places; before and behind all there are line ends."""
    found = array.take(places, mode="clip")
    found[(places < 0) | (places >= len(array))] = LF
    return found


def _walked(content: bytes, separator: str) -> Lines:
    """Find the lines, quote by quote; CR alone ends a line, too."""
    edges, odd, place, stops = list[int](), list[Edit](), 0, (b"\r", b"\n", separator.encode())
    stop = re.compile(b"[" + re.escape(b"".join(stops)) + rb"]|\Z")
    while (quote := content.find(b'"', place)) >= 0:
        start, after, text = 1 + max(content.rfind(one, place, quote) for one in stops), quote, b""
        if start == quote:
            match = QUOTED.match(content, quote)
            if match is None or match[0].count(b'"') % 2:
                return _ended(content, [*edges, quote], odd, quote)
            edges += (quote, match.end() - 1)
            after, text = match.end(), match[0][1:-1].replace(b'""', b'"')
        place = stop.search(content, after).start()  # type: ignore[union-attr]
        if start < quote or after < place:
            text = (text or content[start:quote]) + content[after:place]
            odd.append((start, place, b'"' + text.replace(b'"', b'""') + b'"'))
    return _ended(content, edges, odd, None)


def _ended(content: bytes, edges: list[int], odd: list[Edit], opened: int | None) -> Lines:
    """Find the line ends between quotes. `edges`: places of quotes that begin and end fields, by turns."""
    array = np.frombuffer(content, np.uint8).copy()
    returns = np.flatnonzero(array == CR)
    alone = returns[_at(array, returns + 1) != LF]
    array[alone[np.searchsorted(edges, alone) % 2 == 0]] = LF
    ends = np.flatnonzero(array == LF)
    return Lines(array.tobytes(), ends[np.searchsorted(edges, ends) % 2 == 0], odd, opened)


def _blank_lines(lines: Lines, size: int, separator: str) -> list[Edit]:
    """Leave out the lines of nothing but blanks among the first `size` bytes."""
    blanks = b" \t\r\n".replace(separator.encode(), b"")
    stops = lines.ends[lines.ends < size] + 1
    if len(stops) == 0 or stops[-1] < size:
        stops = np.append(stops, size)
    starts = np.concatenate([[0], stops[:-1]])
    likely = np.isin(np.arange(256), list(blanks))[np.frombuffer(lines.content, np.uint8)[starts]]
    found = zip(starts[likely].tolist(), stops[likely].tolist(), strict=True)
    return [(start, stop, b"") for start, stop in found if not lines.content[start:stop].strip(blanks)]


def _edited(content: bytes, size: int, edits: list[Edit]) -> bytes:
    """Return the first `size` bytes with other bytes in some places, which are in order."""
    pieces, place = [], 0
    for start, stop, new in edits:
        if stop <= size:
            pieces += [content[place:start], new]
            place = stop
    return b"".join([*pieces, content[place:size]])
