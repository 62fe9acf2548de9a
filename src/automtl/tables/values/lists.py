"""Lists of ids, from list columns and from the texts that libraries write for lists."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from automtl.errors import EncodingError
from automtl.tables.schema import Field, FieldKind
from automtl.tables.values.ids import ABSENT, TEXTS, as_raw_text, finite, other_forms, require_ids, unnamed

_TEXT = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"  # in quotes, where brackets are letters
_LIST = rf"\[(?:[^\[\]]*|(?:{_TEXT}|[^\[\]'\"])*)\]"
_TUPLE = rf"\((?:[^()]*,[^()]*|(?:{_TEXT}|[^()'\",])*,(?:{_TEXT}|[^()'\"])*)?\)"
BRACKETED = rf"^\s*(?:{_LIST}|{_TUPLE})\s*$"  # as programs write lists: ['a', 'b'], [a, b], ('a',)
_QUOTED = rf"{_TEXT}|[^,'\"]+"
_NUMBERS = r"^(?:[\s\d.eE+-]|None|nan|NaN|<NA>)*$"
_NO_VALUE = r"^(?:\.\.\.|[^'\"]*\w\(.*|-?\d\.\d*e\+\d+)$"  # a list that was cut, calls, rounded numbers
_TORN = r"['\"]|[^\s,]\x00|\x00[^\s,]"  # a quote without its other, or within a word, where \x00 stands for texts
_SCALAR = r"\b(?:np\.\w+|Decimal)\(([^()]*)\)"  # as Python writes scalars of lists: np.int64(1)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
SEPARATED = r"[,|;]"  # in a text without brackets


def as_parts(column: pl.Series, field: Field, max_values: int) -> tuple[pl.Series, np.ndarray]:
    """Return the values of all rows one after another, at most `max_values` a row, and each row's number of them, (N,).

    Null and empty parts are left out. Of a sequence the last ones are kept, of other lists the first ones. Raises
    EncodingError for what is no list of ids.
    """
    name, column = column.name, unnamed(column)
    max_values = field.max_values or max_values
    lists = _lists(column, field)
    if lists is None:
        texts = as_raw_text(column).str.strip_chars()
        present = ~texts.is_in(ABSENT).fill_null(True)
        return texts.filter(present), present.to_numpy().astype(np.int64)
    lists = _present(lists)
    lists = lists.list.tail(max_values) if field.kind is FieldKind.SEQUENCE else lists.list.head(max_values)
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    return lists.filter(pl.Series(sizes > 0)).explode().alias(name), sizes


def _lists(column: pl.Series, field: Field) -> pl.Series | None:
    """Return a column of lists; None if every row holds a single value."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        if isinstance(column.dtype.inner, pl.List | pl.Array | pl.Struct):
            raise EncodingError(f"column '{field.name}' holds {column.dtype}; a multi-valued field is a list of ids")
        require_ids(column.explode().alias(field.name))
        return column
    if column.dtype not in TEXTS:
        require_ids(column.alias(field.name))
        return None if field.delimiter is None else as_raw_text(column).str.split(field.delimiter)
    return _lists_of_texts(column.cast(pl.String), field)


def _lists_of_texts(texts: pl.Series, field: Field) -> pl.Series | None:
    bracketed = texts.str.contains(BRACKETED).fill_null(False)
    if field.delimiter is not None:
        lists = texts.str.split(field.delimiter).list.eval(pl.element().str.strip_chars())
    elif bracketed.any() or texts.str.contains(SEPARATED).any():
        odd = texts.filter(~bracketed & texts.str.contains(SEPARATED))
        if odd.len():
            raise EncodingError(
                f"column '{field.name}' holds the text {odd[0]!r}, where the field has lists; give lists, texts such "
                "as \"['a', 'b']\", or say its 'delimiter' in the schema"
            )
        lists = pl.select(pl.concat_list(texts.alias("text"))).to_series().set(texts.is_null(), None)
    else:
        return None
    return (
        lists.zip_with(~bracketed, unbracketed(texts.set(~bracketed, None), field.name)) if bracketed.any() else lists
    )


def unbracketed(texts: pl.Series, name: str) -> pl.Series:
    """Parse the texts of lists to lists of texts. Raises EncodingError for one that was cut or rounded."""
    inner = texts.str.strip_chars().str.slice(1).str.head(-1).str.strip_chars().str.replace_all(_SCALAR, "$1")
    quoted = inner.str.contains(r"['\"]").fill_null(False)
    blanks = (~quoted & inner.str.contains(_NUMBERS) & ~inner.str.contains(",", literal=True)).fill_null(False)
    parts = inner.str.split(",")
    parts = parts.zip_with(~blanks, inner.str.extract_all(r"\S+")) if blanks.any() else parts
    parts = parts.zip_with(~quoted, inner.str.extract_all(_QUOTED)) if quoted.any() else parts
    bare = pl.element().str.strip_chars()
    content = bare.str.replace(r"^(?s:['\"](.*)['\"])$", "$1")
    whole = pl.when(bare.str.contains(r"^['\"]")).then(content).otherwise(bare.str.replace(r"^(-?\d+)\.$", "$1"))
    torn = inner.str.replace_all(_TEXT, "\0").str.contains(_TORN).fill_null(False)
    odd = texts.filter(torn | parts.list.eval(bare.str.contains(_NO_VALUE)).list.any().fill_null(False))
    if odd.len():
        raise EncodingError(
            f"column '{name}' holds {odd[0]!r}, which was cut or rounded, or is no list of ids; write lists or JSON"
        )
    found = parts.list.eval(whole.filter(bare != ""))
    if inner.str.contains("\\", literal=True).any():
        found = pl.Series([None if one is None else list(map(_unescaped, one)) for one in found], dtype=found.dtype)
    return found


def _unescaped(text: str) -> str:
    """Replace what programs write for letters that they escape."""

    def letter(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(letter, text)


def _present(lists: pl.Series) -> pl.Series:
    """Leave out parts that say there is no value."""
    lists = lists.list.drop_nulls()
    values = lists.explode().drop_nulls()
    if values.dtype.is_float():
        absent = values.len() - finite(values).drop_nulls().len()
        return lists.list.eval(pl.element().filter(pl.element().is_finite())) if absent else lists
    if values.dtype not in TEXTS:
        return lists
    _, forms = other_forms(values.cast(pl.String))
    if not forms.null_count():
        return lists
    blank = pl.element().cast(pl.String).str.strip_chars()
    return lists.list.eval(pl.element().filter(~blank.is_in(list(ABSENT))))
