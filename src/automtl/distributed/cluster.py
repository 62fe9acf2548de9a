"""A Ray cluster that is there, or one of this machine alone, joined for as long as a command takes.

Ray is an extra, `automtl[cluster]`, and imported only here and where a cluster has been joined.
"""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from automtl.errors import ClusterError, brief

ADDRESS = re.compile(r"(?:ray://)?(?P<host>[^\s:/]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
HERE = ("local", "auto")  # addresses that name no host
REACHED_IN = 5.0  # seconds, or a host does not answer
PATIENCE = "AUTOMTL_CLUSTER_PATIENCE"  # names the seconds for which work waits until there is room for it
PATIENT = 300.0  # where it is not set
AHEAD = 2  # items for each CPU that are at work, or wait for it
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """A cluster that was joined. `cpus`, `gpus`: of all its nodes then, in use or not.

    `patience`: the seconds for which work waits until there is room for it.
    """

    address: str
    cpus: int
    gpus: int
    patience: float = PATIENT

    def present(self) -> dict[str, float]:
        """Return what all its nodes have now, in use or not, by the names of Ray: CPU, GPU."""
        import ray

        found: dict[str, float] = ray.cluster_resources()
        return found

    def free(self) -> dict[str, float]:
        """Return what is not in use now, by the names of Ray."""
        import ray

        found: dict[str, float] = ray.available_resources()
        return found

    def require(self, count: int, option: str) -> None:
        """Check that so many processes can run side by side, each on a CPU of its own. Raises ClusterError."""
        if count > self.cpus:
            raise ClusterError(
                f"{option} {count}: the Ray cluster at '{self.address}' has {self.cpus} CPUs, and each process needs "
                "one; give fewer, or add nodes"
            )

    def share(self, count: int) -> dict[str, float]:
        """Return what each of so many processes asks of Ray: a CPU, and a graphics card where there is one for each."""
        return {"num_cpus": 1, "num_gpus": 1 if 0 < count <= self.gpus else 0}

    def in_order(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results in the order of the items, which the nodes work on; what a lost node had is done again.

        Raises what the work raises, and ClusterError where Ray has lost an item for good.
        """
        import ray

        task, sent = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_apply), ray.put(work)

        def result(waiting: deque[Any]) -> Result:
            try:
                found: Result = ray.get(waiting.popleft())
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise ClusterError(
                    f"the Ray cluster at '{self.address}' has lost work ({brief(error)}); give the same command again"
                ) from None
            return found

        waiting = deque[Any]()
        for item in items:
            waiting.append(task.remote(sent, item))
            if len(waiting) > AHEAD * max(self.cpus, 1):
                yield result(waiting)
        while waiting:
            yield result(waiting)


def _apply(work: Callable[[Item], Result], item: Item) -> Result:
    return work(item)


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """Join the cluster at an address for the block: ray://HOST:PORT, HOST:PORT, auto, or local for a new one here.

    A cluster that this process has joined before stays joined. Raises ClusterError where there is none, or no Ray.
    """
    _check(address)
    patience = _patience()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing goes out without being asked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns of its default
    try:
        import ray
    except ImportError:
        raise ClusterError(f"--address '{address}' needs Ray; pip install 'automtl[cluster]'") from None
    own = not ray.is_initialized()
    if own:
        _join(ray, address)
    try:
        found = ray.cluster_resources()
        yield Cluster(address, int(found.get("CPU", 0)), int(found.get("GPU", 0)), patience)
    finally:
        if own:
            ray.shutdown()


def _patience() -> float:
    """Read how long work waits for room. Raises ClusterError."""
    text = os.environ.get(PATIENCE, str(PATIENT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ClusterError(f"{PATIENCE}={text}: expected a number of seconds above 0, such as 300; set it, or unset it")
    return seconds


def _check(address: str) -> None:
    """Check the form of an address, and that its host answers: Ray itself would ask for a minute, then end us."""
    if address in HERE:
        return
    found = ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > 65_535:
        raise ClusterError(
            f"--address '{address}' is none of a Ray cluster; give ray://HOST:PORT, HOST:PORT, auto, or local"
        )
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), REACHED_IN).close()
    except OSError as error:
        raise ClusterError(
            f"--address '{address}': nothing answers there ({error.strerror or error}); check the address, and that "
            "'ray start --head' has been run"
        ) from None


def _join(ray: Any, address: str) -> None:
    given: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, log_to_driver=False, logging_level="warning", **given)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        said = str(error).strip().partition("\n")[0][:300]
        raise ClusterError(
            f"--address '{address}': Ray cannot join a cluster there ({said}); check that it runs, with this version "
            "of Ray and Python on all nodes"
        ) from None
