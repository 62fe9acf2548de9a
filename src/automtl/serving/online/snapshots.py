"""A ledger as bytes, from which the servers of a model go on without the batches that led to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from safetensors import SafetensorError
from safetensors import numpy as safe_numpy

from automtl.errors import FileError, SettingsError
from automtl.histories.state import State
from automtl.serving.online.events import Change, EventReader, packed, unpacked
from automtl.serving.online.ledger import Ledger

LENGTH = 8  # bytes that tell how long the plain values are


def model_of(reader: EventReader) -> str:
    """Return a digest of the histories of a model, as they are in its folder."""
    values, arrays = reader.histories.to_state()
    found = hashlib.sha256(packed(values))
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def to_bytes(ledger: Ledger, models: list[str]) -> bytes:
    """Write a ledger. models: digests of those whose folders it goes on from."""
    pending = ledger.own
    state = replace(
        ledger.base, newest=ledger.newest, live=None, pending=pending.take(pending.sorted(pending.identity))
    )
    values = packed(
        {
            "models": models, "begin": ledger.begin, "accept": ledger.accept, "floor": ledger.floor,
            "events": [[name, body.decode("utf-8", "surrogatepass")] for name, (_, body) in ledger.events.items()],
            "waiting": dict(ledger.waiting),
        }
    )  # fmt: skip
    arrays = {name: array.copy() for name, array in state.to_arrays().items()}
    return len(values).to_bytes(LENGTH, "big") + values + safe_numpy.save(arrays)


def from_bytes(content: bytes, reader: EventReader) -> tuple[Ledger, list[str]]:
    """Return the ledger that `to_bytes` wrote and the digests of its models.

    For another model, whose own log ends later than what was settled, only events since then are taken from it. Raises
    SettingsError for one that ends earlier, FileError for bytes that are damaged.
    """
    try:
        end = LENGTH + int.from_bytes(content[:LENGTH], "big")
        values, arrays = unpacked(content[LENGTH:end]), safe_numpy.load(content[end:])
    except (ValueError, SafetensorError) as error:
        raise FileError(f"the snapshot of the events is damaged ({error}); restore it, or give another place") from None
    own = model_of(reader)
    if own in values["models"]:
        state = State.from_arrays(reader.histories.plan, arrays)
        times = [values[name] for name in ("begin", "accept", "floor")]
        ledger, models = Ledger(reader, state, *times), values["models"]
    elif values["accept"] <= reader.histories.state.newest:
        ledger, models = Ledger.of(reader), [own]
    else:
        raise SettingsError(
            "the events are those of another model, and some of them, which are later than this one's log, are summed "
            "up: serve the model that they belong to, or give another --events"
        )
    changes = [Change(name, unpacked(body.encode("utf-8", "surrogatepass"))) for name, body in values["events"]]
    changes += [Change(name, None, labels) for name, labels in values["waiting"].items()]
    ledger.take(changes, judged=own in values["models"])
    return ledger, models
