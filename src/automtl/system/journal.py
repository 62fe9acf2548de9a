"""The record of a long computation: states of its steps on disk, from which the same computation goes on.

A computation is a sequence of steps that depends on nothing but its input and seed. Done again, it asks for the same
steps in the same order: those that are recorded as finished give back what they gave, one that was stopped goes on from
its last state, and the others are done for the first time.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as safe_torch
from torch import Tensor

from automtl.errors import FileError
from automtl.system.deadline import Suspended
from automtl.system.files import write_whole
from automtl.system.workers import agreed, all_wait, gathered, workers

SECONDS = 60.0  # between two states of a step
PAUSE = 2.0  # seconds of work that a step saves where it may pause
SHARE = 0.02  # of the time, at most, in which states are written
KEPT = 2  # newest states of a step: where one is damaged, the one before is there
SUFFIX, OWN = ".safetensors", ".own"  # of files of states, and of what only one worker has for one
STATES = f"*{SUFFIX}"
DIGEST = 16  # characters of a state's SHA-256 in its file's name


@dataclass(frozen=True)
class State:
    """A state of a step. `values`: plain ones, as JSON has them; `final`: whether the step is finished.

    `own`: tensors that only some worker had, by its place; where there are as many workers now, those of
    others are not read. Empty where all had all.
    """

    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    final: bool
    own: Sequence[Mapping[str, Tensor]] = ()


class Step:
    """One step of a computation. `state`: the last one that is recorded, if there is one that can be read."""

    def __init__(self, journal: Journal | None, number: int, identity: str) -> None:
        self.journal, self.number, self.identity = journal, number, identity
        self.saved, self.cost = time.monotonic(), 0.0
        self.state = None if journal is None else journal.read(number, identity)
        all_wait()  # before the first worker writes what another one would read

    @property
    def due(self) -> bool:
        """Tell whether it is time to save a state."""
        return self._worked(self.journal.seconds) if self.journal is not None else False

    @property
    def due_to_pause(self) -> bool:
        """Tell whether a state is worth saving in a step that may now wait for others."""
        return self._worked(min(PAUSE, self.journal.seconds)) if self.journal is not None else False

    def _worked(self, seconds: float) -> bool:
        assert self.journal is not None
        return agreed(self.journal.suspended() or time.monotonic() - self.saved >= max(seconds, self.cost / SHARE))

    def save(
        self, values: Mapping[str, Any], tensors: Mapping[str, Tensor], own: Mapping[str, Tensor] | None = None,
        *, final: bool = False,
    ) -> None:  # fmt: skip
        """Write a state, whole or not at all; the last states are kept. Where it cannot be written, a warning says so.

        tensors: of any device and layout, copied when they are written; own: those that only this worker has.
        """
        if self.journal is not None:
            start = time.monotonic()
            self.journal.write(self.number, self.identity, State(values, tensors, final, [own] if own else ()))
            self.saved = time.monotonic()
            self.cost = self.saved - start
            self.journal.end_if_suspended()


class Journal:
    """The recorded steps of one computation in a folder.

    `seconds`: the time between two states of a step; `suspended`: tells whether the computation should save its state
    and end.
    """

    def __init__(self, folder: Path, seconds: float = SECONDS, suspended: Callable[[], bool] = lambda: False) -> None:
        self.folder, self.seconds, self.suspended = folder, seconds, suspended
        self.count, self.notes = 0, list[str]()
        self.earlier, self.start = max(map(_elapsed, folder.glob(STATES)), default=0.0), time.monotonic()

    @property
    def elapsed(self) -> float:
        """The seconds of the computation, of the processes before this one, too."""
        return self.earlier + time.monotonic() - self.start

    def end_if_suspended(self) -> None:
        """Raise Suspended where the computation should end."""
        if self.suspended():
            raise Suspended

    def step(self, identity: str) -> Step:
        """Begin the next step. Where another one is recorded in its place, the record ends before it."""
        self.end_if_suspended()
        number, self.count = self.count, self.count + 1
        return Step(self, number, identity)

    @property
    def finished(self) -> int:
        """The number of steps that are recorded as finished."""
        return len({path.name[:5] for path in self.folder.glob("?????.*.final.*.safetensors")})

    def files(self, number: int) -> list[Path]:
        """Return the files of a step's states, the newest first."""
        return sorted(self.folder.glob(f"{number:05d}.*.safetensors"), reverse=True)

    def read(self, number: int, identity: str) -> State | None:
        """Read the newest state of a step that is whole; None where there is none."""
        for place, path in enumerate(self.files(number)):
            found = _read(path)
            if found is None:
                self.notes.append(f"'{path}' is damaged; " + ("going on from the state before" if not place else ""))
            elif found[0] == identity:
                return found[1]
            else:
                self._forget(number)
        return None

    def write(self, number: int, identity: str, state: State) -> None:
        """Write a state of a step, and remove those that are too old.

        Of several workers each writes what only it has, and then the first one the rest, which makes the state count.
        """
        there = self.files(number)
        begin = f"{number:05d}.{int(there[0].name.split('.')[1]) + 1 if there else 0:06d}"
        owned: list[str | None] = []
        if state.own:
            begin, own = agreed(begin), workers()
            owned = gathered(self._written(f"{begin}.{own.place}-of-{own.count}", OWN, state.own[0], {}))
        if not workers().first or None in owned:
            return
        values = {"identity": identity, "values": state.values, "final": state.final, "elapsed": self.elapsed}
        about = {"state": json.dumps(values | {"own": owned})}
        name = self._written(f"{begin}.{'final' if state.final else 'going'}", SUFFIX, state.tensors, about)
        if name is not None:
            self._remove(there[KEPT - 1 :])

    def _written(
        self, begin: str, suffix: str, tensors: Mapping[str, Tensor], about: Mapping[str, str]
    ) -> str | None:  # fmt: skip
        """Write tensors into a file whose name has a checksum, which is returned; None where it cannot be written."""
        solid = {name: one.detach().cpu().contiguous().clone() for name, one in tensors.items()}
        content = safe_torch.save(solid, dict(about))
        name = f"{begin}.{hashlib.sha256(content).hexdigest()[:DIGEST]}{suffix}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / name, content)
        except (FileError, OSError) as error:
            warnings.warn(f"the state of this computation cannot be saved ({error}); it goes on", stacklevel=3)
            return None
        return name

    def _remove(self, old: Sequence[Path]) -> None:
        """Remove states, and all that workers had for them, and for those that were never whole."""
        for path in old:
            with suppress(OSError):
                path.unlink()
        kept = {path.name[:12] for path in self.folder.glob(STATES)}
        for path in self.folder.glob(f"*{OWN}"):
            if path.name[:12] not in kept:
                with suppress(OSError):
                    path.unlink()

    def _forget(self, number: int) -> None:
        """Remove the record from a step on, since another computation wrote it."""
        for path in [*self.folder.glob(STATES), *self.folder.glob(f"*{OWN}")]:
            if path.name[:5].isdigit() and int(path.name[:5]) >= number:
                path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[str, State] | None:
    """Read a state and the identity of its step; None where the file is damaged, or one of what some worker had."""
    found = _content(path)
    try:
        values = json.loads(found[0]["state"]) if found is not None else {}
        state = State(values["values"], found[1] if found else {}, bool(values["final"]))
        names = values.get("own") or []
        identity: str = values["identity"]
    except (ValueError, KeyError, TypeError):
        return None
    if not names:
        return identity, state
    own = workers()
    read = [
        _content(path.with_name(name)) if len(names) != own.count or place == own.place else ({}, {})
        for place, name in enumerate(names)
    ]
    if not all(gathered(None not in read)):
        return None
    return identity, replace(state, own=[one[1] for one in read if one is not None])


def _content(path: Path) -> tuple[dict[str, str], dict[str, Tensor]] | None:
    """Read what is said of tensors in a file, and the tensors; None where it is damaged or not there."""
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest()[:DIGEST] != path.name.split(".")[3]:
            return None
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, IndexError):
        return None


def under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a name and a dot before the names of tensors."""
    return {f"{name}.{one}": tensor for one, tensor in tensors.items()}


def below(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a name and a dot, without these."""
    return {one.removeprefix(f"{name}."): tensor for one, tensor in tensors.items() if one.startswith(f"{name}.")}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the moments of an optimizer by the number of the parameter and their name."""
    state = optimizer.state_dict()["state"]
    return {
        f"{place}.{name}": one for place, own in state.items() for name, one in own.items() if isinstance(one, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer the moments that `optimizer_tensors` returned, of which it keeps copies."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        place, moment = name.split(".")
        state.setdefault(int(place), {})[moment] = value.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _elapsed(path: Path) -> float:
    """Read the seconds of the computation when a state was written; 0 where the file is damaged."""
    with suppress(OSError, SafetensorError, ValueError, KeyError, TypeError), safe_open(path, "pt") as file:
        return float(json.loads(file.metadata()["state"])["elapsed"])
    return 0.0


Given = TypeVar("Given", bound="Journal | None")
_current: ContextVar[Journal | None] = ContextVar("journal", default=None)


@contextmanager
def recording(journal: Given) -> Iterator[Given]:
    """Let the work inside the block record its steps in this journal."""
    token = _current.set(journal)
    try:
        yield journal
    finally:
        _current.reset(token)


def begin_step(identity: str) -> Step:
    """Begin a step of the present computation; outside of `recording` nothing is recorded."""
    journal = _current.get()
    return Step(None, 0, identity) if journal is None else journal.step(identity)


def end_if_suspended() -> None:
    """Raise Suspended where the present computation should end. For work that has no state of its own to save."""
    journal = _current.get()
    if journal is not None:
        journal.end_if_suspended()
