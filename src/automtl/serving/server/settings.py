"""Settings of a server: what it joins, and what it refuses."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.tables.entries import CONFIG


@settings_dataclass(frozen=True, config=CONFIG)
class ServerSettings:
    """Limits of a server, and how it joins requests to batches.

    `max_batch`: rows that are scored together, if they are of several requests; `max_wait_ms`: how long a batch that is
    not full waits for more requests while there is a queue (a request that finds none is scored at once).
    `max_rows`, `max_body_mb`: of one request. `max_queue`: requests of one model that wait; more get status 503 and the
    time to wait in Retry-After. `timeout_s`: for the body of a request to come, and again for its scores; later ones
    get 408 or 504. `watch_s`: how often folders are looked at, and loaded again if they have changed; None for never.
    `events`: a folder or `redis://` address that keeps the events of each model, by name; `label_wait_s`: how long
    labels are waited for beyond their delay.
    """

    max_batch: int = Limit(default=256, ge=1)
    max_wait_ms: float = Limit(default=0.0, ge=0, le=10_000)
    max_rows: int = Limit(default=10_000, ge=1)
    max_body_mb: float = Limit(default=16.0, gt=0)
    max_queue: int = Limit(default=1000, ge=1)
    timeout_s: float = Limit(default=30.0, gt=0)
    watch_s: float | None = Limit(default=None, gt=0)
    events: str | None = None
    label_wait_s: float = Limit(default=3600.0, ge=0)

    @property
    def max_body_bytes(self) -> int:
        """The largest body of a request, after decompression, too."""
        return int(self.max_body_mb * 2**20)
