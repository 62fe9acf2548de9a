"""The columns of the table that each encoded input is made of."""

from __future__ import annotations

from dataclasses import dataclass

from automtl.features.encoder import Encoder
from automtl.features.scaler import Scaler
from automtl.tables.derive import simple_fields_of
from automtl.tables.schema import FieldKind


@dataclass(frozen=True)
class Origin:
    """Columns of their own row, or earlier rows that share these columns, of which some encoded inputs are made."""

    columns: tuple[str, ...]
    history: bool = False

    @property
    def name(self) -> str:
        """The columns as people read them, such as 'city × device' or 'histories of user'."""
        joined = " × ".join(self.columns)
        return f"histories of {joined}" if self.history else joined


@dataclass(frozen=True)
class Origins:
    """The origin of each encoded input, in the order of `Features`: ids, lists of ids, numbers."""

    categorical: tuple[Origin, ...]
    lists: tuple[Origin, ...]
    numeric: tuple[Origin, ...]

    @property
    def every(self) -> tuple[Origin, ...]:
        """All origins, each once, in the order in which they are met."""
        return tuple(dict.fromkeys((*self.categorical, *self.lists, *self.numeric)))

    @staticmethod
    def of(encoder: Encoder) -> Origins:
        """Trace the inputs of an encoder: bins, parts of times and target encodings belong to their columns."""
        own = {
            simple.name: (simple.kind, Origin(field.columns))
            for field in encoder.schema.fields
            for simple in simple_fields_of(field)
        }
        layout, histories = encoder.layout, encoder.histories
        binned = [name for name, one in encoder.scalers.items() if isinstance(one, Scaler) and one.binned]
        ids = [origin for kind, origin in own.values() if kind is FieldKind.CATEGORICAL]
        lists = [own[one.name][1] for one in layout.multi]
        numbers = [own[name][1] for name, one in encoder.scalers.items() for _ in range(one.width)]
        rates = len(encoder.schema.tasks) + 1
        numbers += [Origin(key) for key in encoder.target_encodings for _ in range(rates)]
        if histories is not None:
            keys = [Origin(one.key, history=True) for one in histories.plan.keys]
            numbers += [key for key, width in zip(keys, histories.plan.widths, strict=True) for _ in range(width)]
            if histories.plan.sequence is not None:
                aspects = (aspect for sequence in histories.sequences for aspect in sequence.aspects)
                lists += [keys[histories.plan.sequence[0]] for _ in aspects]
        return Origins((*ids, *(own[name][1] for name in binned)), tuple(lists), tuple(numbers))
