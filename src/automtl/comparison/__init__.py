"""Many experiments under equal conditions: protocol, scheduler, trials, significance."""

from __future__ import annotations

from automtl.comparison.compare import compare_table
from automtl.comparison.settings import Terms

__all__ = ["Terms", "compare_table"]
