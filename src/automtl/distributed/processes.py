"""Processes on the nodes of a Ray cluster, used as those of this machine are: looked at, sent signals, ended.

Each is the child of an actor with a CPU of its own, and a graphics card where there is one for each. What it says is
said here. It ends with its actor, which ends with us.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from automtl.distributed.cluster import Cluster
from automtl.errors import ClusterError
from automtl.system.children import ends_with_parent

BEGIN = 60.0  # seconds that the first process has to begin at least, once there is room
LOOK = 0.25  # seconds between two looks at a process


class Runner:
    """Holds one process on a node."""

    def __init__(self) -> None:
        self.files = TemporaryFile(), TemporaryFile()  # noqa: SIM115  # until the node ends this
        self.process: subprocess.Popen[bytes] | None = None

    def meeting(self) -> tuple[str, str]:
        """Return an address and a port of this node, at which processes may meet."""
        import ray

        address: str = ray.util.get_node_ip_address()
        with socket.socket() as free:
            free.bind(("", 0))
            return address, str(free.getsockname()[1])

    def start(self, arguments: Sequence[str], environment: dict[str, str], folder: str) -> bool:
        """Start Python with these arguments; tell whether the folder is there to start it in."""
        if not Path(folder).is_dir():
            return False
        self.process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=self.files[0], stderr=self.files[1], preexec_fn=ends_with_parent(),
        )  # fmt: skip
        return True

    def look(self, read: tuple[int, int]) -> tuple[int | None, list[bytes]]:
        """Return the exit code, None as long as it runs, and what it has said and complained of since so many bytes."""
        assert self.process is not None
        code = self.process.poll()
        return code, [os.pread(file.fileno(), 1 << 20, start) for file, start in zip(self.files, read, strict=True)]

    def send(self, number: int) -> None:
        """Send a signal."""
        if self.process is not None:
            self.process.send_signal(number)


class RemoteProcess:
    """One process on a node. A node that is lost counts as a process that was killed."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.returncode: int | None = None
        self.read = (0, 0)  # bytes of what it has said, and complained of

    def poll(self) -> int | None:
        """Return the exit code, None as long as it runs; say what it has said."""
        import ray

        if self.returncode is None:
            try:
                code, said = ray.get(self.runner.look.remote(self.read))
            except ray.exceptions.RayActorError:
                code, said = -int(signal.SIGKILL), [b"", b""]
            for stream, text in zip((sys.stderr, sys.stdout), reversed(said), strict=True):  # results come last
                stream.write(text.decode(errors="replace"))
                stream.flush()
            self.read = (self.read[0] + len(said[0]), self.read[1] + len(said[1]))
            if not any(said):
                self.returncode = code
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        import ray

        try:
            ray.get(self.runner.send.remote(number))
        except ray.exceptions.RayActorError:
            self.returncode = -int(signal.SIGKILL)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        while (code := self.poll()) is None:
            time.sleep(LOOK)
        return code


class Group:
    """Room for so many processes on a cluster, all or none, until left. Raises ClusterError where none comes free."""

    def __init__(self, cluster: Cluster, count: int) -> None:
        import ray
        from ray.util.placement_group import placement_group

        self.asked = {"CPU": 1.0} | ({"GPU": 1.0} if cluster.share(count)["num_gpus"] else {})
        self.room = placement_group([self.asked] * count, strategy="PACK")
        self.count, self.runners = count, list[Any]()
        end = time.monotonic() + cluster.patience
        try:
            ray.get(self.room.ready(), timeout=cluster.patience)
            self.runners = [_runner(self.room, n, self.asked) for n in range(count)]
            left = max(end - time.monotonic(), BEGIN)
            self.meeting: tuple[str, str] = ray.get(self.runners[0].meeting.remote(), timeout=left)
        except (ray.exceptions.GetTimeoutError, ray.exceptions.RayActorError):
            self.leave()
            raise ClusterError(
                f"the Ray cluster at '{cluster.address}' had no room for {count} processes for "
                f"{cluster.patience:.0f} s; see to it, and give the same command again"
            ) from None

    def start(self, arguments: Sequence[str], environments: Sequence[dict[str, str]]) -> list[RemoteProcess]:
        """Start a process for each environment, in the folder of this one, which all nodes have to see."""
        import ray

        given = zip(self.runners, environments, strict=True)
        begun = [one.start.remote(arguments, environment, str(Path.cwd())) for one, environment in given]
        try:
            there = all(ray.get(begun))
        except ray.exceptions.RayActorError:
            there = True  # a node is lost already: whoever looks at its process finds it killed
        if not there:
            raise ClusterError(
                f"a node of the Ray cluster has no folder '{Path.cwd()}'; begin in one that all nodes see"
            )
        return [RemoteProcess(one) for one in self.runners]

    def leave(self) -> None:
        """End all that is left of the processes, and give back the room."""
        import ray
        from ray.util.placement_group import remove_placement_group

        for one in self.runners:
            ray.kill(one)
        remove_placement_group(self.room)


def find_room(cluster: Cluster, least: int, most: int, before: int) -> Group:
    """Find room for as many processes as there can be now, at most `most`.

    `before`: how many there were until they were lost, which are waited for as long as the cluster's patience; then
    those are taken that there is room for. Raises ClusterError where it is less than `least`.
    """
    count = max(min(most, int(cluster.present().get("CPU", 0))), min(before, most), least)
    try:
        return Group(cluster, count)
    except ClusterError:
        fewer = min(int(cluster.free().get("CPU", 0)), count - 1)
        if fewer < least:
            raise
    return Group(cluster, fewer)


def _runner(room: Any, place: int, asked: dict[str, float]) -> Any:
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    strategy = PlacementGroupSchedulingStrategy(room, placement_group_bundle_index=place)
    kind = ray.remote(scheduling_strategy=strategy, num_cpus=1, num_gpus=asked.get("GPU", 0))(Runner)
    return kind.remote()
