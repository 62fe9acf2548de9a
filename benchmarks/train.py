"""Training rows a second against torch-rechub and deepctr-torch: the same sizes, batch and rows for all, in turns.

A turn is a whole epoch by each library's own means: ours by `automtl.training.fit` (shuffling, batches, forward,
backward, clipping, Adam, and a look at a few validation rows) in its default precision, bf16 where the processor has
it, in full precision (`_full`) and, with `--compiled`, by torch.compile (the compilation, once a model, is not in the
turns); torch-rechub's by `MTLTrainer.train_one_epoch` on the loader of its `DataGenerator`, deepctr-torch's by
`model.fit`. Adam everywhere, no dropout, the peers in single precision, as many threads.

Two models over 33 categorical fields of size 16 and 7 numeric columns, for four tasks:

wide      an MMoE of 8 experts [128, 64], towers [128, 64]: the arithmetic decides
narrow    a Shared-Bottom of [64], towers [16]: the overhead decides

What is not the same, as the libraries do not offer it otherwise: our numeric columns are projected into one field of
16 (the peers take them as they are: 535 inputs against our 544); torch-rechub puts batch normalisation after every
linear layer, gates included; deepctr-torch has no bias in gates and last layers. The operations a
row are printed for each.

Our process keeps freed memory (`automtl.system.memory`) from one turn to the next, as an experiment does; the peers run
as their users run them. With `--peers-keep-memory` their allocators are set as ours is, to tell whether a ratio hangs
on it.

`floor` and `ceiling_share`: of full precision, seconds over those that the products of the pass would take at the
speed of one large product, measured in the same turns. 60 % of the ceiling is a floor of 1.67.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack
from typing import Any, Literal

import models
from automtl.features.batch import Batch
from automtl.system.memory import keep_freed_memory
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings
from common import Seconds, arguments, in_turns, matrix_ceiling, ratio, report
from peers.host import Peer
from peers.sizes import NARROW, WIDE, Sizes

PEERS = ("torch-rechub", "deepctr-torch")
MODELS = {"wide": WIDE, "narrow": NARROW}
FULL, COMPILED = "automtl, full", "automtl, compiled"
CEILING_FLOP = 1e10  # what the ceiling is told in: seconds of so many operations


@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rows", type=int, default=128 * 1024, help="rows of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-keep-memory", action="store_true", help="the peers' allocators set as ours is")
    parser.add_argument("--compiled", action="store_true", help="with training.compile, too")
    chosen = parser.parse_args()
    found = {name: compare(name, chosen) for name in chosen.models}
    report("train", found.pop("wide", {}) | found | {"peers_keep_memory": chosen.peers_keep_memory}, chosen.out)


def compare(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Rows a second, operations a row and ratios of one model. Prints them, too."""
    sizes, rows = MODELS[name], chosen.rows
    ours, full = Ours(sizes, rows), Ours(sizes, rows, "full")
    with ExitStack() as stack:
        keep = chosen.peers_keep_memory
        workers = {peer: stack.enter_context(Peer(peer, sizes, rows, keep_memory=keep)) for peer in chosen.peers}
        runs = {
            "automtl": ours.epoch,
            FULL: full.epoch,
            "ceiling": lambda: Seconds(CEILING_FLOP / matrix_ceiling(tries=3)),
        }
        if chosen.compiled:
            compiled = Ours(sizes, rows, compile=True)
            compiled.epoch()
            runs[COMPILED] = compiled.epoch
        runs |= {peer: lambda worker=worker: worker.ask("train", rows) for peer, worker in workers.items()}
        times = in_turns(runs, chosen.rounds)
        counted = {peer: round(worker.ask("flops")) for peer, worker in workers.items()}
    return figures(
        name, rows, times, dict.fromkeys(("automtl", FULL, COMPILED), 6 * models.multiply_adds(sizes)) | counted
    )


def figures(name: str, rows: int, times: dict[str, list[float]], flops: dict[str, int]) -> dict[str, Any]:
    """The times of `rows` rows as rows a second and ratios."""
    floor = [rows * flops["automtl"] / CEILING_FLOP * seconds for seconds in times.pop("ceiling")]
    speeds = {library: round(rows / statistics.median(seconds)) for library, seconds in times.items()}
    ratios = {library: ratio(seconds, times["automtl"]) for library, seconds in times.items()}
    for library, speed in speeds.items():
        cost, than = flops[library] / 1e6, f", ours {ratios[library]} times as fast" if library in PEERS else ""
        print(f"{name}: {library:14}{speed:>8,} rows/s, {cost:.3f} MFLOP a row{than}")
    share = ratio(floor, times[FULL])
    print(f"{name}: {share:.0%} of the speed of one large product", flush=True)
    found = {peer.replace("-", "_"): ratios[peer] for peer in ratios if peer in PEERS}
    for way, ending in ((FULL, "full"), (COMPILED, "compiled")):
        known = [peer for peer in PEERS if peer in times and way in times]
        found |= {f"{peer.replace('-', '_')}_{ending}": ratio(times[peer], times[way]) for peer in known}
    shares = {"floor": ratio(times[FULL], floor), "ceiling_share": share}
    return found | shares | {"rows_per_second": speeds, "flop_per_row": flops}


class Ours:
    """Our model and rows."""

    def __init__(
        self, sizes: Sizes, rows: int, precision: Literal["auto", "full"] = "auto", *, compile: bool = False
    ) -> None:
        self.sizes, self.model, self.tasks = sizes, models.model(sizes), models.tasks(sizes)
        self.train: Batch = models.rows(sizes, rows)
        self.valid = self.train.take(slice(0, 256))
        self.settings = TrainingSettings(epochs=1, batch_size=sizes.batch, precision=precision, compile=compile)

    def epoch(self) -> None:
        """One call of the library's loop."""
        fit(self.model, self.train, self.valid, self.tasks, self.settings, seed=0)


if __name__ == "__main__":
    main()
