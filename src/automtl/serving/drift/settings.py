"""From which change on rows count as drifted."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class DriftSettings:
    """The least changes that count. Each must also be more than chance, at `significance` for all tests together.

    psi: of the population stability index of a column or of scores; missing, unknown: rise of a share of the rows, or
    of the values; labels: relative change of a mean label; calibration: relative change of expected over observed
    labels; auc: fall of AUC; rmse: relative rise of RMSE.

    >>> DriftSettings(psi=0.1).auc
    0.02
    """

    psi: float = Limit(default=0.2, gt=0)
    missing: float = Limit(default=0.05, ge=0, le=1)
    unknown: float = Limit(default=0.1, ge=0, le=1)
    labels: float = Limit(default=0.2, gt=0)
    calibration: float = Limit(default=0.2, gt=0)
    auc: float = Limit(default=0.02, ge=0, le=1)
    rmse: float = Limit(default=0.1, gt=0)
    significance: float = Limit(default=0.001, gt=0, lt=1)
