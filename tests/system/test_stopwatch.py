"""Every second of a computation is that of one stage."""

from __future__ import annotations

import pytest

from automtl.system.stopwatch import REST, current_stopwatch, measured, timed


def spend(now: list[float]) -> None:
    now[0] += 0.5
    raise ValueError("half a second")


def test_stages_add_up_to_the_whole_also_where_a_block_raises() -> None:
    with measured() as watch:
        now = [0.0]
        watch.clock, watch._last = lambda: now[0], 0.0
        with timed("training"):
            now[0] += 2
            with pytest.raises(ValueError, match="half"), timed("selection"):
                spend(now)
            now[0] += 1
        now[0] += 0.25
        assert watch.seconds() == {REST: 0.25, "training": 3.0, "selection": 0.5}
        assert sum(watch.seconds().values()) == now[0]


def test_nothing_is_counted_where_no_stopwatch_runs() -> None:
    with timed("training"):
        assert current_stopwatch() is None
