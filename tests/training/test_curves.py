"""Few points that say what all rows say."""

from __future__ import annotations

import numpy as np
import pytest

from automtl.tables.schema import Task
from automtl.training.curves import ROC_POINTS, calibration_points, label_summary, roc_points
from automtl.training.metrics import Rows, calibration_error, fast_auc
from tests.conftest import small_batch


def rows(count: int = 5000) -> Rows:
    rng = np.random.default_rng(0)
    scores = rng.random(count)
    return Rows((rng.random(count) < scores).astype(float), scores, rng.random(count) + 0.5)


def test_the_area_under_the_points_is_the_auc() -> None:
    given = rows()
    points = np.array(roc_points(given))
    assert len(points) <= ROC_POINTS
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [1, 1]
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert abs(area - fast_auc(given)) < 2e-3


def test_the_points_do_not_depend_on_how_many_rows_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = roc_points(rows())
    monkeypatch.setattr("automtl.training.metrics.SLICE_ROWS", 100)
    np.testing.assert_allclose(roc_points(rows()), whole, atol=1.1e-5)


def test_calibration_points_hold_the_calibration_error() -> None:
    given = Rows(rows().labels, rows().scores, np.ones(5000))
    points = np.array(calibration_points(given))
    assert len(points) == 20
    error = calibration_error(given)
    assert isinstance(error, float)
    assert abs(np.abs(points[:, 0] - points[:, 1]).mean() - error) < 1e-4


def test_rows_without_both_classes_have_no_roc_and_none_no_points() -> None:
    nothing = Rows(*(np.zeros(0) for _ in range(3)))
    assert roc_points(nothing) == calibration_points(nothing) == []
    assert roc_points(Rows(np.ones(9), np.ones(9), np.ones(9))) == []


def test_label_rates_leave_masked_rows_out() -> None:
    batch = small_batch(50)
    batch.mask[:, 1] = 0
    found = label_summary(batch, [Task("a"), Task("b"), Task("c")])
    assert found["b"] == {"rows": 0, "mean": None}
    kept = batch.mask[:, 0] > 0
    assert found["a"]["rows"] == int(kept.sum())
    assert abs(float(found["a"]["mean"] or 0) - float(batch.labels[kept, 0].mean())) < 1e-5
