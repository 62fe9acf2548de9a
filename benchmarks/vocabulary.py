"""Seconds a row of a training step as the vocabulary grows: embedding tables moved by rows, and moved whole.

A wide MMoE (8 experts [128, 64], towers [128, 64], 33 categorical fields of size 16 and 7 numeric columns, 4 tasks,
batch 1024), ids drawn uniformly: the worst case for caches. A turn is some steps of the one training loop, without
looks at validation rows. The two tables of a form are trained in turns, so that a drift of the machine's speed meets
both alike.

`growth`: time at the large vocabulary over time at the small one, by rows; `dense_growth`: the same, moved whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import models
from automtl.features.batch import iterate
from automtl.system.denormal import ignore_denormals
from automtl.system.memory import keep_freed_memory
from automtl.training.losses import MultiTaskLoss
from automtl.training.settings import TrainingSettings
from automtl.training.updates import Updates
from common import arguments, in_turns, ratio, report
from peers.sizes import WIDE


@ignore_denormals()
@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--ids", type=int, nargs=2, default=[10_000, 10_000_000], help="of all fields together")
    parser.add_argument("--steps", type=int, default=20, help="in a turn")
    parser.add_argument("--dense-steps", type=int, default=2, help="in a turn of a table moved whole")
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    figures: dict[str, float | dict[str, float]] = {}
    for form, steps, key in (("row-wise", chosen.steps, "growth"), ("dense", chosen.dense_steps, "dense_growth")):
        small, large = (f"{form}, {ids:,} ids" for ids in chosen.ids)
        runs = {name: trainer(ids, form, steps) for name, ids in zip((small, large), chosen.ids, strict=True)}
        times = in_turns(runs, chosen.rounds)
        for name in runs:
            figures[name] = round(1e6 * min(times[name]) / (steps * WIDE.batch), 3)
            print(f"{name:28}{figures[name]:>10} microseconds a row")
        figures[key] = ratio(times[large], times[small])
        print(f"{key} {figures[key]}", flush=True)
    growth = {key: figures.pop(key) for key in ("growth", "dense_growth")}
    report("vocabulary", growth | {"microseconds_per_row": figures}, chosen.out)


def trainer(ids: int, form: str, steps: int) -> Callable[[], None]:
    """A run of so many steps on a model of its own; ids: of all fields together."""
    sizes = replace(WIDE, vocabulary=ids // WIDE.fields)
    model, rows = models.model(sizes), models.rows(sizes, steps * sizes.batch)
    loss = MultiTaskLoss(models.tasks(sizes))
    updates = Updates(model, rows, TrainingSettings(batch_size=sizes.batch, embedding_updates=form))

    def run() -> None:
        for batch in iterate(rows, sizes.batch):
            updates.step(loss(model(batch.features), batch))

    return run


if __name__ == "__main__":
    main()
