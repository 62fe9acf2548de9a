"""Tests of differences between two models: over seeds, over rows, and corrected for several tasks."""

from __future__ import annotations

from automtl.comparison.statistics.bootstrap import Interval, Statistic, auc_of_draws, paired_bootstrap, rmse_of_draws
from automtl.comparison.statistics.holm import holm
from automtl.comparison.statistics.paired_t import paired_t

__all__ = ["Interval", "Statistic", "auc_of_draws", "holm", "paired_bootstrap", "paired_t", "rmse_of_draws"]
