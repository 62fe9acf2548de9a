"""Prediction: the latency of one encoded row, the rows a second of many, and a table from end to end.

One row: the wide MMoE of `peers.sizes`, and architectures drawn from the published space, which stand for what a search
finds, each saved and loaded again by `Predictor`, are given one encoded row by `predict_logits`, in one thread. Median
and 99th percentile. `ensemble` is what a fit hands over by default: the first of these architectures with a
Shared-Bottom and boosted trees (of 300 rounds) beside it.

A table: `Predictor.predict` on a data frame, checks, encoding and all.

Many encoded rows: `predict_logits` and `to_scores` against deepctr-torch's `predict`, the same models (see `train.py`
for what they are and where the libraries differ) and rows, in turns. Ours goes by batches of its own size; the peer
gets batches of 1024, with which it was fastest of 256 (its default), 1024 and 8192. Ours is timed in full precision, as
predictions are by default, and with `precision` auto (`_auto`: products in bf16 where the processor has it).

`floor`: seconds of many rows over those of the products alone at the speed of one large product, in the same turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from torch import nn

import models
from automtl.ensemble.ensemble import trees_of
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.spec import MemberSpec, ModelSpec
from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.space import SpaceSettings, published_space
from automtl.tables.schema import Field, FieldKind, Schema
from automtl.training.evaluation import predict_logits, to_scores
from automtl.training.fit import fit
from automtl.training.latency import row_latencies_ms
from automtl.training.settings import TrainingSettings
from common import Seconds, arguments, in_turns, matrix_ceiling, ratio, report
from models import tasks
from peers.host import Peer
from peers.sizes import NARROW, WIDE, Sizes

FITTED_ROWS = 20_000  # what vocabularies are learned from
TABLE_ROWS = 100_000  # scored from end to end
WARM_ROWS = 8 * 8192
MODELS = {"wide": WIDE, "narrow": NARROW}
PEER = "deepctr-torch"
AUTO = "automtl, auto"
CEILING_FLOP = 1e10


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=2000, help="calls with one row")
    parser.add_argument("--architectures", type=int, default=5, help="drawn from the published space")
    parser.add_argument("--no-peer", action="store_true", help="ours alone")
    chosen = parser.parse_args()
    table = as_table(WIDE, TABLE_ROWS)
    encoder, few = Encoder.fit(table.head(FITTED_ROWS), schema(WIDE), encoder_settings(), 0)
    specs = {"mmoe": mmoe(WIDE)} | {f"automtl-{seed}": derived(WIDE, seed) for seed in range(chosen.architectures)}
    loaded = {name: saved_and_loaded(encoder, spec) for name, spec in specs.items()}
    loaded["ensemble"] = with_ensemble(loaded["automtl-0"], few)
    latencies = {name: latency(predictor, few, chosen.calls) for name, predictor in loaded.items()}
    print_latencies(latencies)
    ends = from_table(loaded["mmoe"], table)
    networks = {"wide": loaded["mmoe"].network, "narrow": models.model(NARROW).eval()}
    many = {name: many_rows(name, networks[name], models.rows(MODELS[name], chosen.rows), chosen) for name in MODELS}
    about = {"milliseconds_a_row": latencies, "table_rows_per_second": ends}
    report("predict", many.pop("wide") | many | about, chosen.out)


def as_table(sizes: Sizes, rows: int) -> pl.DataFrame:
    """The peers' rows as a data frame."""
    ids, numeric, labels = sizes.data(rows)
    columns = {f"c{index}": ids[:, index] for index in range(sizes.fields)}
    columns |= {f"n{index}": numeric[:, index] for index in range(sizes.numeric)}
    return pl.DataFrame(columns | {task.name: labels[:, index] for index, task in enumerate(tasks(sizes))})


def schema(sizes: Sizes) -> Schema:
    """What the columns mean."""
    categorical = [Field(f"c{index}", FieldKind.CATEGORICAL) for index in range(sizes.fields)]
    numeric = [Field(f"n{index}", FieldKind.NUMERIC) for index in range(sizes.numeric)]
    return Schema((*categorical, *numeric), tasks(sizes))


def encoder_settings() -> EncoderSettings:
    """As many inputs as the peer has: no bins, no target encoding, all numeric columns in one field."""
    return EncoderSettings(min_count=1, target_encoding=False, bins=0, joint_numeric_above=0)


def mmoe(sizes: Sizes) -> ModelSpec:
    """The wide MMoE."""
    return ModelSpec.of("mmoe", NetworkSettings(sizes.embedding, sizes.hidden[-1], sizes.tower))


def derived(sizes: Sizes, seed: int) -> ModelSpec:
    """An architecture from the published space."""
    architecture = published_space(SpaceSettings(), sizes.tasks).sample(random.Random(seed))
    return ModelSpec.of("automtl", NetworkSettings(sizes.embedding), architecture)


def saved_and_loaded(encoder: Encoder, spec: ModelSpec) -> Predictor:
    """The model that a user of the folder gets."""
    with tempfile.TemporaryDirectory() as folder:
        Predictor(encoder.schema, encoder, spec, spec.build(encoder, 0)).save(Path(folder) / "model")
        return Predictor.load(Path(folder) / "model")


def with_ensemble(predictor: Predictor, rows: Batch) -> Predictor:
    """Put a Shared-Bottom and boosted trees beside the network of a predictor, with equal weights."""
    (network,), encoder = predictor.spec.members, predictor.encoder
    beside = MemberSpec("shared-bottom", "shared-bottom", network.network)
    trees = MemberSpec("boosted trees", "lightgbm", network.network)
    spec = ModelSpec((network, beside, trees))
    models = [predictor.network, beside.build(encoder, 0), trees.build(encoder, 0)]
    for one in trees_of(models[-1]):
        one.settings = TreeSettings(rounds=300, patience=300)
    fit(models[-1], rows, rows, predictor.schema.tasks, TrainingSettings(), 0)
    model = spec.joined(models, encoder)
    model.weights = torch.full_like(model.weights, 1 / len(models))
    return replace(predictor, spec=spec, network=model.eval())


def latency(predictor: Predictor, rows: Batch, calls: int) -> dict[str, float]:
    """Milliseconds of scoring one encoded row, in one thread."""
    cuts = statistics.quantiles(row_latencies_ms(predictor.network, rows, calls=calls, seconds=60), n=100)
    return {"median": round(cuts[49], 3), "percentile_99": round(cuts[98], 3)}


def print_latencies(latencies: dict[str, dict[str, float]]) -> None:
    """One line a model."""
    for name, values in latencies.items():
        print(f"one row: {name:12} median {values['median']:.3f} ms, 99 % below {values['percentile_99']:.3f} ms")


def many_rows(name: str, network: nn.Module, batch: Batch, chosen: argparse.Namespace) -> dict[str, Any]:
    """Rows a second of encoded rows, and ratios. Prints them, too."""
    sizes, rows = MODELS[name], len(batch)

    def ours(part: Batch = batch, numbers: Literal["full", "auto"] = "full") -> None:
        to_scores(predict_logits(network, part, numbers), tasks(sizes))

    ours(batch.take(slice(0, WARM_ROWS)))
    runs = {
        "automtl": ours,
        AUTO: lambda: ours(numbers="auto"),
        "ceiling": lambda: Seconds(CEILING_FLOP / matrix_ceiling(tries=3)),
    }
    with ExitStack() as stack:
        if not chosen.no_peer:
            worker = stack.enter_context(Peer(PEER, sizes, rows))
            worker.ask("predict", WARM_ROWS)
            runs |= {PEER: lambda: worker.ask("predict", rows)}
        times = in_turns(runs, chosen.rounds, warm=False)
    floor = [rows * 2 * models.multiply_adds(sizes) / CEILING_FLOP * seconds for seconds in times.pop("ceiling")]
    speeds = {library: round(rows / statistics.median(seconds)) for library, seconds in times.items()}
    for library, speed in speeds.items():
        print(f"{name}, {rows:,} encoded rows: {library:14}{speed:>10,} rows/s", flush=True)
    ours_by = {"": times["automtl"], "_auto": times[AUTO]}
    peer = {} if chosen.no_peer else {"deepctr_torch": times[PEER]}
    ratios = {name + how: ratio(seconds, own) for name, seconds in peer.items() for how, own in ours_by.items()}
    return ratios | {"floor": ratio(times["automtl"], floor), "rows": rows, "rows_per_second": speeds}


def from_table(predictor: Predictor, table: pl.DataFrame) -> dict[str, int]:
    """Rows a second from a data frame to predictions, and of its encoding alone."""
    runs = {
        "predict": lambda: predictor.predict(table),
        "encode": lambda: predictor.encoder.encode(table, labels=False),
    }
    times = in_turns(runs, 3)
    speeds = {name: round(table.height / statistics.median(seconds)) for name, seconds in times.items()}
    print(f"{table.height:,} rows of a table: {speeds['predict']:,} rows/s; encoding alone {speeds['encode']:,} rows/s")
    return speeds


if __name__ == "__main__":
    main()
