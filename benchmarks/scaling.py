"""Predict what a training of many rows and ids would take: computed from constants that were measured on two cores.

Reads benchmarks/results (`prepare`, `train`, `vocabulary`, `workers`) and prints a table; measures nothing. What the
formulas leave out is said in docs/scaling.md. A machine has two cores, as the measured one; where a plan has FLOP/s in
its place, the share of them that training reaches is taken to be the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from common import HERE, arguments, report

RESULTS = HERE / "results"
DIM, FIELDS, TASKS, FLOAT = 16, 8, 4, 4
STATE = 8  # bytes that the row-wise optimizer keeps for an id
ID = 4  # bytes of an id that is asked for


@dataclass(frozen=True)
class Constants:
    """What was measured of one machine: rows a second, FLOP of a row and their share of the ceiling; the share of ids.

    `distinct`: of the ids of a worker's part of a batch, where they are as often as the inverse of their rank.
    """

    prepared: float
    trained: float
    flop: float
    share: float
    growth: float
    distinct: float

    @staticmethod
    def read() -> Constants:
        found = {
            name: json.loads((RESULTS / f"{name}.json").read_text())
            for name in ("prepare", "train", "vocabulary", "workers")
        }
        prepare = found["prepare"]["prepare"]
        return Constants(
            prepare[max(prepare, key=int)]["rows_per_second"], found["train"]["rows_per_second"]["automtl"],
            found["train"]["flop_per_row"]["automtl"], found["train"]["ceiling_share"], found["vocabulary"]["growth"],
            found["workers"]["bytes_a_step"]["2"]["sharded"]["all_to_all_single"] / _row_bytes(512, 2),
        )  # fmt: skip


def _row_bytes(rows: float, machines: int) -> float:
    """Bytes of the ids of so many rows that are asked of other machines, of their table's rows and gradients."""
    return rows * FIELDS * (1 - 1 / machines) * (ID + 2 * DIM * FLOAT)


@dataclass(frozen=True)
class Plan:
    """A training to be predicted. `gigabits`: a second of a machine's network; `flops`: a second (0: as measured)."""

    rows: float
    ids: float
    machines: int
    gigabits: float
    batch: int
    flops: float = 0.0


def predicted(plan: Plan, known: Constants) -> dict[str, float]:
    """Hours of preparing and of an epoch, and gigabytes of a machine while it trains and when it saves."""
    trained = known.trained / known.growth if not plan.flops else plan.flops * known.share / known.flop
    own = plan.batch / plan.machines
    compute = own / trained
    others = 1 - 1 / plan.machines
    rows_sent = known.distinct * _row_bytes(own, plan.machines)
    gradients = 2 * others * FLOAT * known.flop / 6  # handed on in a ring; a weight takes 6 FLOP of a row
    logits = own * TASKS * FLOAT * (plan.machines - 1)
    network = (rows_sent + gradients + logits) * 8 / (plan.gigabits * 1e9)
    steps, table = plan.rows / plan.batch, plan.ids * DIM * FLOAT / 1e9
    return {
        "prepare_hours": plan.rows / known.prepared / 3600,  # one machine prepares
        "step_ms_computing": 1e3 * compute,
        "step_ms_sending": 1e3 * network,
        "epoch_hours": steps * (compute + network) / 3600,  # sent after the backward pass, not while it runs
        "gb_training": (2 * table + plan.ids * STATE / 1e9) / plan.machines,  # the table, the best one so far, moments
        "gb_building": table + 2 * table / plan.machines,
        "gb_encoded_rows": plan.rows * (FIELDS * 4 + TASKS * 8 + 4) / 1e9,
    }


PLANS = {
    "10 million rows, 1 million ids": Plan(1e7, 1e6, 1, 10, 1024),
    "1 billion rows, 100 million ids": Plan(1e9, 1e8, 8, 10, 16_384),
    "10 billion rows, 1 billion ids": Plan(1e10, 1e9, 64, 25, 131_072),
    "the same, 16 machines of 50 TFLOP/s": Plan(1e10, 1e9, 16, 100, 131_072, 5e13),
}


def main() -> None:
    given = arguments(__doc__).parse_args()
    known = Constants.read()
    print(f"measured: {known}")
    print("predicted, not measured:")
    figures: dict[str, Any] = {}
    for name, plan in PLANS.items():
        found = {key: float(f"{value:.3g}") for key, value in predicted(plan, known).items()}
        figures[name] = found
        print(f"{name}: {plan.machines} machines, {plan.gigabits:g} Gbit/s, batch {plan.batch:,}")
        for key, value in found.items():
            print(f"    {key.replace('_', ' ')}: {value:g}")
    report("scaling", {"predicted": figures}, given.out)


if __name__ == "__main__":
    main()
