"""Rows to check an exported model with: known values in every form, unknown, missing and hostile ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from automtl.features.encoder import Encoder
from automtl.features.histories import HistoryInputs
from automtl.features.scaler import LIMIT, Scaler
from automtl.features.vocabulary import Vocabulary
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import JOINT
from automtl.tables.values.times import SCALES

HOSTILE_TEXTS = (
    "", " ", " NA ", "NaN", "null", "\\N", "\t?\n", "007", "+5", "-0", "-0.0", "0.0", "1e5", "1e-07", "1,5", "2.50",
    "2.0", " 5", "5 ", "true", "FALSE", "yes", "é漢字🙂", "x" * 5000, "2024-01-31", "9223372036854775808", "-1.00",
    "0.12345678901234567890", "1.0.0", ".5", "5.", "[1, 2]", "'", '"', "%s", "<script>",
)  # fmt: skip
HOSTILE_NUMBERS = (
    0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 1e60, -1e61, 5e-324, -1e-320, 2.0**53, 1e-9, 0.1,
)  # fmt: skip
HOSTILE_TIMES = (0, -1, 1, -62_135_596_800_000_000, 253_402_300_799_999_999, 951_782_400_000_000, -951_782_400_000_001)


@dataclass(frozen=True)
class Rows:
    """Raw rows as the predictor reads them, and the inputs of their histories, if the model has some."""

    table: pl.DataFrame
    histories: HistoryInputs | None


def draw_rows(encoder: Encoder, count: int, seed: int) -> Rows:
    """Draw rows for a model, the same for the same seed."""
    rng = random.Random(seed)
    columns = {name: _column(encoder, name, count, rng) for name in encoder.schema.columns}
    return Rows(pl.DataFrame(columns), _histories(encoder, count, seed))


def _column(encoder: Encoder, name: str, count: int, rng: random.Random) -> pl.Series:
    one = next((one for one in encoder.schema.fields if one.name == name), Field(name, FieldKind.CATEGORICAL))
    if one.kind is FieldKind.NUMERIC:
        return pl.Series(name, _numbers(encoder, name, count, rng), pl.Float64)
    if one.kind is FieldKind.TIME:
        return _times(encoder, one, count, rng)
    known = _known(encoder, one)
    if one.kind in (FieldKind.MULTI, FieldKind.SEQUENCE):
        most = encoder.settings.of(one).max_values + 3
        lists = [_list(known, rng, most) for _ in range(count)]
        return pl.Series(name, lists, pl.List(pl.String))
    return pl.Series(name, [_text(known, rng) for _ in range(count)], pl.String)


def _known(encoder: Encoder, one: Field) -> Sequence[str]:
    """Return texts that the model knows in this column."""
    found = list[str]()
    if (one.target or one.name) in encoder.vocabularies:
        found += _some(encoder.vocabulary(one))
    for field in encoder.schema.fields:
        if field.of is not None and one.name in field.of and field.name in encoder.vocabularies:
            place = field.of.index(one.name)
            found += [text.split(JOINT)[place] for text in _some(encoder.vocabularies[field.name])]
    for key, encoding in encoder.target_encodings.items():
        if one.name in key:
            place = key.index(one.name)
            found += [text.split(JOINT)[place] for text in _some(encoding.vocabulary)]
    return found


def _some(vocabulary: Vocabulary) -> list[str]:
    values = vocabulary.values
    return values.sample(min(len(values), 1000), seed=0).cast(pl.String).to_list()


def _text(known: Sequence[str], rng: random.Random) -> str:
    kind = rng.random()
    if not known or kind < 0.15:
        return rng.choice(HOSTILE_TEXTS)
    text = rng.choice(known)
    if kind < 0.3:
        return rng.choice(_forms(text))
    return text


def _forms(text: str) -> list[str]:
    """Write a value in other ways, of which some are other values."""
    if text.lstrip("-").isdigit():
        return [f"{text}.0", f"{text}.000", f"0{text}", f"{text}.5", f" {text}", f"+{text}", f"{text}0"]
    if "." in text:
        return [f"{text}0", f"{text}000", f"{text}1", f" {text}"]
    return [text.upper(), text + " ", text + ".0", text[1:], text + "é"]


def _list(known: Sequence[str], rng: random.Random, most: int) -> list[str]:
    size = rng.choice((0, 1, 2, 3, most if rng.random() < 0.2 else 4))
    return [_text(known, rng) for _ in range(size)]


def _numbers(encoder: Encoder, name: str, count: int, rng: random.Random) -> list[float]:
    scaler = encoder.scalers.get(name)
    edges = [] if scaler is None else list(scaler.edges)
    known = [float(text) for text in _known(encoder, Field(name, FieldKind.NUMERIC)) if _is_number(text)]
    centre, spread = (scaler.mean, scaler.std) if isinstance(scaler, Scaler) else (0.0, 1.0)
    if isinstance(scaler, Scaler) and scaler.log:
        centre, spread = 0.0, float(np.expm1(min(abs(scaler.mean) + 2 * scaler.std, 100.0)))
    draws: list[Callable[[], float]] = [lambda: rng.gauss(centre, spread or 1.0)] * 3
    draws += [lambda: rng.choice(HOSTILE_NUMBERS)]
    if edges:
        draws += [
            lambda: float(np.nextafter(rng.choice(edges), rng.choice((-np.inf, np.inf)))),
            lambda: rng.choice(edges),
        ]
    if known:
        draws += [lambda: rng.choice(known)]
    return [rng.choice(draws)() for _ in range(count)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _times(encoder: Encoder, one: Field, count: int, rng: random.Random) -> pl.Series:
    """Draw times, most of them of the three years before the newest one."""
    newest = int(encoder.newest.get(one.name, 19_700.0) * 86_400_000_000)
    times: list[int | None] = [newest - rng.randrange(94_608_000_000_000) for _ in range(count)]
    for place in range(count):
        if rng.random() < 0.1:
            times[place] = rng.choice((*HOSTILE_TIMES, None))
    if one.unit is not None:
        scale = SCALES[one.unit]
        numbers = [float("nan") if time is None else time / scale for time in times]
        numbers = [rng.choice((np.inf, 1e300, -1e30)) if rng.random() < 0.02 else number for number in numbers]
        return pl.Series(one.name, numbers, pl.Float64)
    return pl.Series(one.name, times, pl.Datetime("us", None if one.zone is None else "UTC"))


def _histories(encoder: Encoder, count: int, seed: int) -> HistoryInputs | None:
    """Draw inputs of histories; the lists of a sequence are padded alike."""
    histories = encoder.histories
    if histories is None:
        return None
    rng = np.random.default_rng(seed)
    numbers = np.clip(rng.normal(size=(count, histories.width)) * 2, -LIMIT, LIMIT).astype(np.float32)
    sizes, lists = {one.name: one.size for one in encoder.layout.categorical}, []
    for sequence in histories.sequences:
        given = np.arange(sequence.positions) < rng.integers(0, sequence.positions + 1, (count, 1))
        for place, aspect in enumerate(sequence.aspects):
            low = 1 if place == len(sequence.aspects) - 1 else 0
            drawn = rng.integers(low, aspect.size if aspect.target is None else sizes[aspect.target], given.shape)
            lists.append((drawn * given).astype(np.int32))
    return HistoryInputs(numbers, tuple(lists))
