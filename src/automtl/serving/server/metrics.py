"""Metrics of a server in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import Scope

from automtl.serving.server.models import Models
from automtl.serving.server.served import ServedModel
from automtl.serving.server.tally import SECONDS, Distribution

LABELS = ("model", "endpoint")


class Metrics:
    """Counts the requests of one server, and reads what its models have counted."""

    def __init__(self, models: Models) -> None:
        self.models, self.registry = models, CollectorRegistry()
        self.requests = Counter(
            "automtl_requests", "Requests by endpoint and status.", (*LABELS, "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "automtl_request_seconds", "Seconds from a request to its answer.", LABELS, buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.registry.register(ModelCollector(models))

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answered request. Names that clients make up are left out, so that labels stay few."""
        endpoint = getattr(scope.get("route"), "path", "none")
        name = scope.get("path_params", {}).get("name", "")
        name = name if name in self.models.folders else ""
        self.requests.labels(name, endpoint, str(status)).inc()
        self.seconds.labels(name, endpoint).observe(seconds)


class ModelCollector(Collector):
    """Reads the counts of all models when Prometheus asks."""

    def __init__(self, models: Models) -> None:
        self.models = models

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all models."""
        served = list(self.models)
        yield from _about(served)
        yield _counter("automtl_rows", "Rows scored.", {one.name: one.tally.rows for one in served})
        failed = {one.name: one.tally.failed_loads for one in served}
        yield _counter("automtl_failed_loads", "Loads that failed and left the earlier model.", failed)
        unknown = CounterMetricFamily("automtl_unknown_ids", "Rows with an unknown id.", labels=["model", "column"])
        batches = HistogramMetricFamily("automtl_batch_rows", "Rows scored together.", labels=["model"])
        seconds = HistogramMetricFamily("automtl_batch_seconds", "Seconds to score a batch.", labels=["model"])
        scores = HistogramMetricFamily("automtl_score", "Scores.", labels=["model", "task"])
        for one in served:
            _add(batches, [one.name], one.tally.batches)
            _add(seconds, [one.name], one.tally.seconds)
            for column, count in list(one.tally.unknown.items()):
                unknown.add_metric([one.name, column], count)
            for task, found in list(one.tally.scores.items()):
                _add(scores, [one.name, task], found)
        yield from (unknown, batches, seconds, scores)


def _about(served: list[ServedModel]) -> Iterator[Metric]:
    info = InfoMetricFamily("automtl_model", "The version that is served.", labels=["model"])
    waiting = GaugeMetricFamily("automtl_queue_depth", "Requests that wait.", labels=["model"])
    loaded = GaugeMetricFamily("automtl_loaded_timestamp_seconds", "When a model was loaded.", labels=["model"])
    took = GaugeMetricFamily("automtl_load_seconds", "Seconds that loading took.", labels=["model"])
    for one in served:
        info.add_metric([one.name], {"version": one.loaded.version})
        waiting.add_metric([one.name], one.batcher.depth)
        loaded.add_metric([one.name], one.loaded.at)
        took.add_metric([one.name], one.loaded.seconds)
    yield from (info, waiting, loaded, took)


def _counter(name: str, about: str, counts: dict[str, int]) -> Metric:
    found = CounterMetricFamily(name, about, labels=["model"])
    for model, count in counts.items():
        found.add_metric([model], count)
    return found


def _add(family: HistogramMetricFamily, labels: list[str], found: Distribution) -> None:
    family.add_metric(labels, found.buckets, found.total)


def metrics_router(metrics: Metrics) -> APIRouter:
    """Return the endpoint that Prometheus asks."""
    router = APIRouter(tags=["server"])

    @router.get("/metrics", summary="Show metrics in the format of Prometheus.")
    async def show() -> Response:
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
