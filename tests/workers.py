"""Work that tests let several workers do together; run as a module, this file does it in one of them.

python -m tests.workers FILE    # under torchrun's variables; the first worker writes what it found into FILE
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor

from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.features.row_shards import RowShards
from automtl.models.registry import new_model
from automtl.models.settings import NetworkSettings
from automtl.nn import sharded
from automtl.search import STRATEGIES, SearchProblem
from automtl.space import SpaceSettings, published_space
from automtl.system import journal
from automtl.system.journal import Journal, State, recording
from automtl.system.workers import all_wait, first_does, leave, sent_bytes, together, workers
from automtl.tables.schema import Task
from automtl.testing.examples import small_batch, small_layout
from automtl.training.evaluation import predict_logits
from automtl.training.fit import Training
from automtl.training.settings import TrainingSettings

TRAINING = TrainingSettings(batch_size=63, epochs=2, precision="full")
NETWORK = NetworkSettings(8, dropout=0.0)
TRAININGS = {  # updates of embeddings, model, whether fields have lists
    "dense": ("dense", "mmoe", False), "row-wise": ("row-wise", "mmoe", False),
    "sharded": ("row-wise", "single-task", False), "sharded lists": ("row-wise", "mmoe", True),
    "row shards": ("dense", "mmoe", True), "row shards and a row": ("row-wise", "mmoe", False),
}  # fmt: skip
ROW_SHARDS = {"row shards": 63, "row shards and a row": 239}  # sizes of batches
STRATEGY_NAMES = ("automtl", "progressive")
STOPPED = {  # trainings that are stopped: name of one of TRAININGS, dropout
    "dense": ("dense", 0.0), "sharded": ("sharded", 0.0), "dropout": ("row-wise", 0.3),
}  # fmt: skip


def rows_of(count: int = 301, tasks: int = 2, fields: int = 3) -> tuple[Layout, Batch]:
    """Encoded rows, of which some have no label for a task, and their layout."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 40, (count, fields), generator=generator, dtype=torch.int32)
    labels = ((ids[:, :tasks] % 3 == 0).float() + torch.rand(count, tasks, generator=generator) > 0.9).float()
    mask = (torch.rand(count, tasks, generator=generator) > 0.2).float()
    layout = Layout(
        tuple(CategoricalLayout(f"f{n}", 40) for n in range(fields)), (), (), (Task("a"), Task("b"))[:tasks]
    )
    return layout, Batch(
        Features(ids, (), torch.zeros(count, 0)), labels * mask, mask, torch.rand(count, generator=generator)
    )


class Stopped(Exception):
    """Stands for the end of all workers."""


class Stopping(Journal):
    """A journal whose workers end when they have written their k-th state."""

    def __init__(self, folder: Path, states: int) -> None:
        super().__init__(folder, seconds=0)
        self.states = states

    def write(self, number: int, identity: str, state: State) -> None:
        super().write(number, identity, state)
        self.states -= 1
        if self.states == 0:
            all_wait()
            raise Stopped


def stopped(case: str, folder: Path) -> None:
    """Let a training that is recorded in a folder end in the middle of its second epoch, after its sixth batch."""
    share, journal.SHARE = journal.SHARE, 1e9  # states are written however long that takes
    try:
        with recording(Stopping(folder, 7)):
            trained(*STOPPED[case])
    except Stopped:
        return
    finally:
        journal.SHARE = share
    raise AssertionError(f"{case} was not stopped")


def gone_on(case: str, folder: Path) -> dict[str, Tensor]:
    """Weights and losses of a training that goes on from the states in a folder."""
    with recording(Journal(folder, 0)):
        return trained(*STOPPED[case])


def again(case: str, folder: Path) -> list[dict[str, Tensor]]:
    """A training undisturbed, and the same one stopped and gone on; its states stay in the folder."""
    whole = trained(*STOPPED[case])
    stopped(case, folder)
    first_does(lambda: shutil.copytree(folder, folder.with_name(f"{folder.name}-copy")))
    return [whole, gone_on(case, folder.with_name(f"{folder.name}-copy"))]


def trained(case: str, dropout: float = 0.0) -> dict[str, Tensor]:
    """Weights and losses of a training."""
    updates, name, lists = TRAININGS[case]
    layout, rows = (small_layout(2), small_batch(301, 2)) if lists else rows_of()
    model = new_model(name, layout, replace(NETWORK, dropout=dropout), 0)
    shard = case.startswith("sharded")
    changes = {"row_shards": 2, "batch_size": ROW_SHARDS[case]} if case in ROW_SHARDS else {}
    settings = TrainingSettings(
        **{**vars(TRAINING), "embedding_updates": updates, "shard_embeddings": shard, **changes}
    )
    train = rows.take(slice(0, 240))
    if changes and workers().several:
        train = only_own(train, settings)
    training = Training(model, train, rows.take(slice(240, None)), layout.tasks, settings, 0)
    while training.advance() is not None:
        pass
    losses = torch.tensor([one.loss for one in training.finish().evaluations])
    return {**{name: one for name, one in model.state_dict().items() if one.numel()}, "losses": losses}


def only_own(rows: Batch, settings: TrainingSettings) -> Batch:
    """Put ids that no table has in place of the inputs that this worker needs not."""
    shards = RowShards(settings.row_shards, workers().place).spans(len(rows), settings.batch_size)
    known = torch.zeros(len(rows), dtype=torch.bool)
    known[shards[workers().place]], known[shards[-1].stop :] = True, True
    return replace(rows, features=rows.features.each(lambda values: values.where(known.unsqueeze(1), -1)))


def searched(strategy: str) -> dict[str, Any]:
    """Architecture and validation losses of a search by gradients."""
    layout, rows = rows_of()
    kind = STRATEGIES.find(strategy)
    settings = get_type_hints(kind)["settings"](batch_size=31, min_steps=24, max_steps=24)
    space = published_space(SpaceSettings(experts=3, keep=2), 2)
    problem = SearchProblem(space, layout, rows.take(slice(0, 240)), rows.take(slice(240, None)), NETWORK, TRAINING)
    found = kind(settings).search(problem, 0, lambda event: None)
    losses = [record["valid_loss"] for record in found.history["records"]]
    return {"architecture": found.architecture.to_dict(), "losses": losses}


def shard_rows() -> int:
    """The rows of a table that this worker keeps while it trains."""
    layout, rows = rows_of()
    settings = TrainingSettings(embedding_updates="row-wise", shard_embeddings=True)
    training = Training(new_model("mmoe", layout, NETWORK, 0), rows, rows, layout.tasks, settings, 0)
    return len(training.model.embedding.table)


def everything(folder: Path | None = None) -> dict[str, Any]:
    """All that is compared between one worker and two; states of what is stopped go into the folder."""
    with together():
        found: dict[str, Any] = {name: trained(name) for name in TRAININGS}
        found |= {name: searched(name) for name in STRATEGY_NAMES}
        layout, rows = rows_of(4_099)  # more than one pass of each worker
        found["scores"] = predict_logits(new_model("mmoe", layout, NETWORK, 0), rows)
        found["parts"] = [sent_bytes["all_to_all_single"] > 0, shard_rows()]
        found["first"] = first_does(lambda: workers() == workers() and os.environ.get("RANK", "0"))
        if folder is not None:
            found["again"] = {name: again(name, folder / name) for name in STOPPED}
            found["going"] = {name: gone_on(name, folder / f"{name}-alone") for name in STOPPED}
        try:
            first_does(lambda: 1 // 0)
        except ZeroDivisionError:
            found["raised"] = True
    return found


def by_workers(count: int, file: Path) -> dict[str, Any]:
    """Let so many processes do everything together; what the first one found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-m", "tests.workers", str(file)]
    running = [
        subprocess.Popen(command, env=shared | {"RANK": str(place)}, cwd=Path(__file__).parents[1])
        for place in range(count)
    ]
    assert [one.wait() for one in running] == [0] * count
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sharded.PIECE = 7  # rows, so that tables are put together in several pieces
    result = everything(Path(sys.argv[1]).parent)
    if os.environ["RANK"] == "0":
        torch.save(result, sys.argv[1])
    leave(0)
