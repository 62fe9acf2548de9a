"""The inputs of a model: encoded rows under one variant of the settings, the one a small reference model prefers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from automtl.config import Settings, Variant
from automtl.dataset.store import Feeder
from automtl.errors import SettingsError
from automtl.experiment.source import Source
from automtl.features.batch import Batch
from automtl.features.column_selection import without_rates
from automtl.features.encoder import Encoder, EncoderSettings
from automtl.models.baselines.base import Baseline
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.nn.embedding import FieldEmbedding
from automtl.system.progress import Callback, ignore
from automtl.tables.schema import Schema
from automtl.training.fit import SelfTrained, TrainingSettings, fit


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


def choose_variant(
    source: Source, settings: Settings, seed: int, feeder: Feeder, callback: Callback
) -> tuple[Prepared, list[dict[str, Any]]]:
    """The variant under which the reference model is best on validation rows, and what each one gave.

    Trees are their own reference. A search gets the embedding that the reference has learned, of one variant too.
    """
    variants = distinct_variants(settings, source.schema)
    reference = settings.model if trains_itself(settings.model) else settings.reference
    lends = settings.model == "automtl" and settings.search.uses_embedding
    if len(variants) == 1 and not lends:
        return prepare(source, settings, variants[0], feeder), [{"name": variants[0].name, "chosen": True}]
    best: Prepared | None = None
    prepared: Prepared | None = None
    tried: list[tuple[float, str]] = []
    for variant in variants:
        prepared = prepare(source, settings, variant, feeder, prepared)
        score, lending = train_reference(prepared, reference, seed, callback)
        if best is None or score < min(tried)[0]:
            best = lending
        tried.append((score, variant.name))
    assert best is not None
    return best, [{"name": name, "score": score, "chosen": name == best.variant} for score, name in tried]


def train_reference(
    prepared: Prepared, reference: str, seed: int, callback: Callback = ignore
) -> tuple[float, Prepared]:
    """The reference model's validation score on these rows; the rows with the model, unless it is trees."""
    model = MODELS.find(reference)(prepared.encoder.layout, prepared.network, torch.Generator().manual_seed(seed))
    tasks, stage = prepared.encoder.schema.tasks, f"choosing inputs: {prepared.variant}"
    result = fit(model, prepared.train, prepared.valid, tasks, prepared.training, seed, callback, stage)
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
    if trains_itself(settings.model):
        kept = [one for place, one in enumerate(kept) if one.encoder not in [v.encoder for v in kept[:place]]]
    return kept or [Variant("default")]


def trains_itself(model: str) -> bool:
    """Whether it is trees, to which another model's inputs say nothing."""
    return model != "automtl" and issubclass(MODELS.find(model), SelfTrained)


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
    whole = _encoded(source, encoding, settings.encoder.rates and settings.blends, feeder, before)
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
