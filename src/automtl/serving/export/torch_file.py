"""A saved model's network as one program of torch, from encoded inputs to scores.

The file needs torch alone: `torch.export.load(FILE).module()(categorical, numeric, lists)`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from automtl._version import __version__
from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.ensemble import Ensemble, in_order
from automtl.errors import FileError
from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.features.targets import Targets
from automtl.predictor import Predictor
from automtl.serving.export.check import ROWS, SIZES, TOLERANCE, Agreement, distances, predicted
from automtl.serving.export.network import example, parts_of, trace
from automtl.serving.export.rows import draw_rows
from automtl.serving.export.torch_trees import TorchTrees
from automtl.system.files import require_place, written_whole
from automtl.system.manifest import MANIFEST, checksum
from automtl.tables.schema import Task, TaskKind, stage_names, stages

PROPERTIES = "model.json"  # of a file of torch, what it says of itself


class Scored(nn.Module):
    """Runs a model on plain tensors and returns the columns of `Predictor.predict`, (B,) float64 each, by name.

    categorical: (B, C) int64, numeric: (B, N) float32, lists: (B, L) int64 each.
    """

    weights: Tensor

    def __init__(self, network: nn.Module, layout: Layout, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        self.parts, self.tasks = parts_of(network, layout), tasks
        kept = (TorchTrees(one.model) if isinstance(one.model, BoostedTrees) else one.model for one in self.parts)
        self.models, self.stages = nn.ModuleList(kept), stages(tasks)
        weights = network.weights if isinstance(network, Ensemble) else torch.ones(1, len(tasks))
        self.register_buffer("weights", weights.clone())
        self.targets = nn.ModuleList(Targets([task]) for task in tasks)

    def forward(self, categorical: Tensor, numeric: Tensor, lists: list[Tensor]) -> dict[str, Tensor]:
        features = Features(categorical, tuple(lists), numeric)
        found = zip(self.models, self.parts, self.weights, strict=True)
        mixed = [model(features.first(one.numbers, one.lists)).float() * weight for model, one, weight in found]
        logits = (mixed[0] if len(mixed) == 1 else in_order(torch.stack(mixed).sum(0), self.stages)).double()
        scores = [self._score(logits, place) for place in range(len(self.tasks))]
        columns = {task.name: score for task, score in zip(self.tasks, scores, strict=True)}
        for name, (before, place) in stage_names(self.tasks).items():
            above = 1.0 if before is None else scores[before].clamp(min=1e-300)
            columns[name] = (scores[place] / above).clamp(max=1.0)
        return columns

    def _score(self, logits: Tensor, place: int) -> Tensor:
        values = logits[:, place : place + 1]
        if self.tasks[place].kind is TaskKind.BINARY:
            return values.sigmoid()[:, 0]
        inverse: Tensor = self.targets[place].inverse(values)  # type: ignore[operator]
        return inverse[:, 0]


def export_torch(folder: Path | str, out: Path | str) -> Agreement:
    """Write a saved model's network as a program of torch, after its scores were compared with the predictor's.

    Raises SettingsError for models that torch cannot trace, and FileError where scores differ.
    """
    folder, out = Path(folder), Path(out)
    if out.suffix != ".pt2":
        raise FileError(f"'{out}': a program of torch is a file '.pt2'; choose another --out")
    require_place(out)
    predictor = Predictor.load(folder)
    program = torch_program(predictor)
    agreement = check_program(program, predictor)
    properties = json.dumps(_properties(predictor) | {"model_checksum": checksum(folder / MANIFEST)}, indent=1)
    with written_whole(out) as part, part.open("wb") as file:
        torch.export.save(program, file, extra_files={PROPERTIES: properties})
    return agreement


def torch_program(predictor: Predictor) -> Any:
    """Trace the model from encoded inputs to scores. Raises SettingsError."""
    layout = predictor.encoder.layout
    return trace(Scored(predictor.network, layout, predictor.schema.tasks).eval(), example(layout), layout)


def check_program(program: Any, predictor: Predictor, seed: int = 0) -> Agreement:
    """Score drawn rows with the program and the predictor. Raises FileError where they differ."""
    run, largest = program.module(), 0.0
    for size in (*SIZES, ROWS):
        rows = draw_rows(predictor.encoder, size, seed + size)
        features = predictor.encoder.encode(rows.table, labels=False, history=rows.histories).features
        lists = [ids.long() for ids in features.multi]
        found, expected = run(features.categorical.long(), features.numeric, lists), predicted(predictor, rows)
        for name, wanted in expected.items():
            apart = distances(found[name].detach().numpy(), wanted, name, predictor.schema.tasks)
            if not apart.max() <= TOLERANCE:
                raise FileError(f"the program scores '{name}' otherwise than the predictor, by {apart.max():.1g}")
            largest = max(largest, float(apart.max()))
    return Agreement(largest, ROWS)


def _properties(predictor: Predictor) -> dict[str, Any]:
    layout = predictor.encoder.layout
    return {
        "automtl": __version__,
        "schema": predictor.schema.to_dict(),
        "tasks": list(predictor.schema.task_names),
        "categorical": [one.name for one in layout.categorical],
        "numeric": [name for group in layout.numeric for name in group.columns],
        "lists": [one.name for one in layout.lists],
    }
