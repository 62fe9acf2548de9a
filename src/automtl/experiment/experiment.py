"""The pipeline from a table's rows to a tested model, which a fit and every trial of a comparison run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from automtl.config import InputPreset, Settings
from automtl.ensemble.ensemble import Ensemble, Member, boosted, combine, trees_of
from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import LIGHTGBM_MISSING, TreeModel
from automtl.errors import SettingsError
from automtl.experiment.inputs import EncodedRows, EncodedSource, ModelInputs, distinct_presets, is_self_trained
from automtl.features.batch import Batch
from automtl.features.coverage import Coverage
from automtl.features.layout import Layout
from automtl.models.network import Network, count_parameters, mean_gate_weights
from automtl.models.registry import EVERY_MODEL, check_logits
from automtl.nn.embedding import FieldEmbedding
from automtl.predictor import SMALL_TREES, ModelSpec, Predictor, tree_inputs
from automtl.search import STRATEGIES, SearchProblem, SearchResult
from automtl.space import Architecture, make_space
from automtl.system.progress import Callback, ignore
from automtl.training.fit import FitResult, SelfTrained, fit
from automtl.training.metrics import Scores

Part = Literal["validation", "test"]
PARTS: tuple[Part, ...] = ("validation", "test")
FLOP_ROWS = 1024  # rows over which operations are averaged


class Experiment:
    """The steps that make one model: select inputs, search, train, ensemble, evaluate.

    A step first runs the steps that it needs and that were not run yet; only `ensemble` must be called. The encoder is
    fitted on training rows, choices are made on validation rows, and test rows are read once, by `evaluate`. With an
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
        self.seconds = {"reference": 0.0, "search": 0.0, "training": 0.0, "ensemble": 0.0}
        self.reference: nn.Module | None = None
        self.found: SearchResult | None = None
        self.scores: dict[Part, Scores] = {}
        self._inputs: ModelInputs | None = None
        self._best_score = math.inf
        self._network: nn.Module | None = None
        self._predictor: Predictor | None = None
        self._test_rows: Batch | None = None

    @property
    def inputs(self) -> ModelInputs:
        """The inputs that were selected."""
        return self._inputs or self.select_inputs()

    @property
    def network(self) -> nn.Module:
        """The trained model by itself, not its ensemble."""
        if self._network is None:
            self.train()
        assert self._network is not None
        return self._network

    @property
    def predictor(self) -> Predictor:
        """The trained model, or the ensemble once there is one, with its encoder."""
        assert self.network is not None and self._predictor is not None
        return replace(self._predictor, at_fit=self._coverage)

    @property
    def _coverage(self) -> dict[str, Coverage]:
        """The coverage of the rows of each part, that of test rows once they are read."""
        parts = {"train": self.inputs.rows.train, "valid": self.inputs.rows.valid, "test": self._test_rows}
        return {name: rows.coverage for name, rows in parts.items() if rows is not None and rows.coverage is not None}

    @property
    def rows(self) -> EncodedRows:
        """Training and validation rows, encoded as the predictor needs them."""
        ensemble = isinstance(self.predictor.network, Ensemble)
        return self.inputs.all_rows if ensemble else self.inputs.rows

    def select_inputs(self) -> ModelInputs:
        """Choose the preset under which a small reference model is best on validation rows.

        A single preset is not tried, unless the search starts from the embedding that the reference model learned.
        """
        presets = distinct_presets(self.settings, self.source.schema)
        if len(presets) == 1 and not (self.searches and self.settings.search.uses_embedding):
            self.history["presets"] = [{"name": presets[0].name, "chosen": True}]
            self._inputs = self.source.inputs(self.settings, presets[0])
            self._note_histories()
            return self._inputs
        scores = [self._try(preset) for preset in presets]
        assert self._inputs is not None
        self.history["presets"] = [
            {"name": preset.name, "score": score, "chosen": preset.name == self._inputs.preset}
            for preset, score in zip(presets, scores, strict=True)
        ]
        self._note_histories()
        return self._inputs

    def _note_histories(self) -> None:
        """Note what each group of histories gives, and which were left out."""
        rows = self.inputs.rows
        if rows.encoder.histories is not None:
            self.history["histories"] = {
                "groups": [one.to_dict(rows.encoder.schema.task_names) for one in rows.gains],
                "sequence_gain": rows.sequence_gain, "sequence": bool(rows.encoder.histories.sequences),
            }  # fmt: skip

    def _try(self, preset: InputPreset) -> float:
        """Train the reference model under a preset; keep both if no earlier one was better."""
        inputs = self.source.inputs(self.settings, preset)
        judge = self.settings.model if is_self_trained(self.settings.model) else self.settings.reference
        model, score = self._train_reference(judge, inputs)
        if self._inputs is None or score < self._best_score:
            self._inputs, self._best_score = inputs, score
            self.reference = None if isinstance(model, SelfTrained) else model
        return score

    def _train_reference(self, name: str, inputs: ModelInputs) -> tuple[nn.Module, float]:
        """Train a published model on these inputs; return it and its loss on validation rows."""
        start, model = time.perf_counter(), self._build(ModelSpec(name, inputs.network), inputs)
        score = self._fit(model, inputs, f"choosing inputs: {inputs.preset}").score
        self.seconds["reference"] += time.perf_counter() - start
        return model, score

    def _build(self, spec: ModelSpec, inputs: ModelInputs) -> nn.Module:
        """Make an untrained model for these inputs."""
        model = spec.build(inputs.rows.encoder, self.seed)
        for trees in trees_of(model):
            trees.settings = inputs.trees
        if spec.model not in EVERY_MODEL:
            check_logits(spec.model, model, inputs.rows.train.take(slice(0, 2)))
        return model

    def _fit(self, model: nn.Module, inputs: ModelInputs, stage: str) -> FitResult:
        rows, tasks = inputs.rows, self.source.schema.tasks
        return fit(model, rows.train, rows.valid, tasks, inputs.training, self.seed, self.callback, stage)

    def search(self) -> SearchResult:
        """Find an architecture by the strategy of the settings. Raises SettingsError for a published model."""
        if not self.settings.is_searched:
            raise SettingsError(f"model '{self.settings.model}' has no architecture to search; only 'automtl' has one")
        start, strategy = time.perf_counter(), STRATEGIES.find(self.settings.strategy)(self.settings.search)
        self.found = strategy.search(self.search_problem(), self.seed, self.callback)
        self.architecture, self.history["search"] = self.found.architecture, self.found.history
        self.seconds["search"] = time.perf_counter() - start
        return self.found

    def search_problem(self) -> SearchProblem:
        """Return what a strategy may use: training and validation rows, and the reference model's embedding."""
        inputs, embedding = self.inputs, getattr(self.reference, "embedding", None)
        layout = inputs.rows.encoder.layout
        return SearchProblem(
            make_space(self.settings.space, layout.num_tasks), layout, inputs.rows.train, inputs.rows.valid,
            inputs.network, inputs.training, embedding if isinstance(embedding, FieldEmbedding) else None,
            self.settings.warm_start,
        )  # fmt: skip

    def train(self) -> FitResult:
        """Train the model on training rows until it gets no better on validation rows."""
        inputs, encoder = self.inputs, self.inputs.rows.encoder
        if self.searches and self.architecture is None:
            self.search()
        spec = ModelSpec(self.settings.model, inputs.network, self.architecture)
        network = self._build(spec, inputs)
        if self.settings.warm_start and self.found is not None:
            self._start_from_supernet(network, self.found)
        trained = self._fit(network, inputs, f"training {self.settings.model}")
        self._network, self._predictor = network, Predictor(encoder.schema, encoder, spec, network)
        self.history["training"] = {"best": trained.best, "evaluations": [one.to_dict() for one in trained.evaluations]}
        self.seconds["training"] = trained.seconds
        return trained

    def _start_from_supernet(self, network: nn.Module, found: SearchResult) -> None:
        if found.supernet is None:
            raise SettingsError(
                f"warm_start: strategy '{self.settings.strategy}' has no supernet to start from; set it to false"
            )
        assert isinstance(network, Network)
        found.supernet.copy_weights(network)

    def ensemble(self) -> Predictor:
        """Make an ensemble of the network and others, if the settings say so and it is better on validation rows.

        The others are the reference model on the same inputs, and boosted trees with and without target encodings or,
        on histories, of two sizes.
        """
        if not self.settings.uses_ensemble:
            return self.predictor
        start, alone, inputs = time.perf_counter(), self.predictor, self.inputs
        rows, trees = inputs.all_rows, dict[str, tuple[Layout, TreeSettings]]()
        for name, layout in tree_inputs(rows.encoder).items() if TreeModel.available() else ():
            trees[name] = layout, inputs.trees.small if name == SMALL_TREES else inputs.trees
        members = [*self._networks(), *boosted(trees, rows.train, rows.valid, self.seed, self.callback)]
        found = combine(members, rows.valid, self.source.schema.tasks)
        if found is not None:
            encoder, kept = rows.encoder, found.names[1:]
            spec = replace(
                alone.spec,
                target_encoding=inputs.rows.encoder.layout.num_numeric == encoder.layout.num_numeric,
                reference=self.settings.reference if self.settings.reference in kept else None,
                trees=tuple(name for name in kept if name in trees),
            )
            self._predictor, self._test_rows = Predictor(encoder.schema, encoder, spec, found), None
        self.seconds["ensemble"] = time.perf_counter() - start
        return self.predictor

    def _networks(self) -> list[Member]:
        """Return the trained network, and the reference model if it is another one."""
        inputs, name = self.inputs, self.settings.reference
        columns = inputs.rows.encoder.layout.num_numeric
        members = [Member(self.settings.model, self.network, columns)]
        if name != self.settings.model and not is_self_trained(name):
            if self.reference is None:
                self.reference, _ = self._train_reference(name, inputs)
            members.append(Member(name, self.reference, columns))
        return members

    def evaluate(self, parts: Sequence[Part] = PARTS) -> dict[str, dict[str, Any]]:
        """Return metrics of the predictor by part of the rows, as plain values, and keep its `scores`."""
        found: dict[str, dict[str, Any]] = {}
        for part in parts:
            rows = self.rows.valid if part == "validation" else self.test_rows
            self.scores[part] = self.predictor.scores(rows)
            found[part] = self.predictor.evaluate_batch(rows, self.scores[part])
        return found

    @property
    def test_rows(self) -> Batch:
        """Test rows, encoded as the predictor needs them; read them only when nothing is left to choose."""
        if self._test_rows is None:
            self._test_rows = self.source.test(self.rows)
        return self._test_rows

    @property
    def parameters(self) -> int:
        """Number of parameters of the predictor."""
        return count_parameters(self.predictor.network)

    @property
    def gates(self) -> list[list[float]] | None:
        """Mean weights of the network's gates on validation rows, (T, E); None for a model without such gates."""
        return mean_gate_weights(self.network, self.inputs.rows.valid)

    @torch.inference_mode()
    def flops_per_row(self) -> int | None:
        """Count operations of one prediction, two per multiply-add of matrix products; None for boosted trees."""
        if isinstance(self.predictor.network, SelfTrained):
            return None
        rows = self.test_rows.take(slice(0, FLOP_ROWS))
        with FlopCounterMode(display=False) as counter:
            self.predictor.network(rows.features)
        return round(int(counter.get_total_flops()) / len(rows))

    def ensemble_summary(self) -> dict[str, Any] | None:
        """Return the weight of each member by task, and what was missing; None where no ensemble was wanted."""
        if not self.settings.uses_ensemble:
            return None
        model, tasks = self.predictor.network, self.source.schema.task_names
        missing = None if TreeModel.available() else LIGHTGBM_MISSING
        if not isinstance(model, Ensemble):
            return {"weights": {}, "missing": missing}
        weights = {
            task: {name: round(weight, 4) for name, weight in zip(model.names, column, strict=True)}
            for task, column in zip(tasks, model.weights.T.tolist(), strict=True)
        }
        return {"weights": weights, "missing": missing}
