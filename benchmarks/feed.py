"""Feeding: rows a second that shuffled batches come at, from memory and from files, without a model.

`plain`: each tensor indexed by the numbers of 64 batches at a time (64-bit ids, as a table of that kind has them), then
sliced. `memory`, `files`: `iterate` over rows in memory and mapped from a store, all rows permuted. `blocks`: mapped
rows of which a shuffle may hold a share, so that it goes by blocks. `uncached`: the same two ways where no page of the
files is in memory; for the full shuffle no part finds any when it is gathered, as in a table far larger than memory.

The line of JSON: rows a second of each, `plain_loop`: memory over plain, `uncached_blocks`: blocks over full shuffle.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from automtl.dataset.store import Store, slices
from automtl.features.batch import GATHER_BYTES, Batch, Features, iterate, row_bytes
from automtl.features.layout import CategoricalLayout, Layout, NumericLayout
from automtl.system.memory import keep_freed_memory
from automtl.tables.schema import Task
from common import arguments, in_turns, ratio, report

VALUES, NUMERIC, TASKS = 1000, 8, 2
UNCACHED_PARTS = 4


@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--share", type=int, default=16, help="a shuffle buffer holds one part in so many")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    held = made_up(chosen.rows, chosen.columns)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = Store.write(Path(folder) / "rows", slices(held, 500_000), layout(chosen.columns))
        times = in_turns(runs(held, store, chosen.batch, chosen.share), chosen.rounds)
        uncached = in_turns(
            {
                "full": lambda: gather_uncached(store, UNCACHED_PARTS),
                "blocks": lambda: blocks_uncached(store, chosen.batch, chosen.share),
            },
            rounds=1,
        )
    speeds = {name: round(chosen.rows / min(found)) for name, found in times.items()}
    part = GATHER_BYTES // row_bytes(held) * UNCACHED_PARTS
    cold = {"full": round(part / uncached["full"][0]), "blocks": round(chosen.rows / uncached["blocks"][0])}
    for name, speed in [*speeds.items(), *((f"uncached {name}", speed) for name, speed in cold.items())]:
        print(f"{name:16} {speed / 1e6:8.3f} million rows a second")
    sizes = {"rows": chosen.rows, "columns": chosen.columns, "batch": chosen.batch, "window_share": chosen.share}
    ratios = {
        "plain_loop": ratio(times["plain"], times["memory"]),
        "uncached_blocks": round(cold["blocks"] / cold["full"], 1),
    }
    report("feed", sizes | ratios | {"rows_per_second": speeds, "uncached_rows_per_second": cold}, chosen.out)


def layout(columns: int) -> Layout:
    """Of the made-up rows."""
    fields = tuple(CategoricalLayout(f"c{index}", VALUES) for index in range(columns))
    numeric = NumericLayout("n", tuple(f"n{index}" for index in range(NUMERIC)))
    return Layout(fields, (), (numeric,), tuple(Task(f"t{index}") for index in range(TASKS)))


def made_up(rows: int, columns: int) -> Batch:
    """Rows of random ids (int32) and numbers."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, VALUES, (rows, columns), generator=generator, dtype=torch.int32)
    features = Features(ids, (), torch.rand(rows, NUMERIC, generator=generator))
    return Batch(features, torch.zeros(rows, TASKS), torch.ones(rows, TASKS), torch.ones(rows))


def runs(held: Batch, store: Store, batch: int, share: int) -> dict[str, Callable[[], None]]:
    """One epoch each."""
    wide = Batch(
        Features(held.features.categorical.long(), (), held.features.numeric), held.labels, held.mask, held.weight
    )
    return {
        "plain": lambda: plain(wide, batch),
        "in order": lambda: exhaust(iterate(held, batch)),
        "memory": lambda: exhaust(iterate(held, batch, seeded())),
        "files": lambda: exhaust(iterate(store.rows(), batch, seeded())),
        "blocks": lambda: exhaust(iterate(store.rows(store.num_bytes // share), batch, seeded())),
    }


def plain(rows: Batch, batch: int) -> None:
    """Indexed with brackets."""

    def chosen(index: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda tensor: tensor[index]

    for part in torch.randperm(len(rows), generator=seeded()).split(64 * batch):
        exhaust(iterate(rows.each(chosen(part)), batch))


def exhaust(batches: Iterable[Batch]) -> None:
    """Take them all."""
    for _ in batches:
        pass


def gather_uncached(store: Store, parts: int) -> None:
    """Some parts of a full shuffle, each of which finds nothing in memory."""
    order = torch.randperm(store.num_rows, generator=seeded(), dtype=torch.int32)
    for part in order.split(GATHER_BYTES // row_bytes(store.rows()))[:parts]:
        forget(store)
        store.rows().take(part)


def blocks_uncached(store: Store, batch: int, share: int) -> None:
    """One epoch by blocks, which reads every page once."""
    forget(store)
    exhaust(iterate(store.rows(store.num_bytes // share), batch, seeded()))


def forget(store: Store) -> None:
    """Ask the system to drop the files from its cache; nothing may have them mapped."""
    for name in store.arrays:
        file = os.open(store.file(name), os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def seeded() -> torch.Generator:
    """The same order in every run."""
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    main()
