"""Many experiments under equal conditions: protocol, scheduler, trials, significance."""

from __future__ import annotations

from automtl.comparison.compare import compare_table
from automtl.comparison.settings import ComparisonSettings

__all__ = ["ComparisonSettings", "compare_table"]
