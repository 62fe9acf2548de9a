"""Prometheus can read what the server counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.server.conftest import Running, serving

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def counted(folder: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[Running, dict[Sample, float]]]:
    """A server after a few requests, and the values of its metrics."""
    with serving(f"one={folder}") as running:
        running.post("/models/one/predict", {"rows": [row | {"item_id": 10**6} for row in rows[:4]]})
        running.post("/models/one/predict", {"rows": []})
        running.post("/models/made-up/predict", {"rows": []})
        running.get("/made-up")
        found = running.get("/metrics")
        assert found.headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(found.text)
        samples = (one for family in families for one in family.samples)
        yield running, {(one.name, frozenset(one.labels.items())): one.value for one in samples}


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_requests_are_counted_by_status(counted: tuple[Running, dict[Sample, float]]) -> None:
    predict = "/models/{name}/predict"
    for name, endpoint, status in (
        ("one", predict, "200"),
        ("one", predict, "422"),
        ("", predict, "404"),
        ("", "none", "404"),
    ):
        labels = {"model": name, "endpoint": endpoint, "status": status}
        assert value(counted[1], "automtl_requests_total", **labels) == 1
    assert value(counted[1], "automtl_request_seconds_count", model="one", endpoint=predict) == 2


def test_rows_unknown_ids_and_scores_are_counted(counted: tuple[Running, dict[Sample, float]]) -> None:
    running, samples = counted
    assert value(samples, "automtl_rows_total", model="one") == 4
    assert value(samples, "automtl_unknown_ids_total", model="one", column="item_id") == 4
    assert value(samples, "automtl_score_bucket", model="one", task="click", le="+Inf") == 4
    assert value(samples, "automtl_batch_rows_sum", model="one") == 4
    assert value(samples, "automtl_queue_depth", model="one") == 0
    version = running.get("/models/one").json()["version"]
    assert value(samples, "automtl_model_info", model="one", version=version) == 1
