"""The inputs of a model, which are rows encoded under one of the presets of the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from automtl.config import InputPreset, Settings
from automtl.dataset.store import DataLoader
from automtl.ensemble.settings import TreeSettings
from automtl.experiment.source import Source
from automtl.features.batch import Batch
from automtl.experiment.history_selection import GroupGain, judge_groups
from automtl.features.column_selection import select_histories, select_history_rows, without_target_encoding
from automtl.features.encoder import Encoder
from automtl.features.histories import Group, Histories
from automtl.features.settings import EncoderSettings
from automtl.models.registry import EVERY_MODEL
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback, ignore
from automtl.tables.schema import Schema
from automtl.training.fit import SelfTrained
from automtl.training.settings import TrainingSettings


@dataclass(frozen=True)
class EncodedRows:
    """Training and validation rows, and the encoder that made them.

    `gains`: what each group of `histories` gives, those that were left out included.
    """

    encoder: Encoder
    train: Batch
    valid: Batch
    gains: tuple[GroupGain, ...] = ()
    histories: Histories | None = None

    @property
    def left_out(self) -> list[Group]:
        """The groups of histories that did not pay."""
        return [one.group for one in self.gains if not one.kept]

    def without_target_encoding(self) -> EncodedRows:
        """Return views of the rows that leave out the columns of target encodings."""
        encoder = without_target_encoding(self.encoder)
        columns = encoder.layout.num_numeric
        return replace(
            self, encoder=encoder, train=self.train.with_numeric(columns), valid=self.valid.with_numeric(columns)
        )


@dataclass(frozen=True)
class ModelInputs:
    """Rows and settings with which a model is trained under one input preset.

    `all_rows`: the rows with every encoded column, for boosted trees in an ensemble.
    """

    preset: str
    rows: EncodedRows
    all_rows: EncodedRows
    network: NetworkSettings
    training: TrainingSettings
    trees: TreeSettings


class EncodedSource:
    """Encodes the rows of a source when an experiment needs them, and keeps them for the next experiment.

    `num_kept`: number of encodings to keep, None for all. Rows with and without target encodings share one encoding.
    """

    def __init__(
        self, source: Source, loader: DataLoader, *, num_kept: int | None = 1, callback: Callback = ignore
    ) -> None:
        self.source, self.loader, self.num_kept, self.callback = source, loader, num_kept, callback
        self.kept: dict[EncoderSettings, EncodedRows] = {}

    @property
    def schema(self) -> Schema:
        """Schema of the source."""
        return self.source.schema

    def inputs(self, settings: Settings, preset: InputPreset) -> ModelInputs:
        """Encode the inputs of a model under a preset. Raises SettingsError if that changes an unknown setting."""
        made = preset.apply(settings)
        encoding = made.encoder
        for_trees = settings.encoder.target_encoding and settings.uses_ensemble
        all_rows = self._encoded(encoding, replace(encoding, target_encoding=True) if for_trees else encoding)
        rows = all_rows if all_rows.encoder.settings == encoding else all_rows.without_target_encoding()
        return ModelInputs(preset.name, rows, all_rows, made.network, made.training, made.trees)

    def test(self, rows: EncodedRows) -> Batch:
        """Encode test rows with the columns of `rows`."""
        encoder = rows.encoder if not rows.left_out else replace(rows.encoder, histories=rows.histories)
        return self._without(self.source.test(encoder, self.loader, like=rows.train), encoder, rows.left_out)

    def _encoded(self, encoding: EncoderSettings, wanted: EncoderSettings) -> EncodedRows:
        """Return rows encoded as wanted, or kept rows that have target encodings besides."""
        every = replace(encoding, target_encoding=True)
        kept = self.kept.get(every)
        if kept is None or kept.encoder.settings not in (wanted, every):
            self.kept.pop(every, None)
            while self.num_kept is not None and len(self.kept) >= self.num_kept:
                del self.kept[next(iter(self.kept))]
            kept = self.kept[every] = self._selected(*self.source.encode(wanted, self.loader))
        return kept

    def _selected(self, encoder: Encoder, train: Batch, valid: Batch) -> EncodedRows:
        """Leave out the histories that do not pay on validation rows; for all models the same ones."""
        if encoder.histories is None or not encoder.settings.prune_histories:
            return EncodedRows(encoder, train, valid)
        gains = tuple(judge_groups(encoder, train, valid, self.callback))
        rows = EncodedRows(encoder, train, valid, gains, encoder.histories)
        parts = [self._without(part, encoder, rows.left_out) for part in (train, valid)]
        return replace(rows, encoder=select_histories(encoder, rows.left_out), train=parts[0], valid=parts[1])

    def _without(self, rows: Batch, encoder: Encoder, left_out: list[Group]) -> Batch:
        """Leave out groups of histories from rows of an encoder."""
        if not left_out:
            return rows
        layout = select_histories(encoder, left_out).layout
        return self.loader.hold(rows, layout, lambda some: select_history_rows(some, encoder, left_out))


def distinct_presets(settings: Settings, schema: Schema) -> list[InputPreset]:
    """Return the presets that differ on this table and for this model.

    Presets that leave out target encodings need some to leave out, and no histories, which hold the same. For boosted
    trees, which have no network, only changes of the encoder count.
    """
    kept = list(settings.presets)
    histories = schema.history and settings.encoder.history
    if histories or not (schema.target_encoding and settings.encoder.target_encoding):
        kept = [preset for preset in kept if set(preset.encoder) - {"target_encoding"} or not preset.encoder]
    if is_self_trained(settings.model):
        kept = [one for place, one in enumerate(kept) if one.encoder not in [before.encoder for before in kept[:place]]]
    return kept or [InputPreset("default")]


def is_self_trained(model: str) -> bool:
    """Tell whether a model trains itself without gradients, as boosted trees do."""
    return issubclass(EVERY_MODEL.find(model), SelfTrained)
