"""Settings of the data loader. No tensors."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG

MEMORY_SHARE = 4  # a quarter of the machine's memory is for encoded rows
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@settings_dataclass(frozen=True, config=CONFIG)
class DataLoaderSettings:
    """Where encoded training rows are kept while a model is trained."""

    memory_bytes: int | None = Limit(
        default=None,
        ge=1,
        le=1 << 50,
        description="Larger rows are kept in files and pass through a shuffle buffer; unset: a quarter of the memory.",
    )
    mapped: bool = Limit(default=False, description="Whether rows of any size are kept in files.")
    part_rows: int = Limit(
        default=1_000_000, ge=1, le=1_000_000_000_000, description="Rows that are encoded at a time."
    )

    @property
    def budget_bytes(self) -> int:
        """The memory for encoded rows: as set, or a share of the machine's."""
        return self.memory_bytes or machine_memory_bytes() // MEMORY_SHARE

    def uses_files(self, num_bytes: int) -> bool:
        """Tell whether encoded rows of this size are kept in files."""
        return self.mapped or num_bytes > self.budget_bytes


def machine_memory_bytes() -> int:
    """Return the memory of the machine, or of the container if that has less."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        total = 8 * 2**30  # a guess where the system does not say
    for path in CONTAINER_LIMITS:
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):
            continue  # no such file, or "max"
    return total
