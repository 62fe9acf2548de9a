"""The others that stand beside a trained network: the reference model of the same inputs and boosted trees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from automtl.config import Settings
from automtl.ensemble.ensemble import Blend, Member, blend, boosted
from automtl.ensemble.trees import TreeModel
from automtl.experiment.input_selection import Encoded, Prepared, train_reference, trains_itself
from automtl.predictor import ModelSpec, tree_inputs
from automtl.system.progress import Callback, ignore
from automtl.tables.schema import Schema


def blended(
    network: nn.Module, spec: ModelSpec, prepared: Prepared, settings: Settings, seed: int, callback: Callback = ignore
) -> tuple[nn.Module, ModelSpec, Encoded]:
    """A trained network with others beside it, where the settings say so and they help; the rows that it all scores.

    Beside it: the reference model of the same inputs, boosted trees of all inputs, and trees without target encoding.
    """
    rows, whole = prepared.rows, prepared.whole
    if not settings.blends:
        return network, spec, rows
    columns, tasks = rows.encoder.layout.num_numeric, rows.encoder.schema.tasks
    members = [Member(settings.model, network, columns)]
    if settings.reference != settings.model and not trains_itself(settings.reference):
        beside = prepared.reference or train_reference(prepared, settings.reference, seed, callback)[1].reference
        assert beside is not None
        members.append(Member(settings.reference, beside, columns))
    inputs = tree_inputs(whole.encoder) if TreeModel.available() else {}
    members += boosted(inputs, whole.train, whole.valid, prepared.training, seed, callback)
    found = blend(members, whole.valid, tasks)
    if found is None:
        return network, spec, rows
    trees = tuple(name for name in found.names[1:] if name in inputs)
    reference = settings.reference if settings.reference in found.names[1:] else None
    encoded = columns == whole.encoder.layout.num_numeric
    return found, replace(spec, target_encoding=encoded, reference=reference, trees=trees), whole


def blend_summary(model: nn.Module, settings: Settings, schema: Schema) -> dict[str, Any] | None:
    """By task the share of each member, and what was missing; None where no blend was wanted."""
    if not settings.blends:
        return None
    missing = None if TreeModel.available() else "LightGBM cannot be loaded; install automtl[trees]"
    if not isinstance(model, Blend):
        return {"shares": {}, "missing": missing}
    shares = {
        task: {name: round(share, 4) for name, share in zip(model.names, column, strict=True)}
        for task, column in zip(schema.task_names, model.share.T.tolist(), strict=True)
    }
    return {"shares": shares, "missing": missing}
