"""Measure what several workers send in a step, and what it costs beside plain data parallel training.

Bytes are those that a worker sends in a training step where the backend hands tensors on in a ring, counted around
every collective call, for 1, 2, 3 and 4 workers: of a small embedding table, whose gradient is dense; of a large one,
moved by rows; and of a large one that lies on the workers in parts. They are the same on every machine.

The overhead: the same network, batches, loss and optimizer under torch's DistributedDataParallel, in the same two
processes, in turns with ours. On shared cores seconds say little, so processor time is compared; it leaves out waiting,
and with it what sending during the backward pass, as DistributedDataParallel does, can hide on a slow network.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.registry import new_model
from automtl.models.settings import NetworkSettings
from automtl.system.workers import leave, sent_bytes, together, workers
from automtl.tables.schema import Task
from automtl.training.losses import MultiTaskLoss
from automtl.training.passes import Passes, Place
from automtl.training.settings import TrainingSettings
from automtl.training.sharding import shard
from automtl.training.updates import Updates
from common import HERE, arguments, report

TASKS = tuple(Task(name) for name in ("click", "cart", "buy", "like"))
FIELDS, BATCH = 8, 1024
KINDS = {"dense": 1_000, "row-wise": 100_000, "sharded": 100_000}  # ids of a field
LABELS = {"dense": "table of 8,000 ids, dense", "row-wise": "800,000 ids, by rows", "sharded": "800,000 ids, in parts"}
COUNTS = (1, 2, 3, 4)
IMAGE = HERE.parent / "docs" / "images" / "workers-bytes.svg"
COLOURS = {"dense": "#d1495b", "row-wise": "#2a9d8f", "sharded": "#4d8fd6"}


def rows_of(ids: int, batches: int) -> tuple[Layout, Batch]:
    """Rows whose ids are as often as the inverse of their rank."""
    generator = torch.Generator().manual_seed(0)
    layout = Layout(tuple(CategoricalLayout(f"f{n}", ids) for n in range(FIELDS)), (), (), TASKS)
    count = BATCH * batches
    drawn = (ids ** torch.rand(count, FIELDS, generator=generator)).int().clamp(max=ids - 1)
    labels = torch.randint(0, 2, (count, len(TASKS)), generator=generator).float()
    return layout, Batch(Features(drawn, (), torch.zeros(count, 0)), labels, torch.ones_like(labels), torch.ones(count))


def our_steps(kind: str, batches: int) -> tuple[Batch, Callable[[Batch], None]]:
    """Rows, and a step of our training on a batch of them."""
    layout, rows = rows_of(KINDS[kind], batches)
    settings = TrainingSettings(
        batch_size=BATCH, averaging=0.0, precision="full", embedding_updates="dense" if kind == "dense" else "row-wise",
        shard_embeddings=kind == "sharded",
    )  # fmt: skip
    model = new_model("mmoe", layout, NetworkSettings(dropout=0.0), 0).train()
    shard(model, rows, settings)
    passes = Passes(model, rows, MultiTaskLoss(TASKS), Updates(model, rows, settings), settings)
    place = Place.first(0, len(TASKS), settings, torch.device("cpu"))
    return rows, lambda batch: passes._step(batch, place)


def plain_steps(layout: Layout) -> Callable[[Batch], None]:
    """A step of DistributedDataParallel, which averages the gradients of equal shares of a batch."""
    settings = TrainingSettings(averaging=0.0)
    network = new_model("mmoe", layout, NetworkSettings(dropout=0.0), 0).train()
    for one in network.parameters():
        one.requires_grad_(one.numel() > 0)  # it wants a gradient of each, and there are no numeric fields
    model = DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    loss = MultiTaskLoss(TASKS)

    def step(batch: Batch) -> None:
        own = batch.take(workers().share(len(batch)))
        optimizer.zero_grad()
        loss(model(own.features).float(), own).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip, foreach=True)
        optimizer.step()

    return step


def bytes_a_step() -> dict[str, dict[str, float]]:
    """Bytes that this worker sends in a step, by kind of table and operation."""
    found = {}
    for kind in KINDS:
        rows, step = our_steps(kind, 4)
        sent_bytes.clear()
        for start in range(0, len(rows), BATCH):
            step(rows.take(slice(start, start + BATCH)))
        found[kind] = {name: round(count / 4) for name, count in sent_bytes.items()}
    return found


def overhead(rounds: int, batches: int) -> dict[str, Any]:
    """Processor seconds and seconds of ours over those of DistributedDataParallel, round by round."""
    rows, ours = our_steps("dense", batches)
    plain = plain_steps(rows_of(KINDS["dense"], 1)[0])
    parts = [rows.take(slice(start, start + BATCH)) for start in range(0, len(rows), BATCH)]
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
    for turn in range(rounds + 1):
        for name, step in (("ours", ours), ("plain", plain)) if turn % 2 else (("plain", plain), ("ours", ours)):
            busy, since = time.process_time(), time.perf_counter()
            for part in parts:
                step(part)
            found[name].append((time.process_time() - busy, time.perf_counter() - since))
    turns = list(zip(found["ours"][1:], found["plain"][1:], strict=True))  # the first round is left out
    ratios = [sorted(a[which] / b[which] for a, b in turns) for which in (0, 1)]
    return {
        "processor": round(statistics.median(ratios[0]), 3), "processor_from": round(ratios[0][0], 3),
        "processor_to": round(ratios[0][-1], 3), "seconds": round(statistics.median(ratios[1]), 3),
        "ms_ours": round(1e3 * statistics.median(a[0] for a, _ in turns) / batches, 2),
        "ms_plain": round(1e3 * statistics.median(b[0] for _, b in turns) / batches, 2),
    }  # fmt: skip


def by_workers(count: int, work: Callable[[], Any]) -> Any:
    """Let so many processes do the work together; what the first one found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    context = multiprocessing.get_context("fork")
    pipe, theirs = context.Pipe()
    running = [context.Process(target=_work, args=(work, theirs, shared | {"RANK": str(n)})) for n in range(count)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert all(one.exitcode == 0 for one in running), "a worker has failed"
    return pipe.recv()


def _work(work: Callable[[], Any], pipe: Connection, place: dict[str, str]) -> None:
    """Do the part of one worker."""
    os.environ.update(place)
    with together() as own:
        found = work()
    if own.first:
        pipe.send(found)
    leave(0)


def draw(found: dict[str, dict[str, dict[str, float]]]) -> Path:
    """Draw the bytes of a step against the number of workers."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    from curves import GREY

    style = {"svg.hashsalt": "automtl", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    with matplotlib.rc_context(style):
        figure, panel = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
        for kind, label in LABELS.items():
            heights = [sum(found[str(count)][kind].values()) / 1e6 for count in COUNTS]
            panel.plot(COUNTS, heights, marker="o", markersize=5, linewidth=1.6, color=COLOURS[kind], label=label)
        panel.set_xticks(COUNTS)
        panel.set_xlabel("workers")
        panel.set_ylabel("MB that a worker sends in a step")
        panel.set_ylim(bottom=0)
        panel.grid(color=GREY, alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=9)
        figure.savefig(IMAGE, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return IMAGE


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=16, help="of a round")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sent = {str(count): by_workers(count, bytes_a_step) for count in COUNTS[1:]}
    sent["1"] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        total = {count: round(sum(sent[str(count)][kind].values()) / 1e6, 2) for count in COUNTS}
        print(f"{LABELS[kind]}: MB a step by workers {total}")
    print(f"drawn: {draw(sent).name}")
    beside = by_workers(2, lambda: overhead(given.rounds, given.batches))
    print(f"processor time of our step over DistributedDataParallel's: {beside}")
    report("workers", {"bytes_a_step": sent, "overhead": beside}, given.out)


if __name__ == "__main__":
    main()
