"""The folder of a fit that is not finished: its states, from which the same fit goes on."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from automtl._version import __version__
from automtl.config import Settings
from automtl.errors import FileError
from automtl.system.files import LOCK, json_bytes, locked, remove_at_once, remove_replaced, remove_unfinished
from automtl.system.journal import STATES, Journal, recording
from automtl.system.manifest import MANIFEST, MODEL, UNFINISHED, checksum
from automtl.system.progress import Callback, Notice
from automtl.system.workers import all_wait, workers
from automtl.tables.schema import Schema

ONLY_ROUNDS = {"workers", "threads"}  # a fit may go on by another number of workers, whose threads are others
NOT_RESULTS = (
    "budget.time_limit",
    "budget.save_every",
    "trackers",
    "tracker_folder",
    "tracking_uri",
)  # settings that may change meanwhile


def unfinished_folder(out: Path) -> Path:
    """Return the folder in which a fit into `out` keeps its states until it is finished."""
    return out.with_name(f"{out.name}.unfinished")


def identity(settings: Settings, seed: int, schema: Schema, digest: str) -> dict[str, Any]:
    """Return all that decides the result of a fit, as plain values by name."""
    values = {f"settings: {name}": value for name, value in _flat(settings.to_dict()) if name not in NOT_RESULTS}
    own = {"seed": seed, "table": digest, "schema": schema.to_dict(), "automtl": __version__}
    machine = {"torch": torch.__version__, "processor": platform.machine(), "threads": torch.get_num_threads()}
    machine |= {"workers": workers().count}
    return {name: _plain(value) for name, value in (values | own | machine).items()}


def numbers_of_workers(out: Path | None) -> list[int]:
    """Return the numbers of workers that a fit into `out` has had so far, one after another, this one the last."""
    folder = None if out is None else unfinished_folder(out)
    if folder is None or not UNFINISHED.matches(folder):
        return [workers().count]
    found: list[int] = UNFINISHED.read(folder)["workers"]
    return found


@contextmanager
def recorded(
    out: Path,
    what: Mapping[str, Any],
    seconds: float,
    suspended: Callable[[], bool],
    callback: Callback,
    *,
    overwrite: bool,
) -> Iterator[Journal]:
    """Record the steps of the block in the folder of an unfinished fit, and remove it where the block ends well.

    what: the identity of the fit; seconds: the time between two states of a training. States that are there are those
    of the same fit, which goes on from them, by another number of workers, too. Raises FileError where they are of
    another one, unless they are to be overwritten, or where another process works there.
    """
    folder = unfinished_folder(out)
    if not workers().first:
        all_wait()  # until the first worker has opened the folder
        with recording(Journal(folder, seconds, suspended)) as journal:
            yield journal
        all_wait()
        return
    if folder.exists() and not UNFINISHED.matches(folder) and not all(map(_is_begun, folder.iterdir())):
        raise FileError(f"'{folder}', where the states of the fit would lie, holds something else; move it away")
    with locked(folder):
        before = _open(folder, what, out, overwrite)
        journal = Journal(folder, seconds, suspended)
        if journal.finished:
            callback(Notice(f"going on with the fit that was stopped: {journal.finished} of its steps are done"))
        if before is not None:
            callback(Notice(
                f"going on by {workers().count} in place of {before} of the workers that train together; the result is "
                "that of any number of them up to the rounding of sums"
            ))  # fmt: skip
        all_wait()
        with recording(journal):
            yield journal
        all_wait()
        for note in journal.notes:
            callback(Notice(note))
    remove_at_once(folder)


def _is_begun(path: Path) -> bool:
    """Tell whether a file is one that a fit has in its folder before the manifest is whole."""
    return path.name == LOCK or path.match(f".{MANIFEST}.*.part")


def was_stopped(out: Path) -> bool:
    """Tell whether there are states of a fit into `out`."""
    return UNFINISHED.matches(unfinished_folder(out))


def was_done(out: Path, what: Mapping[str, Any]) -> bool:
    """Tell whether the fit of this identity was killed when its result was written; its states are removed then.

    The states say what was at `out` when the fit began: where that is another result now, it is the fit's own.
    """
    folder = unfinished_folder(out)
    if not (was_stopped(out) and MODEL.matches(out)):
        return False
    with locked(folder):
        there = UNFINISHED.read(folder)
        done = not _others(there["identity"], what) and "replaces" in there and there["replaces"] != _present(out)
    if done:
        remove_replaced(out)
        remove_at_once(folder)
    return done


def _present(out: Path) -> str | None:
    """Return the checksum of the manifest of the run in a folder; None where there is none."""
    return checksum(out / MANIFEST) if MODEL.matches(out) else None


def _open(folder: Path, what: Mapping[str, Any], out: Path, overwrite: bool) -> int | None:
    """Check that the states in a folder are of this fit, or empty the folder for it.

    Returns the number of workers that wrote them, if it is another one.
    """
    values = UNFINISHED.read(folder) if UNFINISHED.matches(folder) else {"identity": {}}
    there = values["identity"]
    if there == what:
        remove_unfinished(folder)
        return None
    others = _others(there, what) if there else []
    if there and not others and any(folder.glob(STATES)):
        remove_unfinished(folder)
        counts = [*values["workers"], what["workers"]]
        UNFINISHED.write(folder, {"identity": dict(what), "replaces": values.get("replaces"), "workers": counts})
        return int(there["workers"])
    if others and not overwrite:
        name = others[0]
        raise FileError(
            f"'{folder}' holds the states of an unfinished fit with another {name}: {_short(there.get(name))}, now "
            f"{_short(what.get(name))}; give that fit's command to go on with it, or remove the folder (or pass "
            "--overwrite) to begin anew"
        )
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()
    UNFINISHED.write(folder, {"identity": dict(what), "replaces": _present(out), "workers": [what["workers"]]})
    return None


def _others(there: Mapping[str, Any], what: Mapping[str, Any]) -> list[str]:
    """List what decides the results of two fits and differs; other workers, with threads of their own, only round."""
    differ = [name for name in {**what, **there} if there.get(name) != what.get(name)]
    return [] if "workers" in differ and set(differ) <= ONLY_ROUNDS else differ


def _flat(values: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values by their names with dots."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back."""
    return json.loads(json_bytes(value))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
