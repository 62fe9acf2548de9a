"""How ensembles should be selected: ways to weigh the models of a fit, judged on validation rows they did not see.

Trains what a fit trains, then chooses weights on a random half of the validation rows and judges them on the other
half, in turn, for some random halves. Test rows are not read. Prints a line a way: the loss over the base rates', and
the main metric of each task. `--taught`: trains the best network once more, on the scores of the ensemble in place of
the labels, as distillation does, and judges it alone and as one more kind of model.

    python benchmarks/selection.py TABLE --task NAME ... [--drop NAME ...] [--split-column NAME] [--time NAME]
        [--label-delay DELAY] [--trainings 8] [--taught]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from automtl.config import Settings, read_settings
from automtl.dataset.store import data_loader
from automtl.ensemble.selection import Choice, select
from automtl.ensemble.settings import SelectionSettings
from automtl.experiment import ColumnRoles, EncodedSource, Experiment, open_source
from automtl.experiment.library import Library
from automtl.features.batch import Batch
from automtl.tables.history import read_delays
from automtl.tables.schema import Task
from automtl.training.evaluation import Evaluator, predict_logits, scores_of
from automtl.training.fit import SelfTrained, fit
from automtl.training.losses import MultiTaskLoss
from automtl.training.metrics import primary_metric, task_rows
from automtl.training.soft_labels import with_soft_labels
from common import commit, run

Way = Callable[[Sequence[Choice], Batch, Sequence[Task]], Tensor]
HALVES = 3  # random halves, each used in both directions
NETWORK = "network"


def two_levels(choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Weigh kinds of models by task and networks together, as a fit does."""
    return select(choices, valid, tasks, SelectionSettings())


def without_bags(choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Select networks greedily from all of them at once."""
    return select(choices, valid, tasks, SelectionSettings(bags=0))


def every_model(choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Let each task weigh every model by itself."""
    alone = [replace(one, kind=str(place)) for place, one in enumerate(choices)]
    return select(alone, valid, tasks, SelectionSettings())


def best_network(choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Weigh the network that is best on these rows, and all trees."""
    judge = Evaluator(valid, tasks, MultiTaskLoss(tasks))
    losses = {
        place: float((judge.loss.over(one.logits, valid) / judge.base) @ judge.loss.weights)
        for place, one in enumerate(choices)
        if one.kind == NETWORK
    }
    kept = [place for place, one in enumerate(choices) if one.kind != NETWORK or losses[place] == min(losses.values())]
    weights = torch.zeros(len(choices), len(tasks))
    weights[kept] = select([choices[place] for place in kept], valid, tasks, SelectionSettings())
    return weights


def equal(choices: Sequence[Choice], valid: Batch, tasks: Sequence[Task]) -> Tensor:
    """Weigh all models alike."""
    return torch.full((len(choices), len(tasks)), 1 / len(choices))


WAYS: dict[str, Way] = {
    "two levels": two_levels, "greedy without bags": without_bags, "the best network and the trees": best_network,
    "every model by task": every_model, "equal weights": equal,
}  # fmt: skip


def judged(library: Library, choices: Sequence[Choice], way: Way) -> tuple[float, dict[str, float]]:
    """Return the mean loss and metrics of the rows that weights were not chosen on."""
    rows, tasks = library.valid, library.tasks
    found: list[tuple[float, dict[str, float]]] = []
    for seed in range(HALVES):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        halves = order[: len(rows) // 2], order[len(rows) // 2 :]
        for chosen, seen in (halves, halves[::-1]):
            some = [replace(one, logits=one.logits[chosen]) for one in choices]
            weights = way(some, rows.take(chosen), tasks)
            mixed = sum(one.logits[seen] * weight for one, weight in zip(choices, weights, strict=True))
            found.append(quality(torch.as_tensor(mixed), rows.take(seen), tasks))
    names = found[0][1]
    return (
        sum(loss for loss, _ in found) / len(found),
        {name: sum(metrics[name] for _, metrics in found) / len(found) for name in names},
    )


def quality(logits: Tensor, rows: Batch, tasks: Sequence[Task]) -> tuple[float, dict[str, float]]:
    """Return the loss over the base rates', and the main metric by task."""
    judge, scores = Evaluator(rows, tasks, MultiTaskLoss(tasks)), scores_of(logits, tasks)
    loss = float((judge.loss.over(logits, rows) / judge.base) @ judge.loss.weights)
    metrics = {}
    for index, task in enumerate(tasks):
        value = primary_metric(task)(task_rows(scores(index), rows, index))
        metrics[task.name] = value if isinstance(value, float) else float("nan")
    return loss, metrics


def taught(experiment: Experiment, soft_weight: float) -> Choice:
    """Train the best network of the library anew, on labels in which the ensemble's scores have this weight."""
    library, rows, tasks, seed = experiment.library, experiment.rows, experiment.library.tasks, experiment.seed
    best = min(
        (one for one in library.models if not isinstance(one.model, SelfTrained)), key=lambda one: one.result.score
    )
    teacher = library.mixed([library.predict(one, rows.train) for one in library.models])
    model, layout = best.spec.build(rows.encoder, seed), library.encoder_of(best).layout
    if best.start is not None:
        best.start(model)
    train, valid = with_soft_labels(rows.train, teacher, soft_weight, tasks), rows.valid.for_layout(layout)
    fit(model, train.for_layout(layout), valid, tasks, best.training, seed)
    return Choice("taught", predict_logits(model, valid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--time")
    parser.add_argument("--label-delay", action="append", default=[])
    parser.add_argument("--trainings", type=int, help="networks of the search; those of the default preset if left out")
    parser.add_argument("--taught", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    changes = {} if given.trainings is None else {"search": {"trainings": given.trainings}}
    settings: Settings = read_settings(None, {"train_on_all_rows": False} | changes)
    roles = ColumnRoles(
        tuple(given.drop), split=given.split_column, time=given.time, label_delay=read_delays(given.label_delay)
    )
    source, settings = open_source(given.table, given.task, roles, None, settings, given.seed)
    with data_loader(settings.data_loader) as loader:
        experiment = Experiment(EncodedSource(source, loader), settings, given.seed)
        experiment.ensemble()
        library = experiment.library
        about = {"table": Path(given.table).name, "seed": given.seed, "commit": commit(), "rows": len(library.valid)}
        scores = {one.spec.name: round(one.result.score, 5) for one in library.models}
        print(json.dumps(about | {"models": scores}), flush=True)
        for name, way in WAYS.items():
            show(name, library, library.choices, way)
        for soft_weight in (1.0, 0.8) if given.taught else ():
            student = taught(experiment, soft_weight)
            name = f"taught by scores of weight {soft_weight:g}"
            show(f"{name}, alone", library, [student], equal)
            show(f"{name}, beside the others", library, [*library.choices, student], two_levels)


def show(name: str, library: Library, choices: Sequence[Choice], way: Way) -> None:
    """Print how good a selection is on rows that it did not see."""
    loss, metrics = judged(library, choices, way)
    shown = {task: round(value, 5) for task, value in metrics.items()}
    print(json.dumps({"selection": name, "loss": round(loss, 5), "metrics": shown}), flush=True)


if __name__ == "__main__":
    run(main)
