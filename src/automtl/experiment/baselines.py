"""The baselines of a fit on test rows: what the final model gains over each of them, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from automtl.experiment.experiment import BY_HAND, Experiment
from automtl.experiment.library import BASELINE, SEARCH, TRAINING
from automtl.experiment.waterfall import waterfall


def baselines_tested(experiment: Experiment, logits: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Test the baselines of an experiment, add them to its leaderboard, and describe them in plain values.

    logits: (N, T) of each model of its library on test rows. Each entry has the baseline's `name`, its main metric by
    task (`test`), and the `gain` of the ensemble over it, as a step of the waterfall has it: of the ensemble that was
    selected, before it is trained on validation rows, too, which no baseline is. That of the network made by hand has
    the name of the best network (`searched`) and its gain (`searched_gain`), too.
    """
    library, test, board = experiment.library, experiment.test_rows, experiment.history["leaderboard"]
    places = library.selected
    final = library.mixed(logits) if len(places) > 1 else logits[places[0]]
    found: list[dict[str, Any]] = []
    for trained in experiment.baselines:
        place = next((place for place, one in enumerate(library.models) if one is trained), None)
        own = library.predict(trained, test) if place is None else logits[place]
        if place is None:
            board.append(library.row_beside(trained, test, own))
        rivals = [("gain", final)]
        networks = [index for index, one in enumerate(library.models) if one.stage in (SEARCH, TRAINING)]
        best = min(networks, key=lambda index: library.models[index].result.score, default=None)
        entry = {"name": trained.spec.name, "model": trained.spec.model}
        if trained.stage == BASELINE and trained.spec.name == BY_HAND and best is not None:
            entry["searched"] = library.models[best].spec.name
            rivals.append(("searched_gain", logits[best]))
        for name, other in rivals:
            steps = waterfall([("", "", own), ("", "", other)], test, library.tasks, experiment.seed)["steps"]
            entry |= {"test": steps[0]["test"], name: steps[1]["gain"]}
        found.append(entry)
    return found
