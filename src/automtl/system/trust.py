"""Which packages the names in a folder may import: none, unless the user names them.

A folder may come from somebody else. A name such as "package.module:Name" in it would import a module, which runs code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from automtl.errors import SettingsError

_allowed: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())
_reading: ContextVar[bool] = ContextVar("reading", default=False)


@contextmanager
def allowing(packages: Collection[str]) -> Iterator[None]:
    """Allow names in folders to import these packages, too, while the block runs. Raises SettingsError for no name.

    >>> from automtl.system.trust import allowing, may_import, names_of_folder
    >>> with names_of_folder(), allowing(["my_package"]):
    ...     may_import("my_package.layers:Mine"), may_import("antigravity:X")
    (True, False)
    """
    for name in [packages] if isinstance(packages, str) else packages:
        if not all(part.isidentifier() for part in name.split(".")):
            raise SettingsError(f"'{name}' is no name of a package to allow; write it as in an import: my_package")
    names = frozenset([packages] if isinstance(packages, str) else packages)
    token = _allowed.set(_allowed.get() | names)
    try:
        yield
    finally:
        _allowed.reset(token)


@contextmanager
def names_of_folder() -> Iterator[None]:
    """Take the names that are looked up while the block runs as names from a folder."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def may_import(path: str) -> bool:
    """Tell whether "package.module:Name" may be imported now."""
    module = path.partition(":")[0]
    return not _reading.get() or any(f"{module}.".startswith(f"{name}.") for name in _allowed.get())
