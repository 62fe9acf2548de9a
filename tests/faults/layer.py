"""A layer under Python's file operations that counts those that change files, and lets one of them fail.

It is put in by a process of the tests alone. Files that a library writes without Python (an array of numpy, a file of
safetensors) count when they are opened, if Python opens them.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

FREEING = ("unlink", "remove", "rmdir", "rename", "replace")  # what a full disk still lets happen


class Kind(StrEnum):
    """Kinds of faults of files: a disk full from then on, a refusal, the end of the process, short writes all along."""

    FULL = "full"
    REFUSED = "refused"
    KILL = "kill"
    SHORT = "short"


class Layer:
    """Counts the operations under a folder; the one of this `number`, from 1, meets the fault. 0: none does."""

    def __init__(self, folder: Path, number: int = 0, kind: Kind = Kind.KILL) -> None:
        self.folder, self.number, self.kind = str(folder), number, kind
        self.count, self.met = 0, list[str]()

    def install(self) -> None:
        """Put the layer in, for good."""
        for name in ("unlink", "remove", "rmdir", "mkdir", "rename", "replace", "fsync", "truncate"):
            setattr(os, name, self._counted(name, getattr(os, name)))
        os.open = self._opened(os.open)  # type: ignore[assignment]
        opened = self._wrapped(io.open)
        io.open = builtins.open = opened

    def inside(self, path: Any) -> bool:
        """Tell whether a path leads into the folder."""
        return os.path.abspath(os.fspath(path)).startswith(self.folder)

    def meets(self, name: str, path: Any) -> bool:
        """Count an operation; tell whether a write is to be cut. Raises the fault, or ends the process."""
        if not (isinstance(path, int) or self.inside(path)):
            return False
        self.count += 1
        self.met.append(f"{name} {path}")
        if self.kind is Kind.SHORT or self.number == 0:
            return self.kind is Kind.SHORT
        if self.kind is Kind.FULL and self.count >= self.number and name not in FREEING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), None if isinstance(path, int) else path)
        if self.count == self.number and self.kind is Kind.REFUSED:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), None if isinstance(path, int) else path)
        if self.count == self.number and self.kind is Kind.KILL:
            if name == "write":
                return True
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any, *given: Any, **named: Any) -> Any:
            relative = isinstance(path, str) and named.get("dir_fd") is not None
            self.meets(name, f"{self.folder}/.../{path}" if relative else path)
            return real(path, *given, **named)

        return operation

    def _opened(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(path: Any, flags: int, *given: Any, **named: Any) -> Any:
            if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                self.meets("open", path)
            return real(path, flags, *given, **named)

        return opening

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        layer = self

        class Raw(io.FileIO):
            """A file whose writes are counted."""

            def write(self, content: Any) -> int:
                if not layer.meets("write", self.name):
                    return super().write(content)
                view = memoryview(content).cast("B")
                written = super().write(view[: max(len(view) // 2, 1)])
                if layer.kind is Kind.KILL:
                    os.kill(os.getpid(), signal.SIGKILL)
                return written

        def opening(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
            if isinstance(file, int) or not layer.inside(file) or not set(mode) & set("wax+"):
                return real(file, mode, *given, **named)
            layer.meets("open", file)
            raw = Raw(os.fspath(file), mode.replace("b", "").replace("t", ""))
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            encoding = named.get("encoding", given[1] if len(given) > 1 else None)
            return io.TextIOWrapper(buffered, encoding, named.get("errors"), named.get("newline"))

        return opening
