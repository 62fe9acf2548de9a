"""The inputs of a model, which are rows encoded under one of the presets of the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

from automtl.config import InputPreset, Settings
from automtl.dataset.store import DataLoader
from automtl.ensemble.settings import TreeSettings
from automtl.errors import SettingsError
from automtl.experiment.history_selection import SEQUENCE, GroupGain, judge_groups, sequence_gain
from automtl.experiment.source import Source
from automtl.features.batch import Batch
from automtl.features.column_selection import (
    InputGroups,
    select_histories,
    select_history_rows,
    without_sequences,
    without_target_encoding,
)
from automtl.features.encoder import Encoder
from automtl.features.histories import Group, Histories
from automtl.features.settings import EncoderSettings
from automtl.models.registry import EVERY_MODEL
from automtl.models.settings import NetworkSettings
from automtl.system.progress import Callback, ignore
from automtl.system.stopwatch import timed
from automtl.tables.schema import Schema
from automtl.training.fit import SelfTrained
from automtl.training.settings import TrainingSettings


@dataclass(frozen=True)
class EncodedRows:
    """Training and validation rows, and the encoder that made them.

    `gains`: what each group of `histories` gives, those that were left out included. `sequence_gain`: the share of a
    small network's loss that the events of sequences save; None where there are none.
    """

    encoder: Encoder
    train: Batch
    valid: Batch
    gains: tuple[GroupGain, ...] = ()
    histories: Histories | None = None
    sequence_gain: float | None = None

    @property
    def left_out(self) -> list[Group]:
        """The groups of histories that did not pay."""
        return [one.group for one in self.gains if not one.kept]

    def of(self, settings: EncoderSettings) -> EncodedRows:
        """Return the rows, or views that leave out target encodings or sequences where the settings do."""
        encoder = self.encoder
        if not settings.sequences and encoder.settings.sequences:
            encoder = without_sequences(encoder)
        if not settings.target_encoding and encoder.settings.target_encoding:
            encoder = without_target_encoding(encoder)
        if encoder is self.encoder:
            return self
        layout = encoder.layout
        views = [part.for_layout(layout) for part in (self.train, self.valid)]
        return replace(self, encoder=encoder, train=views[0], valid=views[1])


@dataclass(frozen=True)
class ModelInputs:
    """Rows and settings with which a model is trained under one input preset.

    `all_rows`: the rows with every input that other models of an ensemble may have. `encoding`: inputs whose `encoding`
    is equal are parts of the same encoded rows. `groups`: those that `rows` have of these.
    """

    preset: str
    rows: EncodedRows
    all_rows: EncodedRows
    network: NetworkSettings
    training: TrainingSettings
    trees: TreeSettings
    encoding: EncoderSettings
    groups: InputGroups


class EncodedSource:
    """Encodes the rows of a source when an experiment needs them, and keeps them for the next experiment.

    `num_kept`: number of encodings to keep, None for all. Rows with and without target encodings share one encoding.
    """

    def __init__(
        self, source: Source, loader: DataLoader, *, num_kept: int | None = 1, callback: Callback = ignore
    ) -> None:
        self.source, self.loader, self.num_kept, self.callback = source, loader, num_kept, callback
        self.kept: dict[EncoderSettings, tuple[EncoderSettings, EncodedRows]] = {}

    @property
    def schema(self) -> Schema:
        """Schema of the source."""
        return self.source.schema

    def inputs(self, settings: Settings, preset: InputPreset) -> ModelInputs:
        """Encode the inputs of a model under a preset. Raises SettingsError if that changes an unknown setting."""
        made = preset.apply(settings)
        encoding = made.encoder
        for_trees = settings.encoder.target_encoding and settings.uses_ensemble
        wanted = replace(encoding, target_encoding=encoding.target_encoding or for_trees)
        wanted = replace(wanted, sequences=encoding.sequences or settings.encoder.sequences)
        every = self._encoded(wanted)
        groups = InputGroups.of(encoding)
        return ModelInputs(
            preset.name, every.of(encoding), every.of(wanted), made.network, made.training, made.trees, wanted, groups
        )  # fmt: skip

    def test(self, rows: EncodedRows) -> Batch:
        """Encode test rows with the columns of `rows`."""
        encoder, whole = rows.encoder, rows.histories
        if whole is not None and rows.left_out:
            encoder = replace(encoder, histories=whole if encoder.layout.sequences else whole.without_sequence())
        with timed("encoding"):
            return self._without(self.source.test(encoder, self.loader, like=rows.train), encoder, rows.left_out)

    def like(self, encoder: Encoder, settings: EncoderSettings) -> EncodedRows:
        """Encode the rows that a saved encoder was fitted on as they were then, under these settings.

        Rates of training rows leave out their own labels, which the encoder alone cannot do. Raises SettingsError for
        rows that give other inputs.
        """
        rows = self.anew(encoder, settings)
        if InputGroups.of(encoder.settings).select(rows.encoder).layout != encoder.layout:
            raise SettingsError("the rows are not those that the model was fitted on; give the table of the fit")
        return rows

    def anew(self, encoder: Encoder, settings: EncoderSettings) -> EncodedRows:
        """Fit an encoder of the same inputs as a saved one to the rows, and encode them under these settings."""
        own = encoder.settings
        switches = ("target_encoding", "history", "sequences")
        wanted = replace(own, **{name: getattr(own, name) or getattr(settings, name) for name in switches})
        with timed("encoding"):
            rows = EncodedRows(*self.source.encode(wanted, self.loader))
        if rows.encoder.histories is not None:
            kept = {} if encoder.histories is None else encoder.histories.columns_of_groups()
            groups = rows.encoder.histories.columns_of_groups()
            gains = tuple(GroupGain(group, (), group in kept) for group in groups)
            rows = self._pruned(rows.encoder, rows.train, rows.valid, gains)
        return rows

    def _encoded(self, wanted: EncoderSettings) -> EncodedRows:
        """Return rows encoded as wanted, or kept rows that have target encodings and sequences besides."""
        every = replace(wanted, target_encoding=True, sequences=True)
        there, rows = self.kept.get(every, (None, None))
        if there is None or rows is None or not _has(there, wanted):
            self.kept.pop(every, None)
            while self.num_kept is not None and len(self.kept) >= self.num_kept:
                del self.kept[next(iter(self.kept))]
            with timed("encoding"):
                encoded = self.source.encode(wanted, self.loader)
            with timed("inputs"):
                rows = self._selected(*encoded)
            self.kept[every] = wanted, rows
        return rows

    def _selected(self, encoder: Encoder, train: Batch, valid: Batch) -> EncodedRows:
        """Leave out the histories that do not pay on validation rows; for all models the same ones."""
        if encoder.histories is None or not encoder.settings.prune_histories:
            return EncodedRows(encoder, train, valid)
        few = self._pruned(encoder, train, valid, tuple(judge_groups(encoder, train, valid, self.callback)))
        if not few.encoder.layout.sequences:
            return few
        gain = sequence_gain(few.encoder, few.train, few.valid, self.callback)
        few = replace(few, sequence_gain=gain)
        return few if gain > SEQUENCE else few.of(replace(encoder.settings, sequences=False))

    def _pruned(self, encoder: Encoder, train: Batch, valid: Batch, gains: tuple[GroupGain, ...]) -> EncodedRows:
        """Leave out the histories that these gains do not keep."""
        rows = EncodedRows(encoder, train, valid, gains, encoder.histories)
        parts = [self._without(part, encoder, rows.left_out) for part in (train, valid)]
        return replace(rows, encoder=select_histories(encoder, rows.left_out), train=parts[0], valid=parts[1])

    def _without(self, rows: Batch, encoder: Encoder, left_out: list[Group]) -> Batch:
        """Leave out groups of histories from rows of an encoder."""
        if not left_out:
            return rows
        layout = select_histories(encoder, left_out).layout
        return self.loader.hold(rows, layout, lambda some: select_history_rows(some, encoder, left_out))


def _has(there: EncoderSettings, wanted: EncoderSettings) -> bool:
    """Tell whether rows have all that is wanted."""
    return there.target_encoding >= wanted.target_encoding and there.sequences >= wanted.sequences


def distinct_presets(settings: Settings, schema: Schema) -> list[InputPreset]:
    """Return the presets that differ on this table and for this model.

    Presets that leave out target encodings need some to leave out, and no histories, which hold the same. For boosted
    trees, which have no network, only changes of the encoder count.
    """
    kept = list(settings.presets)
    histories = schema.history if settings.encoder.history else False
    if not (histories and histories.sequence and settings.encoder.sequences):
        kept = [preset for preset in kept if set(preset.encoder) != {"sequences"}]
    if histories or not (schema.target_encoding and settings.encoder.target_encoding):
        kept = [preset for preset in kept if set(preset.encoder) - {"target_encoding"} or not preset.encoder]
    if is_self_trained(settings.model):
        kept = [one for place, one in enumerate(kept) if one.encoder not in [before.encoder for before in kept[:place]]]
    return kept or [InputPreset("default")]


def is_self_trained(model: str) -> bool:
    """Tell whether a model trains itself without gradients, as boosted trees do."""
    return issubclass(EVERY_MODEL.find(model), SelfTrained)
