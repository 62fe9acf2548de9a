"""Successive halving with real trainings: of many networks, those that are ahead after some evaluations go on.

Architectures and hyperparameters are drawn together and, once some are known, changed in one decision each, as in
regularized evolution (Real et al., AAAI 2019). A training pauses after some evaluations and goes on where it belongs to
the better share of all that came so far, without waiting for others (asynchronous successive halving, Li et al., MLSys
2020). Every network that was trained is kept, whether it went on or not.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import DivergedError
from automtl.models.registry import SEARCHED
from automtl.operations import operation
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy, TrainedNetwork, start_from_embedding
from automtl.search.settings import SearchSettings
from automtl.space.architecture import Architecture
from automtl.space.names import INTERACTION, POOLING, layer_name
from automtl.space.space import SearchSpace
from automtl.system.progress import Callback, Notice, Progress
from automtl.tables.entries import CONFIG

if TYPE_CHECKING:
    from torch import nn

    from automtl.models.settings import NetworkSettings
    from automtl.nn.embedding import FieldEmbedding
    from automtl.training.fit import Training
    from automtl.training.settings import TrainingSettings

PUBLISHED = "tabm"  # the published model that is trained, too: it is the best of them alone
BASELINE = {INTERACTION: "skip", POOLING: "linear", layer_name(0): "mlp-64", layer_name(1): "mlp-64"}
# Values that are drawn: of some settings by section and name. Those of the training are factors of what is set.
DRAWN: dict[str, tuple[float, ...]] = {
    "training.learning_rate": (0.5, 1.0, 2.0),
    "training.embedding_weight_decay": (0.3, 1.0, 3.0),
    "network.dropout": (0.1, 0.2, 0.3, 0.4),
    "network.members": (1, 1, 2),
}
FIRST = {"training.learning_rate": 2.0}  # of the network made by hand and of the published one
PARENTS = 3  # networks of which the best one is changed
BEST_INPUTS = 0.7  # share of the drawn networks that have the inputs which are best alone
BY_HAND = 0.5  # share of the drawn networks that have the architecture made by hand
IMPROVES = 2e-4  # share of the ensemble's loss that a training must save


@settings_dataclass(frozen=True, config=CONFIG)
class HalvingSettings(SearchSettings):
    """Settings of the strategy `halving`."""

    trainings: int = Limit(
        default=5, ge=1, le=1_000_000, description="Networks that are trained, at least until they pause."
    )
    patience: int | None = Limit(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Trainings in a row that do not improve the ensemble, which end the search.",
    )
    pause_after: int = Limit(default=3, ge=1, le=1_000_000, description="Evaluations after which a training pauses.")
    promoted: float = Limit(default=0.5, gt=0, le=1, description="Share of the paused trainings that go on.")
    sampler: Literal["random", "evolution"] = Limit(
        default="evolution", description="Where networks come from: all are drawn, or half are changes of good ones."
    )
    pretrained_embedding: bool = Limit(
        default=True, description="Whether networks start from the embedding of the model that tried their inputs."
    )


@dataclass(frozen=True)
class Configuration:
    """A network to train: its architecture (None: it is the published model), the place of its inputs among all, and
    drawn values by setting.
    """

    architecture: Architecture | None
    inputs: int = 0
    values: Mapping[str, float] = field(default_factory=dict)

    def changes(self, section: str, base: Any) -> dict[str, Any]:
        """Return the changes of a section of settings."""
        own = {name.split(".")[1]: value for name, value in self.values.items() if name.startswith(f"{section}.")}
        return {name: getattr(base, name) * value if section == "training" else value for name, value in own.items()}


@dataclass
class Trial:
    """A network in training."""

    configuration: Configuration
    training: Training
    promoted: bool = False
    failure: DivergedError | None = None

    @property
    def score(self) -> float:
        """The best score on validation rows so far; infinite where the training diverged."""
        if self.failure is not None:
            return math.inf
        return self.training.evaluations[self.training.best].score


@dataclass(frozen=True)
class Halving(SearchStrategy):
    """Trains a network made by hand, a published one, and others that are drawn or changed.

    It returns the best one on validation rows that has an architecture.
    """

    settings: HalvingSettings
    trains = True

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        start = time.perf_counter()
        run = HalvingRun(problem, self.settings, seed, callback)
        best = run.trained()
        assert best.architecture is not None
        return SearchResult(best.architecture, time.perf_counter() - start, {"trials": run.records}, trained=best)


class HalvingRun:
    """One search. `records`: a plain description of each network that was trained."""

    def __init__(self, problem: SearchProblem, settings: HalvingSettings, seed: int, callback: Callback) -> None:
        self.problems = (problem, *problem.alternatives)
        self.space, self.settings, self.seed, self.callback = problem.space, settings, seed, callback
        self.random = random.Random(seed)
        self.trials: list[Trial] = []
        self.records: list[dict[str, Any]] = []
        self.best: TrainedNetwork | None = None
        self.ensemble, self.useless = math.inf, 0

    def trained(self) -> TrainedNetwork:
        """Train networks until nothing is left to do, and return the best one.

        One that diverges is left out. Raises DivergedError where all do that have an architecture.
        """
        from automtl.system.deadline import current_deadline

        deadline = current_deadline()
        while not self.trials or not (deadline.passed or self._gave_up):
            trial = self._promotable()
            if trial is not None:
                trial.promoted = True
                self._advance(trial, None)
                self._keep(trial)
            elif len(self.trials) < self.settings.trainings:
                trial = self._start(self._next())
                self.trials.append(trial)
                if not self._advance(trial, self.settings.pause_after):
                    trial.promoted = True
                    self._keep(trial)
            else:
                break
        for trial in self.trials:
            if not trial.promoted:
                self._keep(trial)
        if self.best is None:
            raise next(trial.failure for trial in self.trials if trial.failure is not None)
        return self.best

    @property
    def _gave_up(self) -> bool:
        return self.settings.patience is not None and self.useless >= self.settings.patience

    def _promotable(self) -> Trial | None:
        """Return the best trial that pauses, if it is among the share of all trials that go on."""
        ranked = sorted(self.trials, key=lambda trial: trial.score)[: int(len(self.trials) * self.settings.promoted)]
        return next((trial for trial in ranked if not trial.promoted), None)

    def _next(self) -> Configuration:
        """Return the next network to train: the one made by hand, then drawn ones and changes of good ones."""
        known = len(self.trials)
        if known < 2:
            return Configuration(None if known else baseline_architecture(self.space), values=FIRST)
        if self.settings.sampler == "evolution" and known > PARENTS and self.random.random() < 0.5:
            parents = self.random.sample(self.trials, PARENTS)
            return self._changed(min(parents, key=lambda trial: trial.score).configuration)
        return self._drawn()

    def _drawn(self) -> Configuration:
        values = {name: self.random.choice(choices) for name, choices in DRAWN.items()}
        others = len(self.problems) - 1
        place = 0 if not others or self.random.random() < BEST_INPUTS else 1 + self.random.randrange(others)
        by_hand = self.random.random() < BY_HAND
        architecture = baseline_architecture(self.space) if by_hand else self.space.sample(self.random)
        return Configuration(architecture, place, values)

    def _changed(self, parent: Configuration) -> Configuration:
        """Change one decision: one of the architecture in half of the cases, else a hyperparameter."""
        if parent.architecture is not None and self.random.random() < 0.5:
            return replace(parent, architecture=self.space.mutate(parent.architecture, self.random))
        name = self.random.choice(list(DRAWN))
        return replace(parent, values={**parent.values, name: self.random.choice(DRAWN[name])})

    def _start(self, configuration: Configuration) -> Trial:
        from automtl.models.network import build
        from automtl.models.registry import new_model
        from automtl.training.fit import Training

        problem, seed = self.problems[configuration.inputs], self.seed * 1_000 + len(self.trials)
        network, training = self._settings(configuration)
        model: nn.Module
        if configuration.architecture is None:
            model = new_model(PUBLISHED, problem.layout, network, seed)
        else:
            model = build(SearchSpace.of(configuration.architecture), problem.layout, network, seed)
        pretrained = self._pretrained(problem)
        if pretrained is not None:
            start_from_embedding(model, pretrained)
        number = len(self.trials) + 1
        made = Training(
            model, problem.train, problem.valid, problem.layout.tasks, training, seed, self.callback,
            f"training network {number}",
        )  # fmt: skip
        return Trial(configuration, made)

    def _pretrained(self, problem: SearchProblem) -> FieldEmbedding | None:
        """Return the embedding that networks on these inputs start from."""
        return problem.embedding if self.settings.pretrained_embedding else None

    def _settings(self, configuration: Configuration) -> tuple[NetworkSettings, TrainingSettings]:
        """Return the settings of a network and of its training."""
        problem = self.problems[configuration.inputs]
        network = replace(problem.network, **configuration.changes("network", problem.network))
        return network, replace(problem.training, **configuration.changes("training", problem.training))

    def _advance(self, trial: Trial, evaluations: int | None) -> bool:
        """Train until there are so many evaluations (None: to the end); tell whether the training only pauses."""
        try:
            while evaluations is None or len(trial.training.evaluations) < evaluations:
                if trial.training.advance() is None:
                    return False
        except DivergedError as error:
            trial.failure = error
            self.callback(Notice(f"{error}; this network is left out, the search goes on"))
            return False
        return True

    def _keep(self, trial: Trial) -> None:
        """End a training, and keep the network, unless it diverged."""
        if trial.failure is not None:
            self.useless += 1
            return
        problem, configuration = self.problems[trial.configuration.inputs], trial.configuration
        result = trial.training.finish()
        network, training = self._settings(configuration)
        architecture = configuration.architecture
        kept = TrainedNetwork(
            PUBLISHED if architecture is None else SEARCHED, architecture, trial.training.model, network, training,
            problem.inputs, result, self._pretrained(problem),
        )  # fmt: skip
        if architecture is not None and (self.best is None or result.score < self.best.result.score):
            self.best = kept
        ensemble = self.problems[0].keep(kept)
        self.useless = 0 if ensemble < self.ensemble * (1 - IMPROVES) else self.useless + 1
        self.ensemble = min(ensemble, self.ensemble)
        self.records.append({
            "score": result.score, "evaluations": [one.score for one in result.evaluations],
            "inputs": problem.inputs, "settings": dict(configuration.values),
            "architecture": None if architecture is None else architecture.to_dict(),
        })  # fmt: skip
        last = result.evaluations[result.best]
        self.callback(Progress("search", len(self.records), self.settings.trainings, last.loss, last.auc, outer=True))


def first_training(training: TrainingSettings) -> TrainingSettings:
    """Return the settings under which the network made by hand is trained."""
    return replace(training, learning_rate=training.learning_rate * FIRST["training.learning_rate"])


def baseline_architecture(space: SearchSpace) -> Architecture:
    """Make an architecture by hand: experts of linear pooling and two perceptrons, which tasks share evenly.

    Where a cell of the space lacks an operation, it has the first one that it has.
    """
    choices = {}
    for name, choice in space.choices.items():
        wanted = operation(BASELINE.get(name, "skip"))
        choices[name] = tuple(wanted if wanted in cell else cell[0] for cell in choice.cells)
    selection = []
    for task, allowed in enumerate(space.selection):
        first = task * len(allowed) // space.num_tasks
        turned = [*allowed[first:], *allowed[:first]]
        selection.append(tuple(sorted(turned[: space.keep])))
    return Architecture(choices, tuple(selection)).without_idle_experts()
