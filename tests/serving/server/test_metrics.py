"""Prometheus can read what the server counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from automtl.serving import asgi_app
from automtl.serving.server.served import version_of
from tests.serving.server.conftest import ask

Sample = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def samples(folder: Path, rows: list[dict[str, Any]]) -> Iterator[dict[Sample, float]]:
    """The values of all metrics after a few requests."""
    app = asgi_app([f"one={folder}"])
    ask(app, "POST", "/models/one/predict", {"rows": [row | {"item_id": 10**6} for row in rows[:4]]})
    ask(app, "POST", "/models/one/predict", {"rows": []})
    ask(app, "POST", "/models/made-up/predict", {"rows": []})
    ask(app, "GET", "/made-up")
    families = text_string_to_metric_families(ask(app, "GET", "/metrics")[1].decode())
    found = (one for family in families for one in family.samples)
    yield {(one.name, frozenset(one.labels.items())): one.value for one in found}
    app.state.models.close()


def value(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_requests_are_counted_by_status(samples: dict[Sample, float]) -> None:
    predict = "/models/{name}/predict"
    for name, endpoint, status in (
        ("one", predict, "200"),
        ("one", predict, "422"),
        ("", predict, "404"),
        ("", "none", "404"),
    ):
        labels = {"model": name, "endpoint": endpoint, "status": status}
        assert value(samples, "automtl_requests_total", **labels) == 1
    assert value(samples, "automtl_request_seconds_count", model="one", endpoint=predict) == 2


def test_rows_unknown_ids_and_scores_are_counted(samples: dict[Sample, float], folder: Path) -> None:
    assert value(samples, "automtl_rows_total", model="one") == 4
    assert value(samples, "automtl_unknown_ids_total", model="one", column="item_id") == 4
    assert value(samples, "automtl_score_bucket", model="one", task="click", le="+Inf") == 4
    assert value(samples, "automtl_batch_rows_sum", model="one") == 4
    assert value(samples, "automtl_queue_depth", model="one") == 0
    assert value(samples, "automtl_model_info", model="one", version=version_of(folder)) == 1
