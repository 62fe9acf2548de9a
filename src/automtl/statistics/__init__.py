"""Tests of differences between two models: over seeds, over rows, and corrected for several tasks."""

from __future__ import annotations

from automtl.statistics.bootstrap import Interval, Statistic, auc_of_draws, paired_bootstrap, rmse_of_draws
from automtl.statistics.holm import holm
from automtl.statistics.paired_t import paired_t

__all__ = ["Interval", "Statistic", "auc_of_draws", "holm", "paired_bootstrap", "paired_t", "rmse_of_draws"]
