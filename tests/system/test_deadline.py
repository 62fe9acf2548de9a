"""When long work ends with what it has."""

from __future__ import annotations

import math
from threading import Thread

import pytest

from automtl.system import deadline as module
from automtl.system.deadline import NO_DEADLINE, Deadline, current_deadline, ending


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows the one number in the list."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_it_passes_after_its_seconds(clock: list[float]) -> None:
    deadline = Deadline(10.0)
    assert not deadline.passed and deadline.seconds_left == 10.0
    clock[0] += 9.5
    assert not deadline.passed and deadline.seconds_left == 0.5
    clock[0] += 0.5
    assert deadline.passed and deadline.seconds_left == 0.0 and not deadline.stopped
    clock[0] += 5.0
    assert deadline.seconds_left == 0.0


def test_it_keeps_time_for_what_comes_after_it(clock: list[float]) -> None:
    deadline = Deadline(30.0)
    clock[0] += 4.0
    deadline.reserve(1 / 3)
    assert deadline.seconds_left == 22.0  # as long as the work before it took
    slow = Deadline(30.0)
    clock[0] += 15.0
    slow.reserve(1 / 3)
    assert slow.seconds_left == 5.0  # a third of the limit, and no more
    unlimited = Deadline()
    unlimited.reserve(0.5)
    assert math.isinf(unlimited.seconds_left)


def test_without_a_limit_it_passes_when_it_is_stopped() -> None:
    deadline = Deadline()
    assert not deadline.passed and math.isinf(deadline.seconds_left)
    deadline.stop()
    assert deadline.passed and deadline.stopped and deadline.seconds_left == 0.0


def test_a_part_is_a_share_of_what_is_left_and_stops_with_the_whole(clock: list[float]) -> None:
    whole = Deadline(100.0)
    clock[0] += 20.0
    part = whole.part(0.25)
    assert part.seconds_left == 20.0
    clock[0] += 20.0
    assert part.passed and not part.stopped and not whole.passed
    other = whole.part(0.5)
    whole.stop()
    assert other.passed and other.stopped
    assert math.isinf(Deadline().part(0.5).seconds_left)


def test_stopping_a_part_leaves_the_whole() -> None:
    whole = Deadline()
    part = whole.part(0.5)
    part.stop()
    assert part.passed and not whole.passed


def test_work_in_a_block_sees_the_deadline_of_the_innermost_block() -> None:
    assert current_deadline() is NO_DEADLINE
    with ending(Deadline(5.0)) as outer:
        assert current_deadline() is outer
        with ending(outer.part(0.5)) as inner:
            assert current_deadline() is inner
        assert current_deadline() is outer
        with pytest.raises(KeyError), ending(Deadline()):
            raise KeyError
        assert current_deadline() is outer
    assert current_deadline() is NO_DEADLINE and not NO_DEADLINE.passed


def test_another_thread_has_a_deadline_of_its_own() -> None:
    seen: list[Deadline] = []
    with ending(Deadline(5.0)):
        other = Thread(target=lambda: seen.append(current_deadline()))
        other.start()
        other.join()
    assert seen == [NO_DEADLINE]
