"""Members of one kind (models, metrics, operations ...), found by a short name or an import path.

A short name is an alias of an import path; naming a member imports nothing, only `find` does.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from automtl.errors import AutomtlError, brief, suggestion
from automtl.system.trust import may_import

Member = TypeVar("Member")


@dataclass(frozen=True)
class Registry(Generic[Member]):
    """One kind of members. `kind`: its name in messages; `aliases`: short names to "package.module:Name".

    `accepts` says of an object whether it is a member, `expected` what one is, for messages; `error` is raised where
    there is no such member. `extras`: by short name, the extra of this package that it needs. Iterating gives the short
    names.
    """

    kind: str
    aliases: Mapping[str, str]
    accepts: Callable[[Any], bool]
    expected: str
    error: type[AutomtlError]
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def choices(self) -> str:
        """The short names, and the form of import paths, for help texts and messages."""
        return f'{", ".join(self.aliases)}, or "package.module:Name" for one of your own'

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases)

    def __len__(self) -> int:
        return len(self.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self.aliases

    def path(self, name: str) -> str:
        """Return the import path of a short name, or the import path given. Raises `error` where it is neither."""
        path = self.aliases.get(name, name)
        if ":" not in path:
            near = suggestion(name, self.aliases)
            raise self.error(f"{self.kind} {brief(name)} is unknown{near}; known: {self.choices}")
        return path

    def find(self, name: str) -> Member:
        """Find the member of a short name or an import path. Raises `error`, which names what there is.

        An import path that a folder names is imported only if its package is allowed (automtl.system.trust).
        """
        path = self.path(name)
        if name not in self.aliases and not may_import(path):
            package = path.partition(":")[0].partition(".")[0]
            raise self.error(
                f"{self.kind} '{name}' is code of the package '{package}', which a folder may not import by itself; "
                f"if you trust that package, add: --allow {package} (in Python: allow=['{package}'])"
            )
        found = self._import(name, path)
        if not self.accepts(found):
            raise self.error(f"{self.kind} '{name}' is not {self.expected}")
        return found  # type: ignore[no-any-return]

    def name_of(self, member: Any) -> str:
        """Return the short name of a member, or else its import path; `find` gives the member back."""
        path = f"{member.__module__}:{member.__qualname__}"
        return next((name for name, target in self.aliases.items() if target == path), path)

    def members(self) -> dict[str, Member]:
        """Find all members that have a short name."""
        return {name: self.find(name) for name in self.aliases}

    def _import(self, name: str, path: str) -> Any:
        try:
            return resolve(path)
        except (Exception, SystemExit) as error:  # whatever a user's module raises
            reason, remedy = _reason(error), _remedy(path, error)
        if name in self.extras:
            remedy = f"pip install 'automtl[{self.extras[name]}]'"
        raise self.error(f"{self.kind} '{name}' cannot be imported: {reason}; {remedy}") from None


def instance_of(path: str) -> Callable[[Any], bool]:
    """Give an `accepts` for instances of a class, which is imported only when it is asked."""
    return lambda found: isinstance(found, resolve(path))


def subclass_of(path: str) -> Callable[[Any], bool]:
    """Give an `accepts` for subclasses of a class, which is imported only when it is asked."""
    return lambda found: isinstance(found, type) and issubclass(found, resolve(path))


def resolve(path: str) -> Any:
    """Import what "package.module:Name" names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _reason(error: BaseException) -> str:
    """Say what went wrong, and where in a user's file, unless the file was not found at all."""
    if isinstance(error, AttributeError | ModuleNotFoundError | ValueError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ('{last.filename}', line {last.lineno})"


def _remedy(path: str, error: BaseException) -> str:
    """Say what to do. The working directory is not searched: a folder from somebody else must not run code."""
    top = path.partition(":")[0].split(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name != top:
        return "correct the path or the module"
    if Path(top).is_dir() or Path(f"{top}.py").is_file():
        return "the working directory is only searched if you say so: PYTHONPATH=. automtl ..."
    return "install the package, or put its folder on PYTHONPATH"
