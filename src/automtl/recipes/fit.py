"""From a table to a trained, tested and saved model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from automtl._version import __version__
from automtl.config import Settings, Variant
from automtl.data.batch import Batch
from automtl.data.encoder import Encoder, EncoderSettings
from automtl.data.narrowing import without_rates
from automtl.data.quality import Warn, unheard
from automtl.data.schema import Schema
from automtl.data.store import Feeder, feeding
from automtl.errors import SettingsError, suggestion
from automtl.memory import peak_memory_bytes
from automtl.models.baselines.base import Baseline
from automtl.models.blend import Blend, Member, blend, boosted
from automtl.models.gates import mean_gate_weights
from automtl.models.network import Network, count_parameters
from automtl.models.registry import MODELS, check_model
from automtl.models.settings import NetworkSettings
from automtl.models.trees import TreeModel
from automtl.nn.embedding import FieldEmbedding
from automtl.predictor import ModelSpec, Predictor, check_target, tree_inputs
from automtl.recipes.sources import Roles, Source, open_source
from automtl.report.folder import attempted, run_report
from automtl.report.run import RunValues
from automtl.search import STRATEGIES
from automtl.search.base import SearchProblem, SearchResult
from automtl.space import published_space
from automtl.trackers import Tracked, Trackers
from automtl.training.curves import label_summary, task_curves
from automtl.training.fit import FitResult, SelfTrained, TrainingSettings, balancing_of, fit
from automtl.training.progress import Listener, silent


@dataclass(frozen=True)
class Run:
    """A finished fit: the predictor and what the JSON files of its folder hold."""

    predictor: Predictor
    metrics: dict[str, Any]
    history: dict[str, Any]
    curves: dict[str, Any]
    settings: dict[str, Any]
    folder: Path | None = None

    def save(self, folder: Path | str, *, overwrite: bool = False) -> Run:
        """Write the run folder, with its report. Raises ModelFolderError as `Predictor.save` does."""
        extras = {name: getattr(self, name) for name in ("settings", "metrics", "history", "curves")}
        model, schema = self.predictor.spec.to_dict(), self.predictor.schema.to_dict()
        values = RunValues(model=model, schema=schema, version=__version__, **extras)
        texts = attempted(lambda: run_report(values), "the model is")
        self.predictor.save(folder, extras, overwrite=overwrite, texts=texts)
        return replace(self, folder=Path(folder))


@dataclass(frozen=True)
class Encoded:
    """Training and validation rows as an encoder encodes them."""

    encoder: Encoder
    train: Batch
    valid: Batch

    def without_rates(self) -> Encoded:
        """Views without the columns of historical rates."""
        encoder = without_rates(self.encoder)
        columns = encoder.layout.num_numeric
        return Encoded(encoder, self.train.narrow(columns), self.valid.narrow(columns))


@dataclass(frozen=True)
class Prepared:
    """Encoded rows under one variant's settings, as its network sees them; the reference model trained on them, if any.

    `whole`: all that was encoded of the same rows, which boosted trees beside the network may see.
    """

    variant: str
    rows: Encoded
    whole: Encoded
    network: NetworkSettings
    training: TrainingSettings
    reference: Baseline | None = None

    @property
    def encoder(self) -> Encoder:
        """Of what the network sees."""
        return self.rows.encoder

    @property
    def train(self) -> Batch:
        """Training rows."""
        return self.rows.train

    @property
    def valid(self) -> Batch:
        """Validation rows."""
        return self.rows.valid

    @property
    def embedding(self) -> FieldEmbedding | None:
        """That the reference model has learned."""
        return None if self.reference is None else self.reference.embedding


def fit_table(
    source: Any,
    tasks: Sequence[str] = (),
    *,
    roles: Roles | None = None,
    schema: Schema | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    overwrite: bool = False,
    listen: Listener = silent,
    warn: Warn = unheard,
) -> Run:
    """Search, train and test a model for a table; write the run folder if `out` is given.

    `warn` is told what the checks of the data find, before anything is trained; they stop nothing. The
    encoder sees training rows, every choice validation rows; test rows are encoded and read once, at the end.
    """
    settings, start = settings or Settings(), time.perf_counter()
    check_names(settings)
    if out is not None:
        check_target(Path(out), overwrite)
    rows, settings = open_source(source, tasks, roles or Roles(), schema, settings, seed)
    schema = rows.schema
    for model in {settings.model, settings.reference}:
        check_model(model, schema.tasks)
    published_space(settings.space, len(schema.tasks))  # raises what is wrong with it before anything is trained
    findings = rows.findings(seed)
    warn(findings)
    name = f"{settings.model}-{seed}" if out is None else Path(out).name
    tracked = Tracked(name, settings.to_dict() | {"seed": seed}, Path(settings.tracker_folder), settings.tracking_uri)
    with feeding(settings.feeding, out) as feeder, Trackers(settings.trackers, tracked, listen) as trackers:
        run = _fit(rows, settings, seed, feeder, trackers.listen)
        run.metrics["findings"] = [finding.to_dict() for finding in findings]
        run.metrics["seconds"]["total"] = time.perf_counter() - start
        found = run.predictor.spec.architecture
        trackers.finish(run.metrics, None if found is None else found.draw(schema.task_names))
    return run if out is None else run.save(out, overwrite=overwrite)


def _fit(source: Source, settings: Settings, seed: int, feeder: Feeder, listen: Listener) -> Run:
    schema = source.schema
    prepared, choice = choose_variant(source, settings, seed, feeder, listen)
    found = search_architecture(prepared, settings, seed, listen)
    spec = ModelSpec(settings.model, prepared.network, found.architecture if found else None)
    network = spec.build(prepared.encoder, seed)
    if settings.warm_start and found is not None:
        _start_from_supernet(network, found, settings)
    trained = fit(
        network,
        prepared.train,
        prepared.valid,
        schema.tasks,
        prepared.training,
        seed,
        listen,
        f"training {settings.model}",
    )
    gates, start = mean_gate_weights(network, prepared.valid), time.perf_counter()
    model, spec, rows = blended(network, spec, prepared, settings, seed, listen)
    seconds = {"search": found.seconds if found else 0.0, "training": trained.seconds}
    predictor = Predictor(schema, rows.encoder, spec, model)
    history = {"variants": choice, "search": found.history if found else None, "training": _checks(trained)}
    test = source.test(rows.encoder, feeder, like=rows.train)
    scores = predictor.scores(test)
    metrics = {
        "validation": predictor.evaluate_batch(rows.valid),
        "test": predictor.evaluate_scores(scores, test),
        "rows": source.num_rows,
        "parameters": count_parameters(model),
        "variant": prepared.variant,
        "seed": seed,
        "blend": blend_summary(model, settings, schema),
        "seconds": seconds | {"blend": time.perf_counter() - start},
        "peak_memory_bytes": peak_memory_bytes(),
    }
    parts = {"train": rows.train, "validation": rows.valid, "test": test}
    curves = {
        "gates": gates,
        "labels": {name: label_summary(rows, schema.tasks) for name, rows in parts.items()},
        "tasks": task_curves(scores, test, schema.tasks),
    }
    return Run(predictor, metrics, history, curves, settings.to_dict() | {"seed": seed})


def blended(
    network: nn.Module, spec: ModelSpec, prepared: Prepared, settings: Settings, seed: int, listen: Listener = silent
) -> tuple[nn.Module, ModelSpec, Encoded]:
    """A trained network with others beside it, where the settings say so and they help; the rows that it all scores.

    Beside it: the reference model of the same inputs, boosted trees of all inputs, and trees without historical rates.
    """
    rows, whole = prepared.rows, prepared.whole
    if not wants_blend(settings):
        return network, spec, rows
    columns, tasks = rows.encoder.layout.num_numeric, rows.encoder.schema.tasks
    members = [Member(settings.model, network, columns)]
    if settings.reference != settings.model and not _trains_itself(settings.reference):
        beside = prepared.reference or train_reference(prepared, settings.reference, seed, listen)[1].reference
        assert beside is not None
        members.append(Member(settings.reference, beside, columns))
    inputs = tree_inputs(whole.encoder) if TreeModel.available() else {}
    members += boosted(inputs, whole.train, whole.valid, prepared.training, seed, listen)
    found = blend(members, whole.valid, tasks)
    if found is None:
        return network, spec, rows
    trees = tuple(name for name in found.names[1:] if name in inputs)
    reference = settings.reference if settings.reference in found.names[1:] else None
    rates = columns == whole.encoder.layout.num_numeric
    return found, replace(spec, rates=rates, reference=reference, trees=trees), whole


def wants_blend(settings: Settings) -> bool:
    """Unless the settings say, searched networks are blended and no others."""
    return settings.model == "automtl" if settings.blended is None else settings.blended


def blend_summary(model: nn.Module, settings: Settings, schema: Schema) -> dict[str, Any] | None:
    """By task the share of each member, and what was missing; None where no blend was wanted."""
    if not wants_blend(settings):
        return None
    missing = None if TreeModel.available() else "LightGBM cannot be loaded; install automtl[trees]"
    if not isinstance(model, Blend):
        return {"shares": {}, "missing": missing}
    shares = {
        task: {name: round(share, 4) for name, share in zip(model.names, column, strict=True)}
        for task, column in zip(schema.task_names, model.share.T.tolist(), strict=True)
    }
    return {"shares": shares, "missing": missing}


def check_names(settings: Settings) -> None:
    """Raises SettingsError where a model or a strategy is unknown."""
    models, strategies = ("automtl", *MODELS), tuple(STRATEGIES)
    for what, name, known in (
        ("model", settings.model, models),
        ("strategy", settings.strategy, strategies),
        ("reference", settings.reference, tuple(MODELS)),
    ):
        if name not in known:
            raise SettingsError(f"{what} '{name}' is unknown{suggestion(name, known)}; known: {', '.join(known)}")
    if settings.blended:
        TreeModel.check(())
        if _trains_itself(settings.model):
            raise SettingsError(f"blended: '{settings.model}' is trees already; leave the setting out")
    balancing_of(settings.training, nn.Module(), torch.full((2,), 0.5))  # whether what it needs is installed


def choose_variant(
    source: Source, settings: Settings, seed: int, feeder: Feeder, listen: Listener
) -> tuple[Prepared, list[dict[str, Any]]]:
    """The variant under which the reference model is best on validation rows, and what each one gave.

    Trees are their own reference. A search gets the embedding that the reference has learned, of one variant too.
    """
    variants = distinct_variants(settings, source.schema)
    reference = settings.model if _trains_itself(settings.model) else settings.reference
    lends = settings.model == "automtl" and settings.search.lent_embedding
    if len(variants) == 1 and not lends:
        return prepare(source, settings, variants[0], feeder), [{"name": variants[0].name, "chosen": True}]
    best: Prepared | None = None
    prepared: Prepared | None = None
    tried: list[tuple[float, str]] = []
    for variant in variants:
        prepared = prepare(source, settings, variant, feeder, prepared)
        score, lending = train_reference(prepared, reference, seed, listen)
        if best is None or score < min(tried)[0]:
            best = lending
        tried.append((score, variant.name))
    assert best is not None
    return best, [{"name": name, "score": score, "chosen": name == best.variant} for score, name in tried]


def train_reference(prepared: Prepared, reference: str, seed: int, listen: Listener = silent) -> tuple[float, Prepared]:
    """The reference model's validation score on these rows; the rows with the model, unless it is trees."""
    model = MODELS[reference](prepared.encoder.layout, prepared.network, torch.Generator().manual_seed(seed))
    tasks, stage = prepared.encoder.schema.tasks, f"choosing inputs: {prepared.variant}"
    result = fit(model, prepared.train, prepared.valid, tasks, prepared.training, seed, listen, stage)
    return result.score, replace(prepared, reference=model if isinstance(model, Baseline) else None)


def distinct_variants(settings: Settings, schema: Schema) -> list[Variant]:
    """Variants that differ on this table and to this model.

    Without historical rates to leave out, leaving them out is no variant; to trees, inputs alone are different.
    """
    if not settings.variants:
        return [Variant("default")]
    kept = list(settings.variants)
    if not (schema.rates and settings.encoder.rates):
        kept = [variant for variant in kept if set(variant.encoder) - {"rates"} or not variant.encoder]
    if _trains_itself(settings.model):
        kept = [one for place, one in enumerate(kept) if one.encoder not in [v.encoder for v in kept[:place]]]
    return kept or [Variant("default")]


def _trains_itself(model: str) -> bool:
    return issubclass(MODELS.get(model, nn.Module), SelfTrained)


def prepare(
    source: Source, settings: Settings, variant: Variant, feeder: Feeder, before: Prepared | None = None
) -> Prepared:
    """Rows encoded under a variant; those of the variant before are taken over where they hold what this one needs."""
    try:
        encoding: EncoderSettings = replace(settings.encoder, **variant.encoder)
        network: NetworkSettings = replace(settings.network, **variant.network)
        training: TrainingSettings = replace(settings.training, **variant.training)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"variant '{variant.name}': {str(error).splitlines()[0]}") from None
    whole = _encoded(source, encoding, settings.encoder.rates and wants_blend(settings), feeder, before)
    rows = whole if whole.encoder.settings == encoding else whole.without_rates()
    return Prepared(variant.name, rows, whole, network, training)


def _encoded(
    source: Source, encoding: EncoderSettings, with_rates: bool, feeder: Feeder, before: Prepared | None
) -> Encoded:
    """Rows as asked for, or with historical rates too, if trees want them or they are there already."""
    wide = replace(encoding, rates=True)
    wanted = wide if with_rates else encoding
    if before is not None and before.whole.encoder.settings in (wanted, wide):
        return before.whole
    return Encoded(*source.encode(wanted, feeder))


def search_architecture(prepared: Prepared, settings: Settings, seed: int, listen: Listener) -> SearchResult | None:
    """What the strategy of the settings finds; None for a published model."""
    if settings.model != "automtl":
        return None
    layout = prepared.encoder.layout
    space = published_space(settings.space, layout.num_tasks)
    problem = SearchProblem(
        space, layout, prepared.train, prepared.valid, prepared.network, prepared.training, prepared.embedding
    )
    # weights can only start from a supernet that holds them, so nothing else is tried then
    search = replace(settings.search, trial_rows=0) if settings.warm_start else settings.search
    return STRATEGIES[settings.strategy](search).search(problem, seed, listen)


def _start_from_supernet(network: nn.Module, found: SearchResult, settings: Settings) -> None:
    if found.supernet is None:
        raise SettingsError(
            f"warm_start: strategy '{settings.strategy}' has no supernet to start from; set it to false"
        )
    assert isinstance(network, Network)
    found.supernet.lend(network)


def _checks(trained: FitResult) -> dict[str, Any]:
    return {"best": trained.best, "checks": [check.to_dict() for check in trained.checks]}
