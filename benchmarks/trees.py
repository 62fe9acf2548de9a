"""Boosted trees of four tasks: many rows, and one row, with a forest and with what else could score its trees.

Trees are boosted on rows that are made here, in the shape of a log's: 33 fields of ids, 60 numbers, four tasks. All
that is compared gets encoded rows and scores all tasks, in one thread, in turns; figures are processor time.

- `forest`: how trees are scored, by a bit for each row where there are many
- `library`: LightGBM's or CatBoost's own prediction, one call a task, as trees were scored before
- `walk`: the forest's way for few rows, level by level through all trees, in numpy
- `torch`: the same in torch, by gathering nodes
- `onnx`: ONNX Runtime's TreeEnsemble in float32, as `automtl export` writes it, where it is installed

The scores of forest and library are compared in all bits first.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.forest import Forest
from automtl.ensemble.settings import CatBoostSettings, TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout, NumericLayout
from automtl.models.settings import NetworkSettings
from automtl.system.progress import ignore
from automtl.system.threads import one_thread
from automtl.tables.schema import Task
from automtl.training.evaluation import PREDICT_ROWS
from common import Seconds, arguments, in_turns, ratio, report

SIZES = (8000, 3000, *(3 + place % 40 for place in range(31)))
NUMBERS, TASKS = 60, tuple(Task(name) for name in ("click", "view", "like", "enter"))
LAYOUT = Layout(
    tuple(CategoricalLayout(f"c{place}", size) for place, size in enumerate(SIZES)), (),
    (NumericLayout("n", tuple(f"n{place}" for place in range(NUMBERS))),), TASKS,
)  # fmt: skip
Score = Callable[[Features], object]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--rows", type=int, default=16_384, help="scored at a time in bulk, by batches as predictions are"
    )
    parser.add_argument("--trees", type=int, default=300, help="of each task")
    parser.add_argument("--train-rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200, help="with one row, in each round")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {"trees_of_a_task": chosen.trees, "rows": chosen.rows}
    with one_thread():
        for name, model, boosters in trained(chosen):
            figures[name] = compared(name, model, boosters, chosen)
    report("trees", figures, chosen.out, ["lightgbm", "numpy"])


def made(count: int, seed: int) -> Batch:
    """Rows whose labels hang on ids and numbers."""
    random = np.random.default_rng(seed)
    ids = np.stack([(size * random.random(count) ** 2).astype(np.int64) for size in SIZES], axis=1)
    numbers = random.normal(size=(count, NUMBERS)).astype(np.float32)
    taste = np.random.default_rng(0).normal(size=(max(SIZES), len(SIZES), len(TASKS))) / 4
    slopes = np.random.default_rng(1).normal(size=(NUMBERS, len(TASKS))) / 4
    logits = (
        taste[ids, np.arange(len(SIZES))].sum(axis=1) + np.tanh(numbers) @ slopes + numbers[:, :4] * numbers[:, 4:8]
    )
    labels = (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    features = Features(torch.tensor(ids), (), torch.tensor(numbers))
    return Batch(features, torch.tensor(labels), torch.ones(labels.shape), torch.ones(count))


def trained(chosen: argparse.Namespace) -> list[tuple[str, BoostedTrees, list[Any]]]:
    """Models of as many trees as asked for, and the boosters that they were made of."""
    train, valid = made(chosen.train_rows, 2), made(1000, 3)
    shape = {"rounds": chosen.trees, "patience": chosen.trees}
    default = TreeSettings(**shape, catboost=CatBoostSettings())
    kinds = {
        "lightgbm": (TreeModel, default),
        "small": (TreeModel, default.small),
        "catboost": (CatBoostTrees, default),
    }
    found = []
    for name, (kind, settings) in kinds.items():
        if not kind.available():
            print(f"{name} is not installed")
            continue
        model = kind(LAYOUT, NetworkSettings(), torch.Generator(), settings)
        boosters = list[Any]()
        convert = model.converted
        model.converted = lambda made, convert=convert, boosters=boosters: (boosters.extend(made), convert(made))[1]
        model.learn(train, valid, 0, ignore, name)
        found.append((name, model, boosters))
    return found


def compared(name: str, model: BoostedTrees, boosters: list[Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """Microseconds a row of each way, and how many times as long the others take as a forest does."""
    ways: dict[str, Score] = {
        "forest": model.scores,
        "library": lambda features: model.raw_scores(boosters, features),
        "walk": lambda features: model._scorer().walk(matrix(model, features)),
        "torch": gathering(model),
    }
    ways |= onnx(model)
    features = made(chosen.rows, 4).features
    assert np.array_equal(model.scores(features), model.raw_scores(boosters, features))
    parts = [
        features.each(lambda one, at=at: one[at : at + PREDICT_ROWS]) for at in range(0, chosen.rows, PREDICT_ROWS)
    ]
    ones = [features.each(lambda one, at=at: one[at : at + 1]) for at in range(min(64, chosen.rows))]
    few = parts[:1]  # what is slow is timed on fewer rows
    found: dict[str, Any] = {"trees": model.forest.num_trees, "nodes": len(model.forest.column)}
    bulk = {way: timed(score, few if way in ("walk", "torch") else parts) for way, score in ways.items()}
    single = {
        way: timed(score, [ones[call % len(ones)] for call in range(chosen.calls)]) for way, score in ways.items()
    }
    for what, runs in (("bulk", bulk), ("one_row", single)):
        times = in_turns(runs, chosen.rounds)
        microseconds = {way: round(1e6 * statistics.median(seconds), 2) for way, seconds in times.items()}
        ratios = {way: ratio(seconds, times["forest"]) for way, seconds in times.items() if way != "forest"}
        found[what] = {"microseconds_a_row": microseconds, "times_as_long": ratios}
        for way, value in microseconds.items():
            print(f"{name:9} {what:8} {way:8} {value:10.2f} us a row  {ratios.get(way, 1.0):6.2f}", flush=True)
    return found


def timed(score: Score, parts: Sequence[Features]) -> Callable[[], Seconds]:
    """Score parts one after another; the processor's seconds for each row."""
    rows = sum(len(part.categorical) for part in parts)

    def run() -> Seconds:
        start = time.process_time()
        for part in parts:
            score(part)
        return Seconds((time.process_time() - start) / rows)

    return run


def matrix(model: BoostedTrees, features: Features) -> np.ndarray:
    """The columns that a forest reads."""
    looked_up = model.tables.columns(model.inputs.ids(features).numpy())
    return np.concatenate([model.inputs.matrix(features), looked_up], axis=1)


def gathering(model: BoostedTrees) -> Score:
    """Walk all trees at once in torch: leaves lead to themselves, until the deepest tree has ended."""
    forest = model.forest
    nodes, total = len(forest.column), len(forest.column) + len(forest.leaf)
    ends = torch.arange(nodes, total)

    def with_leaves(array: np.ndarray) -> Tensor:
        return torch.cat([torch.tensor(array), torch.zeros(total - nodes, dtype=torch.tensor(array).dtype)])

    left, right = (
        torch.cat([torch.tensor(np.where(side >= 0, side, nodes - 1 - side)).long(), ends])
        for side in (forest.left, forest.right)
    )
    column, threshold = with_leaves(forest.column.astype(np.int64)), with_leaves(forest.threshold)
    node_set = with_leaves(forest.node_set.astype(np.int64) + 1)
    sets = torch.tensor(np.unpackbits(forest.sets, axis=1, bitorder="little").astype(bool))
    members = torch.cat([torch.zeros(1, 256, dtype=torch.bool), sets]).flatten()
    starts = torch.tensor(forest.tree_start[:-1]).long()
    leaf, roots = torch.tensor(forest.leaf), torch.where(torch.tensor(np.diff(forest.tree_start)) > 0, starts, 0)
    depth, tasks = depth_of(forest), torch.tensor(np.bincount(forest.tree_task, minlength=forest.num_tasks)).tolist()

    def score(features: Features) -> object:
        rows = torch.from_numpy(matrix(model, features))
        here = roots.expand(len(rows), -1)
        for _ in range(depth):
            value, chosen = rows.gather(1, column[here]), node_set[here]
            member = members[chosen * 256 + value.clamp(0, 255).long()]
            here = torch.where(torch.where(chosen > 0, member, value <= threshold[here]), left[here], right[here])
        return [part.sum(dim=1) for part in leaf[here - nodes].split(tasks, dim=1)]

    return score


def depth_of(forest: Forest) -> int:
    """Levels of the deepest tree."""
    depth = np.zeros(len(forest.column), np.int64)
    for node, children in enumerate(zip(forest.left, forest.right, strict=True)):
        for child in children:
            if child >= 0:
                depth[child] = depth[node] + 1
    return int(depth.max(initial=-1)) + 1


def onnx(model: BoostedTrees) -> dict[str, Score]:
    """ONNX Runtime's way, where it is installed."""
    try:
        from automtl.serving.export.check import session_of
        from automtl.serving.export.features import Encoded
        from automtl.serving.export.graph import Graph
        from automtl.serving.export.onnx_file import serialized
        from automtl.serving.export.trees import tree_logits

        graph = Graph()
        features = Encoded(
            graph.input("categorical", np.int64, ["rows", len(SIZES)], ""),
            graph.input("numeric", np.float32, ["rows", NUMBERS], ""), (),
        )  # fmt: skip
        graph.output("logits", tree_logits(graph, model, features, NUMBERS, 0), np.float32, ["rows", "tasks"])
        session = session_of(serialized(graph.model({}, "trees")))
    except ImportError:
        print("onnxruntime is not installed")
        return {}

    def score(rows: Features) -> object:
        return session.run(None, {"categorical": rows.categorical.numpy(), "numeric": rows.numeric.numpy()})

    return {"onnx": score}


if __name__ == "__main__":
    main()
