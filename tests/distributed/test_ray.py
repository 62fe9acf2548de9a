"""Work and processes on a Ray cluster of this machine. Without Ray nothing of it runs; see `make cluster`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("ray", reason="needs pip install 'automtl[cluster]'")

from automtl.distributed.cluster import Cluster, joined
from automtl.distributed.processes import Group, find_room
from automtl.errors import ClusterError, SchemaError

SAYING = "import os, sys; print(os.environ['RANK']); print('no', file=sys.stderr); sys.exit(3)"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with joined("local") as found:
        yield found


def half(number: int) -> float:
    if number < 0:
        raise SchemaError(f"{number} is below 0")
    return number / 2


def test_results_come_in_the_order_of_the_items(cluster: Cluster) -> None:
    assert list(cluster.in_order(half, range(9))) == [number / 2 for number in range(9)]
    with pytest.raises(SchemaError, match="^-1 is below 0$"):
        list(cluster.in_order(half, [1, -1]))


def test_a_process_says_here_what_it_says_and_takes_signals(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    group = Group(cluster, 1)
    try:
        (saying,) = group.start(["-c", SAYING], [{"RANK": "7"}])
        assert saying.wait() == saying.returncode == 3
        assert capsys.readouterr() == ("7\n", "no\n")
        (waiting,) = group.start(["-c", "import time; time.sleep(600)"], [{}])
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait() == -signal.SIGTERM
        (lost,) = group.start(["-c", "import time; time.sleep(600)"], [{}])
        ray.kill(group.runners[0])
        assert lost.wait() == -signal.SIGKILL
    finally:
        group.leave()


def test_where_there_is_no_room_it_is_said_or_there_are_fewer(cluster: Cluster) -> None:
    hasty, all_of_it = replace(cluster, patience=1.0), cluster.cpus
    with pytest.raises(ClusterError, match=f"no room for {all_of_it + 1} processes for 1 s"):
        Group(hasty, all_of_it + 1)
    with pytest.raises(ClusterError, match=f"no room for {all_of_it + 1} processes for 1 s"):
        find_room(hasty, all_of_it + 1, all_of_it + 2, before=0)
    group = find_room(hasty, 1, all_of_it + 1, before=all_of_it + 1)
    assert group.count == all_of_it
    group.leave()
