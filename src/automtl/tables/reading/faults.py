"""Errors of the libraries that read files become ours, which name the file and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from automtl.errors import AutomtlError, TableError


@contextmanager
def reading(file: object) -> Iterator[None]:
    """Turn any error of the block into a TableError that names the file and a remedy."""
    try:
        yield
    except AutomtlError:
        raise
    except OSError as error:
        raise TableError(f"'{file}' cannot be read: {error.strerror or first_line(error)}; check the file") from None
    except (Exception, pl.exceptions.PanicException) as error:
        raise TableError(f"'{file}' cannot be read: {first_line(error)}; is it whole? write it again") from None


def first_line(error: BaseException) -> str:
    """Return the first line of the message of another library's error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
