"""The latency of a model: the one definition that leaderboards, bounds of a selection and benchmarks share."""

from __future__ import annotations

import statistics
import time

from torch import nn

from automtl.errors import SettingsError
from automtl.features.batch import Batch
from automtl.system.journal import begin_step
from automtl.system.threads import one_thread
from automtl.system.workers import first_does
from automtl.training.evaluation import predict_logits

ROWS = 64  # different rows that take turns
WARM_CALLS = 20
CALLS = 200
MOST_SECONDS = 1.0  # a slow model is called less often, but at least LEAST_CALLS times
LEAST_CALLS = 10


def row_latencies_ms(
    model: nn.Module, rows: Batch, *, calls: int = CALLS, seconds: float = MOST_SECONDS
) -> list[float]:
    """Measure the milliseconds of each call that scores one encoded row, in one thread, after calls to warm up.

    What is timed: `predict_logits`, thus the members of an ensemble and its boosted trees, but not the encoding of a
    table's row. There are `calls` calls, or fewer where they would take more than `seconds`. The model's mode and the
    number of threads are restored. Raises SettingsError where there are no rows.
    """
    if len(rows) == 0:
        raise SettingsError("the latency of a model is measured on rows, of which there are none; give at least one")
    ones = [rows.take(slice(place, place + 1)) for place in range(min(len(rows), ROWS))]
    training, found = model.training, list[float]()
    model.eval()
    with one_thread():
        for place in range(WARM_CALLS):
            predict_logits(model, ones[place % len(ones)])
        end = time.perf_counter() + seconds
        while len(found) < calls and (len(found) < LEAST_CALLS or time.perf_counter() < end):
            start = time.perf_counter()
            predict_logits(model, ones[len(found) % len(ones)])
            found.append((time.perf_counter() - start) * 1000)
    model.train(training)
    return found


def row_latency_ms(model: nn.Module, rows: Batch) -> float:
    """Return the median of `row_latencies_ms`: the milliseconds in which a model scores one encoded row.

    The present journal records it: where it decides what is selected, a fit that is resumed must find it again.
    """
    step = begin_step("latency")
    if step.state is not None:
        return float(step.state.values["ms"])
    found = first_does(lambda: statistics.median(row_latencies_ms(model, rows)))
    step.save({"ms": found}, {}, final=True)
    return found
