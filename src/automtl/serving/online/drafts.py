"""Changes are gathered event by event, and judged, before anything is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from automtl.serving.online.events import Change, Row


@dataclass(frozen=True)
class Recorded:
    """Counts tell what became of changes.

    events, labels: how many events, and later posts of labels, were taken in. Not taken in: `repeated`, known already;
    `late`, older than what may still change; `untimed`, without a time. `waiting`: labels of events that are not known
    (yet); late_labels: those of the `labels` that were known later than the label delay says.
    """

    events: int = 0
    labels: int = 0
    repeated: int = 0
    late: int = 0
    untimed: int = 0
    waiting: int = 0
    late_labels: int = 0

    def __add__(self, other: Recorded) -> Recorded:
        theirs = asdict(other)
        return Recorded(**{name: count + theirs[name] for name, count in asdict(self).items()})


@dataclass
class Draft:
    """An event and the changes that tell something new of it. slot: its number among the live events, -1 if new.

    first: the body as it was at first; labels: names of labels that came after the event, each with its change.
    """

    body: Row
    first: Row
    slot: int = -1
    changes: list[Change] = field(default_factory=list)
    labels: list[tuple[str, Change]] = field(default_factory=list)

    def merge(self, change: Change) -> bool:
        """Take in further labels of the event; tells whether there was a new one."""
        new = {name: value for name, value in change.labels.items() if self.body.get(name) != value}
        if new:
            self.body = self.body | new
            self.changes.append(replace(change, row=None, labels=new))
            self.labels += [(name, change) for name in new]
        return bool(new)


@dataclass
class Drafts:
    """Changes by event. waiting: labels of events that are not known; arrived: events whose labels waited for them."""

    of: dict[str, Draft] = field(default_factory=dict)
    waiting: dict[str, Row] = field(default_factory=dict)
    arrived: list[str] = field(default_factory=list)
    early: list[Change] = field(default_factory=list)
    repeated: int = 0

    @staticmethod
    def gather(changes: Sequence[Change], find: Callable[[str], Draft | None], waiting: Mapping[str, Row]) -> Drafts:
        """Gather changes. find: returns an event that is known; waiting: labels that wait for their events."""
        found = Drafts()
        for change in changes:
            name = change.event_id
            draft = found.of.get(name) or find(name)
            if draft is not None:
                found.of[name] = draft
                found.repeated += not draft.merge(change)
            elif change.row is not None:
                found.begin(change, change.row, waiting.get(name, {}))
            elif (known := waiting.get(name, {}) | found.waiting.get(name, {})) | change.labels == known:
                found.repeated += 1
            else:
                found.waiting[name] = known | change.labels
                found.early.append(change)
        return found

    def begin(self, change: Change, row: Row, waited: Row) -> None:
        """Begin with the row of a new event. waited: its labels that came before."""
        name = change.event_id
        early = waited | self.waiting.pop(name, {})
        self.arrived += [name] if early else []
        body = row | early | change.labels
        self.of[name] = Draft(body, body, -1, [change])

    @property
    def touched(self) -> dict[str, Draft]:
        """The events of which something new is known, by their ids."""
        return {name: draft for name, draft in self.of.items() if draft.changes}
