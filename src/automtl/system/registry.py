"""Members of one kind (models, metrics, operations ...), found by a short name or an import path.

A short name is an alias of an import path; naming a member imports nothing, only `find` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from automtl.errors import AutomtlError, suggestion

Member = TypeVar("Member")


@dataclass(frozen=True)
class Registry(Generic[Member]):
    """One kind of members. `kind`: its name in messages; `aliases`: short names to "package.module:Name".

    `accepts` says of an object whether it is a member, `expected` what one is, for messages; `error` is raised where
    there is no such member. Iterating gives the short names.
    """

    kind: str
    aliases: Mapping[str, str]
    accepts: Callable[[Any], bool]
    expected: str
    error: type[AutomtlError]

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases)

    def __len__(self) -> int:
        return len(self.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self.aliases

    def find(self, name: str) -> Member:
        """The member of a short name or an import path. Raises `error`, which names what there is."""
        path = self.aliases.get(name, name)
        if ":" not in path:
            known = ", ".join(self.aliases)
            raise self.error(
                f"{self.kind} '{name}' is unknown{suggestion(name, self.aliases)}; known: {known}, "
                'or "package.module:Name" for one of your own'
            )
        found = self._import(path)
        if not self.accepts(found):
            raise self.error(f"{self.kind} '{name}' is not {self.expected}")
        return found  # type: ignore[no-any-return]

    def name_of(self, member: Any) -> str:
        """The short name of a member that has one, else its import path; `find` gives the member back."""
        path = f"{member.__module__}:{member.__qualname__}"
        return next((name for name, target in self.aliases.items() if target == path), path)

    def members(self) -> dict[str, Member]:
        """All members with a short name."""
        return {name: self.find(name) for name in self.aliases}

    def _import(self, path: str) -> Any:
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, ValueError) as error:
            reason = str(error)
        except AttributeError:
            reason = f"the module has no '{attribute}'"
        raise self.error(
            f"{self.kind} '{path}' cannot be imported: {reason}; "
            "install the package, or put its folder on PYTHONPATH, and check the path"
        ) from None
