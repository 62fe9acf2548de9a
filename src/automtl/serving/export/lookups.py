"""Look-ups of raw values in vocabularies, as operators of ONNX (docs/values.md says which texts are one value).

Texts are looked up as they are written. Those that are not known so are few; the other forms of values are looked for
among them alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from automtl.features.vocabulary import FIRST, MISSING, UNKNOWN
from automtl.serving.export.graph import Graph
from automtl.tables.values.ids import ABSENT

TRUTHS = {"1": ("true", "True", "TRUE"), "0": ("false", "False", "FALSE")}
BLANKS = r"[ \t\r\n]*"
NO_VALUE = rf"{BLANKS}(?:\?|NA|N/A|<NA>|NaN|nan|NaT|null|NULL|None|\\N)?{BLANKS}"
WHOLE = r"-?(?:0|[1-9]\d*)\.0+"  # a whole number with a fraction of zeros
SHORT = r"-?(?:0|[1-9]\d*)\.\d+"  # a decimal
DIGITS = r"-?(?:\d\.?){1,15}0*"  # so few digits that a float tells them all, before zeros at the end
SMALL = r"-?\d(?:\.\d+)?[eE]-\d+"  # as programs print 0.0000001


@dataclass(frozen=True)
class Known:
    """The canonical texts that a look-up knows, and the code of each; `missing` and `unknown` are codes, too."""

    texts: list[str]
    codes: np.ndarray
    missing: int = MISSING
    unknown: int = UNKNOWN

    @staticmethod
    def of(values: pl.Series) -> Known:
        """Return the values of a vocabulary with their ids."""
        return Known(values.cast(pl.String).to_list(), np.arange(FIRST, FIRST + len(values), dtype=np.int64))

    def places(self) -> dict[str, int]:
        """Return the code of each text."""
        return dict(zip(self.texts, self.codes.tolist(), strict=True))

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that are numbers, as floats, and their codes."""
        found = {}
        for text, code in self.places().items():
            number = _number(text)
            if number is not None:
                found[number] = code
        return np.array(list(found), np.float64), np.array(list(found.values()), np.int64)

    def short_numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that a text of other digits can mean, as floats, and their codes."""
        found = {}
        for text, code in self.places().items():
            if "." in text or len(text) <= 2:
                number = _number(text)
                if number is not None and np.format_float_positional(number, trim="-") == text:
                    found[number] = code
        return np.array(list(found), np.float64), np.array(list(found.values()), np.int64)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number + 0.0 if np.isfinite(number) else None


def looked_up_texts(graph: Graph, texts: str, known: Known) -> str:
    """Look up texts, (N,), in every form in which a value comes."""
    places = known.places()
    words = dict.fromkeys(ABSENT, known.missing)
    words |= {word: places[text] for text, forms in TRUTHS.items() if text in places for word in forms}
    words |= places
    codes = graph.mapped(texts, np.array(list(words), object), np.array(list(words.values()), np.int64), known.unknown)
    unknown = graph.op("Equal", codes, graph.constant(known.unknown, np.int64))
    places_of = graph.op("NonZero", unknown)  # (1, K)

    def with_other_forms() -> str:
        rows = graph.op("Reshape", places_of, graph.constant([-1], np.int64))  # (K,)
        odd = graph.op("Gather", texts, rows, axis=0)
        return graph.op("ScatterElements", codes, rows, _other_forms(graph, odd, known), axis=0)

    some = graph.op("Greater", graph.op("Size", places_of), graph.constant(0, np.int64))
    return graph.either(some, with_other_forms, codes, np.int64)


def _other_forms(graph: Graph, texts: str, known: Known) -> str:
    """Look up texts, (K,), that are not known as they are written."""
    codes = graph.op("Expand", graph.constant([known.unknown], np.int64), graph.op("Shape", texts))
    keys, values = known.short_numbers()
    if len(keys):
        few = graph.op("And", _matches(graph, texts, SHORT), _matches(graph, texts, DIGITS))
        fits = graph.op("Or", few, _matches(graph, texts, SMALL))
        plain = graph.op("Where", fits, texts, graph.constant("0", object))
        numbers = graph.op("Add", graph.cast(plain, np.float64), graph.constant(0.0, np.float64))  # -0.0 is 0.0
        found = graph.mapped(numbers, keys, values, known.unknown)
        codes = graph.op("Where", fits, found, codes)
    wholes = {text: code for text, code in known.places().items() if text.lstrip("-").isdigit()}
    if wholes:
        fits = _matches(graph, texts, WHOLE)
        found = graph.mapped(
            _before_point(graph, graph.op("Where", fits, texts, graph.constant("0.0", object))),
            np.array(list(wholes), object), np.array(list(wholes.values()), np.int64), known.unknown,
        )  # fmt: skip
        codes = graph.op("Where", fits, found, codes)
    return graph.op("Where", _matches(graph, texts, NO_VALUE), graph.constant(known.missing, np.int64), codes)


def _matches(graph: Graph, texts: str, pattern: str) -> str:
    return graph.op("RegexFullMatch", texts, pattern=pattern)


def _before_point(graph: Graph, texts: str) -> str:
    """Cut texts (K,) at their points; -0 becomes 0. A text more goes through, since none cannot be split."""
    more = graph.op("Concat", texts, graph.constant(["0.0"], object), axis=0)
    parts = graph.op("StringSplit", more, outputs=2, delimiter=".", maxsplit=1)  # (K + 1, 2)
    first = graph.op("Gather", parts, graph.constant(0, np.int64), axis=1)
    zero = graph.op("Equal", first, graph.constant("-0", object))
    plain = graph.op("Where", zero, graph.constant("0", object), first)
    return graph.op("Slice", plain, *(graph.constant([edge], np.int64) for edge in (0, -1, 0)))


def looked_up_numbers(graph: Graph, numbers: str, known: Known) -> str:
    """Look up numbers, (N,) float64, NaN where missing."""
    keys, codes = known.numbers()
    missing = graph.op("IsNaN", numbers)
    plain = graph.op("Where", missing, graph.constant(0.0, np.float64), numbers)
    plain = graph.op("Add", plain, graph.constant(0.0, np.float64))  # -0.0 is 0.0
    if not len(keys):
        keys, codes = np.array([0.5]), np.array([known.unknown])
    found = graph.mapped(plain, keys, codes, known.unknown)
    return graph.op("Where", missing, graph.constant(known.missing, np.int64), found)


def looked_up_whole(graph: Graph, numbers: str, missing: str, known: Known) -> str:
    """Look up whole numbers, (N,) int64, which are missing where `missing`, (N,), is true."""
    found = graph.mapped(numbers, np.array([int(text) for text in known.texts], np.int64), known.codes, known.unknown)
    return graph.op("Where", missing, graph.constant(known.missing, np.int64), found)
