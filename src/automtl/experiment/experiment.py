"""The pipeline from a table's rows to a tested model, which a fit and every trial of a comparison run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn

from automtl.config import Settings
from automtl.ensemble.catboost_trees import CatBoostTrees
from automtl.ensemble.cost import flops_per_row
from automtl.ensemble.ensemble import Ensemble
from automtl.ensemble.spec import MemberSpec, ModelSpec
from automtl.ensemble.trees import LIGHTGBM_MISSING, TreeModel
from automtl.errors import DivergedError, SettingsError
from automtl.experiment.all_rows import ALL_ROWS, AllRowsTraining, all_rows_row
from automtl.experiment.input_selection import select_inputs
from automtl.experiment.inputs import EncodedRows, EncodedSource, ModelInputs, distinct_presets, is_self_trained
from automtl.experiment.library import BASELINE, SEARCH, TRAINING, TREES, Library, TrainedModel
from automtl.experiment.trainer import Trainer, changes_of
from automtl.experiment.tree_candidates import tree_candidates
from automtl.experiment.waterfall import library_steps, waterfall
from automtl.features.batch import Batch
from automtl.features.coverage import Coverage
from automtl.models.network import Network, count_parameters, mean_gate_weights
from automtl.models.registry import SEARCHED
from automtl.nn.embedding import FieldEmbedding
from automtl.predictor import Predictor
from automtl.search import STRATEGIES, SearchProblem, SearchResult, TrainedNetwork
from automtl.search.base import keep_nothing, start_from_embedding
from automtl.search.halving import HalvingSettings, baseline_architecture, first_training
from automtl.space import Architecture, make_space
from automtl.system.deadline import current_deadline, ending
from automtl.system.progress import Callback, Notice, ignore
from automtl.system.stopwatch import timed
from automtl.training.evaluation import predict_logits
from automtl.training.fit import FitResult
from automtl.training.metrics import Scores

Part = Literal["validation", "test"]
PARTS: tuple[Part, ...] = ("validation", "test")
BY_HAND = "network made by hand"  # the name of a baseline
CHOSEN = 3  # models of an ensemble, about, as long as it is not known
TREES_SHARE = 0.4  # of the time that is left, for boosted trees


class Experiment:
    """The steps that make one model: select inputs, search, train, ensemble, evaluate.

    A step first runs the steps that it needs and that were not run yet; only `ensemble` and `train_on_all_rows` must be
    called. The encoder is fitted on training rows, choices are made on validation rows, and test rows are read once, by
    `evaluate`, which tells metrics on validation rows of the models that were not trained on them. With an
    `architecture` given, nothing is searched. `history` and `seconds` describe the steps in plain values.

    >>> from automtl.dataset.store import data_loader
    >>> from automtl.experiment.inputs import EncodedSource
    >>> from automtl.experiment.source import open_source
    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> settings = automtl.read_settings(None, quick)
    >>> roles = automtl.ColumnRoles(drop=("like", "cart"))
    >>> source, settings = open_source(log, ["click", "buy"], roles, None, settings, 0)
    >>> with data_loader(settings.data_loader) as loader:
    ...     metrics = automtl.Experiment(EncodedSource(source, loader), settings, seed=0).evaluate()
    >>> sorted(metrics)
    ['test', 'validation']
    """

    def __init__(
        self, source: EncodedSource, settings: Settings, seed: int = 0, callback: Callback = ignore, *,
        architecture: Architecture | None = None,
    ) -> None:  # fmt: skip
        self.source, self.settings, self.seed, self.callback = source, settings, seed, callback
        self.architecture = architecture
        self.searches = settings.is_searched and architecture is None
        self.history: dict[str, Any] = {"presets": [], "search": None, "training": None}
        self._seconds = {"search": 0.0, "training": 0.0, "ensemble": 0.0, "all_rows": 0.0}
        self.found: SearchResult | None = None
        self.scores: dict[Part, Scores] = {}
        self.baselines: list[TrainedModel] = []  # that are tested beside the ensemble
        self.references: list[tuple[ModelInputs, TrainedModel]] = []  # that tried inputs, the best one first
        self._inputs: ModelInputs | None = None
        self._library: Library | None = None
        self._trained: TrainedModel | None = None
        self._predictor: Predictor | None = None
        self._on_all_rows: Predictor | None = None
        self._test_rows: Batch | None = None
        self._boosted = False
        self.trainer = Trainer(settings, seed, callback, lambda: self._planned)

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each kind of step so far."""
        return {"reference": self.trainer.reference_seconds} | self._seconds

    @property
    def inputs(self) -> ModelInputs:
        """The inputs that were selected."""
        return self._inputs or self.select_inputs()

    @property
    def trained(self) -> TrainedModel:
        """The trained model by itself, not its ensemble."""
        if self._trained is None:
            self.train()
        assert self._trained is not None
        return self._trained

    @property
    def network(self) -> nn.Module:
        """The trained model by itself, not its ensemble."""
        return self.trained.model

    @property
    def predictor(self) -> Predictor:
        """The trained model, or the ensemble once there is one, on all rows once it is trained on these."""
        return replace(self._on_all_rows or self.chosen, at_fit=self._coverage)

    @property
    def chosen(self) -> Predictor:
        """The trained model, or the ensemble once there is one, which has seen training rows alone."""
        if self._predictor is None:
            spec = ModelSpec((self.trained.spec,))
            encoder = spec.encoder(self.rows.encoder)
            self._predictor = Predictor(encoder.schema, encoder, spec, self.network)
        return self._predictor

    @property
    def profiled(self) -> Predictor:
        """The predictor with the profile of the rows that it has not seen, once it was evaluated on these."""
        known = {"test": self.scores["test"]} if self._on_all_rows is not None else self.scores
        rows = [self.rows.valid if part == "validation" else self.test_rows for part in known]
        return self.predictor.profiled(self.rows.train, rows, list(known.values()))

    @property
    def _coverage(self) -> dict[str, Coverage]:
        """The coverage of the rows of each part, that of test rows once they are read."""
        parts = {"train": self.rows.train, "valid": self.rows.valid, "test": self._test_rows}
        return {name: rows.coverage for name, rows in parts.items() if rows is not None and rows.coverage is not None}

    @property
    def rows(self) -> EncodedRows:
        """Training and validation rows with every input that a model of the experiment may have."""
        return self.inputs.all_rows

    @property
    def library(self) -> Library:
        """The models that were trained so far, of which the ensemble is made."""
        if self._library is None:
            rows, selection = self.rows, self.settings.selection
            self._library = Library(rows.encoder, rows.valid, selection, self.seed, self.callback)
            for inputs, trained in self.references:
                if inputs.encoding == self.inputs.encoding:
                    self._library.add(trained)
            if rows.encoder.histories is not None and self.settings.budget.base_network:
                self._try_to_add(self._without_histories)
        return self._library

    def select_inputs(self) -> ModelInputs:
        """Choose the preset under which a small reference model is best on validation rows.

        A single preset is not tried, unless the search starts from the embedding that the reference model learned.
        """
        try_single = self.searches and self.settings.search.uses_embedding
        found = select_inputs(self.source, self.trainer, try_single=try_single)
        self._inputs, self.references = found.inputs, list(found.tried)
        self.history |= found.history()
        return self._inputs

    @property
    def _planned(self) -> int | None:
        """About how many trainings there are: of inputs, trees, networks and baselines; None without an end."""
        mine, search = self.settings, self.settings.search
        networks = 1
        if self.searches and isinstance(search, HalvingSettings):
            if search.patience is not None:
                return None
            networks = search.trainings
        inputs = len(self.references) or len(distinct_presets(mine, self.source.schema))
        trees = 1 if mine.selection.boosted_trees == "one" else 2 + CatBoostTrees.available()
        small = bool(self.source.schema.history) and mine.encoder.history and mine.budget.base_network
        others = inputs + trees + small + len(mine.baselines) if mine.uses_ensemble else 0
        chosen = len(self._predictor.spec.members) if self._predictor else CHOSEN if mine.uses_ensemble else 1
        return networks + others + (chosen if mine.train_on_all_rows else 0)

    def _try_to_add(self, train: Callable[[], TrainedModel]) -> None:
        """Train one more model for the ensemble, which does without it where its training diverges."""
        try:
            self.library.add(train())
        except DivergedError as error:
            self.callback(Notice(f"{error}; the model is left out"))

    def _without_histories(self) -> TrainedModel:
        """Train the reference model without histories, which shows what they give."""
        name, inputs = self.settings.reference, self.inputs
        groups = replace(inputs.groups, history=False, sequences=False)
        return self.trainer.reference(name, replace(inputs, groups=groups), f"{name}: no histories")

    def boost(self) -> None:
        """Train the boosted trees that may join the ensemble, once."""
        if self._boosted or not self.settings.uses_ensemble:
            return
        inputs, library = self.inputs, self.library
        start = time.perf_counter()
        kinds = tree_candidates(inputs, one=self.settings.selection.boosted_trees == "one")
        with timed("trees"), ending(current_deadline().part(TREES_SHARE)) as deadline:
            for place, (spec, settings) in enumerate(kinds):
                if place and deadline.passed:
                    break
                with ending(deadline.part(1 / (len(kinds) - place))):
                    library.add(self.trainer.train(spec, inputs, TREES, f"training {spec.name}", trees=settings))
        self._boosted = True
        self._seconds["ensemble"] += time.perf_counter() - start

    def search(self) -> SearchResult:
        """Find an architecture by the strategy of the settings. Raises SettingsError for a published model."""
        if not self.settings.is_searched:
            raise SettingsError(f"model '{self.settings.model}' has no architecture to search; only 'automtl' has one")
        problem = self.search_problem()
        start, strategy = time.perf_counter(), STRATEGIES.find(self.settings.strategy)(self.settings.search)
        with timed("networks"):
            self.found = strategy.search(problem, self.seed, self.callback)
        self.architecture, self.history["search"] = self.found.architecture, self.found.history
        self._seconds["search"] = time.perf_counter() - start
        return self.found

    def search_problem(self) -> SearchProblem:
        """Return what a strategy may use: training and validation rows, and the reference model's embedding.

        Other inputs that were tried, and are encoded alike, are alternatives.
        """
        others = [inputs for inputs, _ in self.references if inputs is not self.inputs]
        alternatives = tuple(self._problem(one) for one in others if one.encoding == self.inputs.encoding)
        keep = self._keep if self.settings.uses_ensemble else keep_nothing
        return replace(self._problem(self.inputs), alternatives=alternatives, keep=keep)

    def _problem(self, inputs: ModelInputs) -> SearchProblem:
        reference = next((trained.model for tried, trained in self.references if tried is inputs), None)
        embedding = getattr(reference, "embedding", None)
        layout = inputs.rows.encoder.layout
        return SearchProblem(
            make_space(self.settings.searched_space, layout.num_tasks), layout, inputs.rows.train, inputs.rows.valid,
            inputs.network, inputs.training, embedding if isinstance(embedding, FieldEmbedding) else None,
            self.settings.warm_start, inputs.preset,
        )  # fmt: skip

    def _keep(self, found: TrainedNetwork) -> float:
        """Keep a network that the search has trained."""
        self.trainer.count()
        return self.library.add(self._of(found))

    def _of(self, found: TrainedNetwork) -> TrainedModel:
        """Describe a network that the search has trained, or return it if it is kept."""
        kept = [] if self._library is None else self._library.models
        if known := next((one for one in kept if one.model is found.model), None):
            return known
        inputs = next((inputs for inputs, _ in self.references if inputs.preset == found.inputs), self.inputs)
        number = sum(one.stage == SEARCH and one.spec.model == found.name for one in kept) + 1
        spec = MemberSpec(f"{found.name} {number}", found.name, found.network, found.architecture, inputs=inputs.groups)
        logits = predict_logits(found.model, inputs.rows.valid)
        changed = {"inputs": found.inputs} | changes_of(self.settings, found.network, found.training)
        start = None if found.embedding is None else partial(start_from_embedding, embedding=found.embedding)
        return TrainedModel(
            spec, found.model, found.result, logits, SEARCH, changed, found.training, self.seed, start
        )  # fmt: skip

    def train(self) -> FitResult:
        """Train the model on training rows until it gets no better on validation rows.

        A network that the search has trained to the end is not trained again. Where it diverges, the best other model
        takes its place, if there is one for the ensemble. Raises DivergedError.
        """
        try:
            trained = self._train_model()
        except DivergedError as error:
            others = self._library.models if self.settings.uses_ensemble and self._library is not None else []
            if not others:
                raise
            self.callback(Notice(f"{error}; going on with the other models"))
            trained = min(others, key=lambda one: one.result.score)
        self._trained, result = trained, trained.result
        self.history["training"] = {"best": result.best, "evaluations": [one.to_dict() for one in result.evaluations]}
        if result.rows_at_once is not None:
            self.history["training"]["rows_at_once"] = result.rows_at_once
        return result

    def _train_model(self) -> TrainedModel:
        """Search and train the model of the settings."""
        inputs, mine = self.inputs, self.settings
        if self.searches and self.architecture is None:
            self.search()
        if self.found is not None and self.found.trained is not None:
            return self._of(self.found.trained)
        spec = MemberSpec(mine.model, mine.model, inputs.network, self.architecture, inputs=inputs.groups)
        start = self._start_from_supernet if mine.warm_start and self.found is not None else None
        with timed("trees" if is_self_trained(mine.model) else "networks"):
            trained = self.trainer.train(spec, inputs, TRAINING, f"training {mine.model}", start=start)
        self._seconds["training"] = trained.result.seconds
        if mine.uses_ensemble:
            self.library.add(trained)
        return trained

    def _start_from_supernet(self, network: nn.Module) -> None:
        assert isinstance(network, Network) and self.found is not None
        if self.found.supernet is None:
            raise SettingsError(
                f"warm_start: strategy '{self.settings.strategy}' has no supernet to start from; set it to false"
            )
        self.found.supernet.copy_weights(network)

    def ensemble(self) -> Predictor:
        """Make an ensemble of the best of all trained models, if the settings want one.

        Boosted trees are trained, too, and the reference model where no inputs had to be tried.
        """
        if not self.settings.uses_ensemble:
            return self.predictor
        self.boost()
        name = self.settings.reference
        if not (self.trained.stage == SEARCH or self.references or name == self.settings.model):
            self._try_to_add(lambda: self.trainer.reference(name, self.inputs, name))
        with timed("selection"):
            self._predictor = self.library.predictor()
        return self.predictor

    def train_on_all_rows(self) -> Predictor:
        """Train the chosen models once more, on training and validation rows together, if the settings want it."""
        if self.settings.train_on_all_rows and self._on_all_rows is None:
            training, start = AllRowsTraining(self.rows, self.seed, self.callback), time.perf_counter()
            models = [self.trained]
            if self.settings.uses_ensemble:
                models = [self.library.models[place] for place in self.library.selected]
            with timed("all rows"):
                found, self.history["all_rows"] = training.predictor(self.chosen, models)
            self.trainer.count(len(models))
            if any(self.history["all_rows"]["models"].values()):
                self._on_all_rows = found
            self._seconds["all_rows"] = time.perf_counter() - start
        return self.predictor

    def train_baselines(self) -> None:
        """Train the baselines of the settings on the inputs that were selected, as long as there is time.

        Boosted trees that were trained for the ensemble are not trained again.
        """
        for name in self.settings.baselines:
            if current_deadline().passed:
                return
            known = next((one for one in self.library.models if one.stage == TREES and one.spec.model == name), None)
            try:
                with timed("baselines"):
                    self.baselines.append(self._baseline(name) if known is None else known)
            except DivergedError as error:
                self.callback(Notice(f"{error}; the baseline is left out"))

    def _baseline(self, name: str) -> TrainedModel:
        """Train a published model, or the network made by hand, which the search begins with."""
        inputs, mine = self.inputs, self.settings
        if name != SEARCHED:
            spec = MemberSpec(name, name, inputs.network, inputs=inputs.groups)
            return self.trainer.train(spec, inputs, BASELINE, f"training {name}")
        space = make_space(mine.searched_space, len(self.source.schema.tasks))
        spec = MemberSpec(BY_HAND, name, inputs.network, baseline_architecture(space), inputs=inputs.groups)
        return self.trainer.train(
            spec, replace(inputs, training=first_training(inputs.training)), BASELINE, f"training {BY_HAND}"
        )

    def evaluate(self, parts: Sequence[Part] = PARTS) -> dict[str, dict[str, Any]]:
        """Return metrics by part of the rows, as plain values, and keep the `scores`.

        Validation rows are scored by models that were not trained on them.
        """
        found: dict[str, dict[str, Any]] = {}
        for part in parts:
            one, rows = (self.chosen, self.rows.valid) if part == "validation" else (self.predictor, self.test_rows)
            rows = rows.for_layout(one.encoder.layout)
            with timed("test"):
                self.scores[part] = one.scores(rows)
                found[part] = one.evaluate_batch(rows, self.scores[part])
        return found

    def judge_on_test_rows(self, logits: Sequence[Tensor]) -> dict[str, Any]:
        """Make the leaderboard of all trained models, part of `history`, and return the waterfall of the steps.

        logits: (N, T) of each model of the library on test rows.
        """
        library, test, tasks = self.library, self.test_rows, self.rows.encoder.schema.tasks
        board, steps = library.leaderboard(test, logits), library_steps(library, logits)
        if self._on_all_rows is not None:
            final = predict_logits(self._on_all_rows.network, test.for_layout(self._on_all_rows.encoder.layout))
            board.insert(0, all_rows_row(board[0], library.metrics(final, test), self._seconds["all_rows"]))
            steps.append((ALL_ROWS, "the same models, trained on validation rows, too", final))
        self.history["leaderboard"] = board
        return waterfall(steps, test, tasks, self.seed)

    @property
    def test_rows(self) -> Batch:
        """Test rows, encoded with every input; read them only when nothing is left to choose."""
        if self._test_rows is None:
            self._test_rows = self.source.test(self.rows)
        return self._test_rows

    @property
    def parameters(self) -> int:
        """Number of parameters of the predictor."""
        return count_parameters(self.predictor.network)

    @property
    def gates(self) -> list[list[float]] | None:
        """Mean weights on validation rows of the gates of the network that is drawn, (T, E); None without such gates.

        That is the first member of an ensemble with an architecture, or the trained model.
        """
        members = self.library.models if self._library is not None else []
        shown = next((one for one in self.predictor.spec.members if one.architecture is not None), self.trained.spec)
        one = next((one for one in members if one.spec == shown), self.trained)
        layout = one.spec.encoder(self.rows.encoder).layout
        return mean_gate_weights(one.model, self.rows.valid.for_layout(layout))

    @property
    def flops_per_row(self) -> int:
        """Number of operations of one prediction, as `automtl.ensemble.cost` counts them."""
        return flops_per_row(self.predictor.network, self.rows.valid.for_layout(self.predictor.encoder.layout))

    def ensemble_summary(self) -> dict[str, Any] | None:
        """Return the weight of each member by task, and what was missing; None where no ensemble was wanted."""
        if not self.settings.uses_ensemble:
            return None
        missing = None if TreeModel.available() else LIGHTGBM_MISSING
        several = isinstance(self.predictor.network, Ensemble)
        return {"weights": self.library.shares() if several else {}, "missing": missing}
