"""What is said where a Ray cluster cannot be joined or has no room; a real one is that of `tests/cluster.py`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from automtl.distributed import processes
from automtl.distributed.cluster import Cluster, joined
from automtl.errors import ClusterError
from tests.test_cli import call


@pytest.mark.parametrize("address", ["", "here", "ray://", "ray://head", "head:99999", "a b:1", "http://head:1"])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match="give ray://HOST:PORT, HOST:PORT, auto, or local"), joined(address):
        pass


def test_a_host_that_does_not_answer_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"'{address}': nothing answers there"), joined(address):
            pass


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "inf", "nan"])
def test_a_patience_that_is_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMTL_CLUSTER_PATIENCE", text)
    with pytest.raises(ClusterError, match="expected a number of seconds above 0"), joined("local"):
        pass


class Room:
    """Stands for room on a cluster."""

    def __init__(self, cluster: Some, count: int) -> None:
        self.count = count
        cluster.asked.append(count)
        if count > cluster.free()["CPU"]:
            raise ClusterError("no room")


class Some(Cluster):
    """Stands for a cluster that has so many CPUs now."""

    asked: list[int]

    def present(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    free = present


@pytest.mark.parametrize(
    ("there", "before", "asked"),
    [
        (6, 0, [4]),  # at first as many as are wanted
        (3, 0, [3]),  # or as there are
        (3, 4, [4, 3]),  # one that is lost is waited for
        (3, 2, [3]),  # and may be back later
        (1, 4, [4]),
        (1, 0, [2]),
    ],
)
def test_as_many_processes_as_there_is_room_for(
    there: int, before: int, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "Group", Room)
    cluster = Some("head:1", there, 0)
    object.__setattr__(cluster, "asked", [])
    if there < 2:
        with pytest.raises(ClusterError, match="no room"):
            processes.find_room(cluster, 2, 4, before)
    else:
        assert processes.find_room(cluster, 2, 4, before).count == asked[-1]
    assert cluster.asked == asked


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"needs Ray; pip install 'automtl\[cluster\]'"), joined("local"):
        pass


def test_a_process_needs_a_cpu_and_gets_a_graphics_card_where_all_can_have_one() -> None:
    cluster = Cluster("head:6379", cpus=4, gpus=2)
    cluster.require(4, "--jobs")
    with pytest.raises(ClusterError, match="--workers 5: the Ray cluster at 'head:6379' has 4 CPUs"):
        cluster.require(5, "--workers")
    assert [cluster.share(count)["num_gpus"] for count in (1, 2, 3)] == [1, 1, 0]


def test_mistakes_with_an_address_are_one_line_and_nothing_is_written(
    log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", str(log_file), "--task", "click", "--out", str(tmp_path / "out"), "--address", "127.0.0.1:1"]
    compare = ["compare", *fit[1:], "--models", "mmoe"]
    for command, said in ((fit, "say how many with --workers"), (compare, "nothing answers there")):
        assert call(*command) == 2
        assert said in capsys.readouterr().err
    assert call(*fit, "--workers", "2") == 2
    error = capsys.readouterr().err
    assert "nothing answers there" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
