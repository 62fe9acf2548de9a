"""Problems of a request, as a status and a message; nothing else about an error reaches a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Problem(Exception):
    """A request cannot be answered. `status`: of HTTP; `message`: what is wrong and the remedy."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message


def malformed(message: str) -> Problem:
    """Return the problem of a body that cannot be read."""
    return Problem(400, message)


def busy(message: str, seconds: int = 1) -> Problem:
    """Return the problem of a server that cannot take a request now, with the seconds after which to try again."""
    return Problem(503, message, {"Retry-After": str(seconds)})
