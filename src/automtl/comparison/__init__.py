"""Many experiments under equal conditions: protocol, scheduler, trials, significance."""

from __future__ import annotations

from automtl.comparison.compare import ComparisonSettings, compare_table

__all__ = ["ComparisonSettings", "compare_table"]
