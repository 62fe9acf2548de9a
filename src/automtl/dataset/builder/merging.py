"""One set of codes for what several readers have read, in which a value has one code, as if one had read all files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from automtl.dataset.builder.chunks import as_arrow, read_values
from automtl.dataset.builder.workdir import MERGED, FileChunk, Work, merged_codes, merged_values, write_about
from automtl.features.dictionary import Dictionary, joined_values
from automtl.system.threads import in_threads

VALUE_BYTES = 100  # of memory for a value of a column while it is merged, about


def merge(work: Work, readers: int, columns: int, memory_bytes: int) -> None:
    """Write, for each coded column, the codes that a reader's codes stand for, in a step of the working folder.

    Left out are columns of which a reader has forgotten values, or whose values do not fit into the memory; their codes
    come after one another, and a value may have several.
    """
    if readers == 1 or work.done(MERGED) is not None:
        return
    runs = [own for own in map(work.chunks_of, range(readers)) if own]
    limit = memory_bytes // max(columns, 1)
    with work.step(MERGED) as folder:
        found = in_threads(lambda place: _merged(runs, place, limit, folder), range(columns))
        write_about(folder, {str(place): one for place, one in enumerate(found) if one is not None})


def _merged(runs: Sequence[Sequence[FileChunk]], place: int, limit: int, folder: Path) -> dict[str, Any] | None:
    """Merge one column: by run, how many codes there are after it, and whether all values so far are whole numbers."""
    last = [run[-1].about for run in runs]
    if any(one["first"][place] for one in last) or sum(one["size"][place] for one in last) * VALUE_BYTES > limit:
        return None
    first, *others = runs
    dictionary = Dictionary(None, 0, _values(first, place))  # whose codes stay what they are
    sizes, whole = dict[int, int](), dict[int, bool]()
    for run in others:
        values, number = _values(run, place), run[0].run
        codes, fresh = dictionary.add(values) if values.len() else (np.zeros(0, np.int32), values)
        np.save(merged_codes(folder, place, number), np.concatenate([np.zeros(1, np.int32), codes]))
        merged_values(folder, place, number).write_bytes(as_arrow(fresh).data)
        sizes[number], whole[number] = dictionary.size, dictionary.whole
    return {"size": sizes, "whole": whole}


def _values(run: Sequence[FileChunk], place: int) -> pl.Series:
    return joined_values([read_values(chunk, place) for chunk in run])
