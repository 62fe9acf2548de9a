"""Plain values become the frozen dataclasses of schemas and settings, or an error that names the wrong entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Limit

from automtl.errors import SchemaError, brief

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Limit(fail_fast=True)]  # one error of many takes little memory
CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)  # of all settings and schemas
Entry = TypeVar("Entry")


def read_entry(kind: type[Entry], values: Any, where: str, example: str) -> Entry:
    """Build an object from plain values. Raises SchemaError that names `where`, the wrong entry, and an example."""
    with naming_entries(where, example):
        return TypeAdapter(kind).validate_python(values)


@contextmanager
def naming_entries(where: str, example: str) -> Iterator[None]:
    """Raise for a ValidationError of the block a SchemaError that names `where`, the wrong entry, and an example."""
    try:
        yield
    except ValidationError as error:
        place, what = wrong_entry(error)
        entry = f"entry {place}: {what}" if place else what
        raise SchemaError(f"{where}: {entry}; see {example} for an example") from None


def wrong_entry(error: ValidationError, *within: str) -> tuple[str, str]:
    """Return the quoted place of the first wrong entry, empty for all values, and what was expected there."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, (*within, *first["loc"])))
    return brief(place) if place else "", first["msg"].removeprefix("Value error, ")
