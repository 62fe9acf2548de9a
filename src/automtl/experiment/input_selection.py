"""The choice of inputs: a small model is trained under each preset, and the best one on validation rows is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from automtl.config import InputPreset
from automtl.errors import DivergedError
from automtl.experiment.inputs import EncodedSource, ModelInputs, distinct_presets, is_self_trained
from automtl.experiment.library import TrainedModel
from automtl.experiment.trainer import Trainer
from automtl.system.deadline import current_deadline, ending
from automtl.system.progress import Notice

INPUTS_SHARE = 0.25  # of the time that is left


@dataclass(frozen=True)
class SelectedInputs:
    """The inputs that were selected. `tried`: those that a model judged, the best first. `presets`: plain values."""

    inputs: ModelInputs
    tried: tuple[tuple[ModelInputs, TrainedModel], ...]
    presets: list[dict[str, Any]]

    def history(self) -> dict[str, Any]:
        """Describe the choice in plain values: presets, what each group of histories gives, and what was left out."""
        rows, found = self.inputs.rows, {"presets": self.presets}
        if rows.encoder.histories is None:
            return found
        groups = [one.to_dict(rows.encoder.schema.task_names) for one in rows.gains]
        sequence = bool(rows.encoder.histories.sequences)
        return found | {
            "histories": {"groups": groups, "sequence_gain": rows.sequence_gain, "sequence": sequence}
        }  # fmt: skip


def select_inputs(source: EncodedSource, trainer: Trainer, *, try_single: bool) -> SelectedInputs:
    """Choose the preset under which a small reference model is best on validation rows, as long as there is time.

    A single preset is not tried, unless `try_single`.
    """
    presets = distinct_presets(trainer.settings, source.schema)
    if len(presets) == 1 and not try_single:
        inputs = source.inputs(trainer.settings, presets[0])
        return SelectedInputs(inputs, (), [{"name": presets[0].name, "chosen": True}])
    scores: dict[str, float] = {}
    tried: list[tuple[ModelInputs, TrainedModel]] = []
    with ending(current_deadline().part(INPUTS_SHARE)) as deadline:
        for place, preset in enumerate(presets):
            if place and deadline.passed:
                break
            with ending(deadline.part(1 / (len(presets) - place))):
                found = _judged(source, trainer, preset, alone=len(presets) == 1)
            scores[preset.name] = math.inf if found is None else found[1].result.score
            tried += [] if found is None else [found]
    tried.sort(key=lambda one: one[1].result.score)
    inputs = tried[0][0] if tried else source.inputs(trainer.settings, presets[0])
    best = inputs.preset if tried else presets[0].name
    return SelectedInputs(
        inputs,
        tuple(tried),
        [
            {"name": name, "score": score if math.isfinite(score) else None, "chosen": name == best}
            for name, score in scores.items()
        ],
    )


def _judged(
    source: EncodedSource, trainer: Trainer, preset: InputPreset, *, alone: bool
) -> tuple[ModelInputs, TrainedModel] | None:
    """Train the model that judges inputs under a preset; None where it diverged, of which the callback is told."""
    mine = trainer.settings
    inputs, judge = source.inputs(mine, preset), mine.model if is_self_trained(mine.model) else mine.reference
    try:
        return inputs, trainer.reference(judge, inputs, judge if alone else f"{judge}: {preset.name}")
    except DivergedError as error:
        trainer.callback(Notice(f"{error}; these inputs are not judged"))
        return None
