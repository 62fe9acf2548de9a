"""Plain values become the frozen dataclasses of schemas and settings, or an error that names the wrong entry."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from automtl.errors import SchemaError

CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)  # of all settings and schemas
Entry = TypeVar("Entry")


def read_entry(kind: type[Entry], values: Any, where: str, example: str) -> Entry:
    """Build an object from plain values. Raises SchemaError that names `where`, the wrong entry, and an example."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SchemaError(f"{where}: entry '{place}': {first['msg']}; see {example} for an example") from None
