"""The histories of a table in words for people."""

from __future__ import annotations

from automtl.system.progress import Callback, Notice
from automtl.tables.columns import ColumnRoles
from automtl.tables.durations import duration_text
from automtl.tables.history import OTHERS, History
from automtl.tables.schema import Schema

UNITS = {
    "ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours",
    "d": "days",
}  # fmt: skip


def history_lines(schema: Schema, *, inferred: bool) -> list[str]:
    """Describe the histories of a schema: time column, keys, sequence, outcome columns and label delays.

    `inferred`: the table told which column is the time. Empty without histories.
    """
    history = schema.history
    if not history:
        return []
    notes = [UNITS[history.unit]] if history.unit is not None else []
    notes += ["inferred"] if inferred else []
    lines = [f"time column: {schema.time}" + (f" ({'; '.join(notes)})" if notes else "")]
    if history.keys:
        lines.append(f"histories of {', '.join(' + '.join(key) for key in history.keys)}")
    if history.sequence:
        length, key = history.sequence.length, history.sequence.key
        lines.append(f"sequence of the last {length} events of {key}: {', '.join(history.sequence.fields)}")
    if schema.outcomes:
        lines.append(f"outcome columns: {', '.join(schema.outcomes)}")
    if history.frozen:
        lines.append("frozen: nothing is learned from rows after the training rows")
    return [*lines, f"labels known {_delays(history)}"]


def _delays(history: History) -> str:
    delay = history.label_delay
    if delay is None:
        return "at once (nothing was said; --label-delay 1h would say after one hour)"
    if not isinstance(delay, dict):
        return f"after {duration_text(delay)}" if delay else "at once"
    named = {name: seconds for name, seconds in delay.items() if name != OTHERS} | {"others": delay.get(OTHERS, 0.0)}
    return "after " + ", ".join(f"{duration_text(seconds)} ({name})" for name, seconds in named.items())


def tell_history(callback: Callback, schema: Schema, roles: ColumnRoles, given: Schema | None) -> None:
    """Tell of a resolved schema's histories. `roles` and `given`: what the user said of the table."""
    inferred = roles.time is None and (given is None or given.time is None)
    if lines := history_lines(schema, inferred=inferred):
        callback(Notice("; ".join(lines)))
