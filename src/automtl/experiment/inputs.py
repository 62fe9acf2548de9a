"""The inputs of a model: rows that are encoded under one of the presets of the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from automtl.config import InputPreset, Settings
from automtl.dataset.store import DataLoader
from automtl.ensemble.settings import TreeSettings
from automtl.experiment.source import Source
from automtl.features.batch import Batch
from automtl.features.column_selection import without_target_encoding
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.registry import EVERY_MODEL
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Schema
from automtl.training.fit import SelfTrained
from automtl.training.settings import TrainingSettings


@dataclass(frozen=True)
class EncodedRows:
    """Training and validation rows, and the encoder that made them."""

    encoder: Encoder
    train: Batch
    valid: Batch

    def without_target_encoding(self) -> EncodedRows:
        """The same rows as views that leave out the columns of target encodings."""
        encoder = without_target_encoding(self.encoder)
        columns = encoder.layout.num_numeric
        return EncodedRows(encoder, self.train.with_numeric(columns), self.valid.with_numeric(columns))


@dataclass(frozen=True)
class ModelInputs:
    """What a model is trained on under one input preset: its rows, and the preset's settings.

    `all_rows`: the same rows with every encoded column, which boosted trees beside a network may use.
    """

    preset: str
    rows: EncodedRows
    all_rows: EncodedRows
    network: NetworkSettings
    training: TrainingSettings
    trees: TreeSettings


class EncodedSource:
    """The rows of a source, encoded when an experiment first needs them and kept for the next that needs the same.

    `num_kept`: how many encodings are kept; None: all. With and without target encodings is one encoding.
    """

    def __init__(self, source: Source, loader: DataLoader, *, num_kept: int | None = 1) -> None:
        self.source, self.loader, self.num_kept = source, loader, num_kept
        self.kept: dict[EncoderSettings, EncodedRows] = {}

    @property
    def schema(self) -> Schema:
        """Schema of the source."""
        return self.source.schema

    def inputs(self, settings: Settings, preset: InputPreset) -> ModelInputs:
        """The inputs of a model under a preset. Raises SettingsError for a preset that changes no known setting."""
        made = preset.apply(settings)
        encoding = made.encoder
        for_trees = settings.encoder.target_encoding and settings.uses_ensemble
        all_rows = self._encoded(encoding, replace(encoding, target_encoding=True) if for_trees else encoding)
        rows = all_rows if all_rows.encoder.settings == encoding else all_rows.without_target_encoding()
        return ModelInputs(preset.name, rows, all_rows, made.network, made.training, made.trees)

    def test(self, rows: EncodedRows) -> Batch:
        """Test rows in the columns of `rows`."""
        return self.source.test(rows.encoder, self.loader, like=rows.train)

    def _encoded(self, encoding: EncoderSettings, wanted: EncoderSettings) -> EncodedRows:
        """Rows as wanted; kept ones may hold target encodings beside that."""
        every = replace(encoding, target_encoding=True)
        kept = self.kept.get(every)
        if kept is None or kept.encoder.settings not in (wanted, every):
            self.kept.pop(every, None)
            while self.num_kept is not None and len(self.kept) >= self.num_kept:
                del self.kept[next(iter(self.kept))]
            kept = self.kept[every] = EncodedRows(*self.source.encode(wanted, self.loader))
        return kept


def distinct_presets(settings: Settings, schema: Schema) -> list[InputPreset]:
    """Presets that differ on this table and for this model.

    Without target encodings to leave out, leaving them out is no preset of its own. Trees have no network to set, so
    theirs differ in the encoder alone.
    """
    kept = list(settings.presets)
    if not (schema.target_encoding and settings.encoder.target_encoding):
        kept = [preset for preset in kept if set(preset.encoder) - {"target_encoding"} or not preset.encoder]
    if is_self_trained(settings.model):
        kept = [one for place, one in enumerate(kept) if one.encoder not in [before.encoder for before in kept[:place]]]
    return kept or [InputPreset("default")]


def is_self_trained(model: str) -> bool:
    """Whether gradients do not train it: it is boosted trees, to which a network's inputs say nothing."""
    return issubclass(EVERY_MODEL.find(model), SelfTrained)
