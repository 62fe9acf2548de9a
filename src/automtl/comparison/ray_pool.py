"""Runs trials on the nodes of a Ray cluster, as a pool of processes does on one machine.

Each place for a trial is an actor with a CPU of its own, which holds a pool of one process: what is true of a process
here, that it is watched, ended and started again, is true on a node. The results come back as the content of files,
which this process writes; nodes need not see its folder, but the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from automtl._version import __version__
from automtl.comparison.process_pool import ATTEMPTS, Failure, ProcessPool
from automtl.comparison.trials import Trial, WorkerContext, run_trial, start_worker
from automtl.dataset.settings import DataLoaderSettings
from automtl.distributed.cluster import Cluster
from automtl.errors import ComparisonError
from automtl.system.files import write_whole

CLOSING = 10.0  # seconds that nodes have to remove their files


class Place:
    """Runs one trial at a time in a process of its node; the results go to a folder of the node first."""

    def __init__(self, context: WorkerContext, loader: DataLoaderSettings, hang_after: float) -> None:
        self.folder = TemporaryDirectory(prefix="automtl-")
        own = Path(self.folder.name)
        self.results, self.sent = own / "results", set[str]()
        self.results.mkdir()
        context = replace(context, store=replace(context.store, folder=self.results))
        self.pool = ProcessPool[Trial](1, run_trial, start_worker, context, loader, own / "rows", hang_after=hang_after)

    async def version(self) -> str:
        """Return the version of automtl on the node."""
        return __version__

    async def run(self, trial: Trial) -> tuple[Failure | None, dict[str, bytes]]:
        """Run a trial; return its failure, or the files with its results in the order in which they are written."""
        failure = await self.pool.run(trial)
        fresh = [one for one in self.results.iterdir() if one.name not in self.sent]
        self.sent |= {one.name for one in fresh}
        fresh.sort(key=lambda one: one.suffix == ".json")  # a result says that all is there
        return failure, {one.name: one.read_bytes() for one in fresh}

    async def close(self) -> None:
        """End the process, and remove the folder."""
        self.pool.close()
        self.folder.cleanup()


class RayPool:
    """Runs trials on a cluster, `count` at a time, until closed. `running`: the trials being run.

    A place that is lost with its node is replaced wherever a CPU is free, and its trial waits in line once more.
    """

    def __init__(
        self, cluster: Cluster, count: int, context: WorkerContext, loader: DataLoaderSettings, hang_after: float
    ) -> None:
        import ray

        self.cluster, self.count, self.folder = cluster, count, context.store.folder
        self.given = (ray.put(context), loader, hang_after)
        self.running: list[Trial] = []
        self.places: list[Any] = []  # that have begun
        self.idle = asyncio.Queue[Any]()  # of the places; None: something is broken
        self.begun: dict[asyncio.Task[None], Any] = {}  # places that are still to begin
        self.broken: ComparisonError | None = None

    async def run(self, trial: Trial, started: Callable[[], None] = lambda: None) -> Failure | None:
        """Run a trial on the next free place, first come, first served; `started` is called when it begins."""
        from ray.exceptions import RayActorError

        if not self.places and not self.begun:
            for _ in range(self.count):
                self._begin()
        for _ in range(ATTEMPTS):
            place = await self._free()
            self.running.append(trial)
            try:
                started()
                done: tuple[Failure | None, dict[str, bytes]] = await place.run.remote(trial)
            except RayActorError:
                self._replace(place)
                continue
            finally:
                self.running.remove(trial)
            self.idle.put_nowait(place)
            failure, files = done
            for name, content in files.items():
                if not (self.folder / name).is_file():
                    write_whole(self.folder / name, content)
            return failure
        return Failure("its node was lost each time; see to the cluster, and give the command again")

    async def _free(self) -> Any:
        """Wait for a place that is idle, and alive. Raises ComparisonError where there is none, and none to come."""
        from ray.exceptions import RayActorError

        while True:
            if self.broken is not None:
                self.idle.put_nowait(None)  # for the next one that waits
                raise self.broken
            try:
                place = await asyncio.wait_for(self.idle.get(), self.cluster.patience)
                if place is not None:
                    await place.version.remote()
                    return place
            except RayActorError:
                self._replace(place)
            except TimeoutError:
                if not self.running:
                    raise ComparisonError(
                        f"no CPU of the Ray cluster at '{self.cluster.address}' came free for "
                        f"{self.cluster.patience:.0f} s; end what holds them, or add nodes, and give the command again"
                    ) from None

    def _replace(self, lost: Any) -> None:
        self.places.remove(lost)
        self._begin()

    def _begin(self) -> None:
        """Let a place begin, which is idle then."""
        place = _actor().options(**self.cluster.share(self.count)).remote(*self.given)
        task = asyncio.get_running_loop().create_task(self._welcome(place))
        self.begun[task] = place
        task.add_done_callback(self.begun.pop)

    async def _welcome(self, place: Any) -> None:
        from ray.exceptions import RayError

        try:
            there = await place.version.remote()
        except RayError as error:
            self._break(
                f"a node of the Ray cluster cannot begin ({_cause(error)}); install automtl {__version__} there"
            )
        else:
            if there == __version__:
                self.places.append(place)
                self.idle.put_nowait(place)
            else:
                self._break(f"a node of the Ray cluster has automtl {there}; install {__version__}, as here")

    def _break(self, why: str) -> None:
        """Go on with the places that there are; without any, say why."""
        if not self.places:
            self.broken = ComparisonError(why)
            self.idle.put_nowait(None)

    def close(self) -> None:
        """End all places, whatever they are doing."""
        import ray

        if ray.is_initialized():
            waited = [place.close.remote() for place in self.places]
            if waited:
                ray.wait(waited, num_returns=len(waited), timeout=CLOSING)
            for place in [*self.places, *self.begun.values()]:
                ray.kill(place)


def _cause(error: Exception) -> str:
    """Return the line of an error of Ray that says most, which is the last one."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return said[-1][:300] if said else type(error).__name__


@cache
def _actor() -> Any:
    """Return the class of places as Ray begins it."""
    import ray

    return ray.remote(scheduling_strategy="SPREAD")(Place)
