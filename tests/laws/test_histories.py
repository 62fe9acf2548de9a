"""Histories are what a plain loop over the earlier rows of a log finds, on every road, whatever the log is like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log, log1p, log2
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from automtl.histories.decay import BLOCK, STEPS
from automtl.histories.plan import KINDS, LEVELS, SECOND, KeyPlan, Outcome, Plan
from automtl.histories.rows import Rows, fingerprint
from automtl.histories.sequences import last_events
from automtl.histories.state import State
from automtl.histories.statistics import inputs
from automtl.tables.values.times import NO_TIME

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
KEYS = (("user",), ("item",), ("user", "item"))
DELAYS = (0, 3 * SECOND, 40 * SECOND)


@dataclass(frozen=True)
class Case:
    """A plan and a log for it."""

    plan: Plan
    rows: Rows


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw logs with ties, without times, keys and labels, and with rows that are no events."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows, outcomes = draw(st.integers(0, 60)), draw(st.integers(0, 3))
    step, span = draw(st.sampled_from([1, SECOND, 7 * SECOND])), draw(st.integers(1, 40))
    begin = draw(st.sampled_from([0, 1_700_000_000 * SECOND]))
    time = (begin + rng.integers(-span, span, rows) * step).astype(np.int64)
    time[rng.random(rows) < draw(st.sampled_from([0.0, 0.1]))] = NO_TIME
    binary = [bool(rng.integers(2)) for _ in range(outcomes)]
    delays = [int(rng.choice(DELAYS[: draw(st.integers(1, 3))])) for _ in range(outcomes)]
    made = tuple(
        Outcome(f"o{place}", one, delay, prior=round(float(rng.random()), 3))
        for place, (one, delay) in enumerate(zip(binary, delays, strict=True))
    )
    plan = Plan(
        tuple(KeyPlan(key, KINDS) for key in KEYS), made,
        tuple(int(span * step * share) + 1 for share in draw(st.sampled_from([(), (0.02,), (0.1, 0.7, 3.0)]))),
        last=draw(st.integers(1, 4)), session=span * step // 10,
        smoothings=draw(st.sampled_from([(1.0,), (20.0, 3.0)])), sequence=(0, draw(st.integers(1, 5))),
        horizon=span * step * 3 // 2,
    )  # fmt: skip
    values = [rng.integers(0, one.levels + 1, rows) for one in made]
    return Case(
        plan,
        Rows(
            time, rng.integers(0, draw(st.integers(2, 6)), (len(KEYS), rows)),
            np.stack(values, axis=1) if made else np.zeros((rows, 0), np.int64), rng.random((rows, outcomes)) < 0.8,
            rng.random(rows) < 0.9, rng.integers(2, 9, (2, rows)).astype(np.int32),
        ),
    )  # fmt: skip


def earlier(case: Case, place: int, row: int, items: bool = False) -> list[int]:
    """Return the events of a row's key before the row, oldest first; those of a time by items, then by outcomes."""
    rows, key, now = case.rows, case.rows.keys[place][row], case.rows.time[row]
    return sorted(
        (
            other
            for other in range(len(rows))
            if rows.event[other] and key != 0 and rows.keys[place][other] == key and NO_TIME < rows.time[other] < now
        ),
        key=lambda other: (rows.time[other], tuple(rows.items[:, other]) if items else (), tie_order(case, other)),  # type: ignore[index]
    )


def tie_order(case: Case, row: int) -> list[int]:
    """Return hashes of the outcomes of a row, those of the shortest delay first."""
    delays = [outcome.delay for outcome in case.plan.outcomes]
    groups = [[place for place, one in enumerate(delays) if one == delay] for delay in sorted(set(delays))]
    values, known = (one[row : row + 1] for one in (case.rows.values, case.rows.known))
    return [int(fingerprint(values[:, group], known[:, group])[0]) for group in groups]


def known(case: Case, events: list[int], column: int, row: int) -> list[int]:
    """Return the events of which an outcome is there and known by the time of the row."""
    delay, rows = case.plan.outcomes[column].delay, case.rows
    return [one for one in events if rows.known[one, column] and int(rows.time[one]) + delay < int(rows.time[row])]


def growth(time: int, half_life: int) -> int:
    """Return the whole number that grows by 2 in a half-life, and begins anew with each block of them."""
    step = time % half_life * STEPS // half_life
    return round(2**11 * 2 ** (step / STEPS)) << (time // half_life % BLOCK)


def decayed(case: Case, events: list[int], half_life: int, row: int, terms: list[int]) -> float:
    """Return the sum of terms, each halved with each half-life, of events of the row's block and the one before."""
    now, total = int(case.rows.time[row]), 0
    for event, term in zip(events, terms, strict=True):
        time = int(case.rows.time[event])
        back = now // half_life // BLOCK - time // half_life // BLOCK
        if back < 2:
            total += (growth(time, half_life) << BLOCK * (1 - back)) * term
    return total / (growth(now, half_life) << BLOCK)


def score(outcome: Outcome, mean: float) -> float:
    safe = min(max(mean, 1e-6), 1 - 1e-6)
    return log(safe / (1 - safe)) if outcome.binary else mean


def expected(case: Case, place: int, row: int) -> list[float]:
    """Return the inputs of a row by the definitions, event by event."""
    plan, rows, now = case.plan, case.rows, int(case.rows.time[row])
    events, smoothing = earlier(case, place, row), case.plan.smoothings[0]
    of = [known(case, events, column, row) for column in range(len(plan.outcomes))]
    shares = [
        [int(rows.values[one, column]) / outcome.levels for one in of[column]]
        for column, outcome in enumerate(plan.outcomes)
    ]
    smoothed = [
        [
            (sum(share) + one * outcome.prior) / (len(share) + one)
            for share, outcome in zip(shares, plan.outcomes, strict=True)
        ]
        for one in plan.smoothings
    ]
    means, found = smoothed[0], [log1p(len(events))]
    found += [score(outcome, mean) for own in smoothed for outcome, mean in zip(plan.outcomes, own, strict=True)]
    for half_life in plan.half_lives:
        found.append(log1p(decayed(case, events, half_life, row, [1] * len(events))))
        for column, outcome in enumerate(plan.outcomes):
            wholes = [int(rows.values[one, column]) for one in of[column]]
            total = decayed(case, of[column], half_life, row, wholes) / outcome.levels
            number = decayed(case, of[column], half_life, row, [1] * len(wholes))
            found.append(score(outcome, (total + smoothing * means[column]) / (number + smoothing)))
    positives = [
        [one for one in of[column] if rows.values[one, column] > 0]
        for column, outcome in enumerate(plan.outcomes)
        if outcome.binary
    ]
    for marked in (events, *positives):
        gap = now - max((int(rows.time[one]) for one in marked), default=-inf)
        found.append(log1p(min(gap, plan.horizon) / SECOND))
    for back in range(plan.last):
        for share, outcome in zip(shares, plan.outcomes, strict=True):
            found.append(share[-1 - back] - outcome.prior if back < len(share) else 0.0)
    return found + session(plan, [int(rows.time[one]) for one in events], now)


def session(plan: Plan, times: list[int], now: int) -> list[float]:
    """Return position and time within the session: walk back until a gap is too long."""
    position, begin = 0, now
    for time in reversed(times):
        if begin - time > plan.session:
            break
        position, begin = position + 1, time
    return [log1p(position), log1p((now - begin) / SECOND)]


def expected_events(case: Case, row: int) -> list[list[int]]:
    """Return the ids of the last events of a row, by aspect."""
    rows, plan, (place, length) = case.rows, case.plan, case.plan.sequence or (0, 0)
    events = earlier(case, place, row, items=True)[-length:]
    found = [[0] * (length - len(events)) for _ in range(2 + len(plan.outcomes) + 1)]
    for event in events:
        age = int(rows.time[row]) - int(rows.time[event])
        codes = []
        for column, outcome in enumerate(plan.outcomes):
            value = int(rows.values[event, column])
            code = value if outcome.binary else min(value * 4 // LEVELS, 3)
            codes.append(2 + code if rows.known[event, column] and age > outcome.delay else 1)
        ids = [*(int(one) for one in rows.items[:, event]), *codes, 1 + min(int(log2(1 + age // SECOND)), 30)]  # type: ignore[index]
        for aspect, one in zip(found, ids, strict=True):
            aspect.append(one)
    return found


@given(cases())
@settings(max_examples=60, deadline=None, phases=PHASES)
def test_every_statistic_is_what_a_loop_over_earlier_rows_finds(case: Case) -> None:
    for place in range(len(KEYS)):
        found = inputs(case.plan, place, case.rows)
        assert found.shape == (len(case.rows), len(case.plan.names(place)))
        for row in range(len(case.rows)):
            np.testing.assert_allclose(found[row], expected(case, place, row), rtol=1e-6, atol=1e-6)


@given(cases())
@settings(max_examples=60, deadline=None, phases=PHASES)
def test_sequences_are_the_last_events_before_a_row(case: Case) -> None:
    found = last_events(case.plan, case.rows).ids()
    for row in range(len(case.rows)):
        assert [one[row].tolist() for one in found] == expected_events(case, row)


@given(cases())
@settings(max_examples=6, deadline=None, phases=PHASES)
def test_what_is_not_known_yet_changes_nothing(case: Case) -> None:
    delays = np.array([outcome.delay for outcome in case.plan.outcomes], np.int64)
    for row in np.flatnonzero(case.rows.time != NO_TIME):
        over = case.rows.time[:, None] + delays < case.rows.time[row]
        blind, one = replace(case.rows, known=case.rows.known & over), np.array([row])
        for place in range(len(KEYS)):
            wanted = inputs(case.plan, place, case.rows, None, one)
            np.testing.assert_array_equal(inputs(case.plan, place, blind, None, one), wanted)
        wanted = last_events(case.plan, case.rows, None, one).ids()
        for ids, other in zip(last_events(case.plan, blind, None, one).ids(), wanted, strict=True):
            np.testing.assert_array_equal(ids, other)


def parts(case: Case, rng: np.random.Generator, pieces: int) -> list[Rows]:
    """Cut a log by time into pieces whose rows are shuffled; events that are equal stay together."""
    order = np.lexsort((case.rows.identity, case.rows.time))
    whole = np.stack([case.rows.time.view(np.uint64), case.rows.identity])[:, order]
    number = np.cumsum(np.r_[True, (whole[:, 1:] != whole[:, :-1]).any(0)][: len(order)])
    edges = np.sort(rng.integers(0, len(order) + 1, pieces - 1)) if len(order) else np.zeros(pieces - 1, int)
    piece = np.searchsorted(edges, number)
    return [case.rows.take(rng.permutation(order[piece == one])) for one in range(pieces)]


def same(one: State, other: State) -> None:
    first, second = one.to_arrays(), other.to_arrays()
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, phases=PHASES)
def test_a_state_and_new_rows_say_what_the_whole_log_says(case: Case, seed: int) -> None:
    old, new = parts(case, np.random.default_rng(seed), 2)
    state, taken = State.empty(case.plan).update(case.plan, old)
    assert taken.events == np.count_nonzero(old.event & (old.time != NO_TIME))
    state = State.from_arrays(case.plan, state.to_arrays())
    every, chosen = Rows.joined([old, new]), np.arange(len(old), len(old) + len(new))
    for place in range(len(KEYS)):
        whole = inputs(case.plan, place, every, None, chosen)
        np.testing.assert_array_equal(inputs(case.plan, place, new, state), whole)
    whole = last_events(case.plan, every, None, chosen).ids()
    for one, other in zip(last_events(case.plan, new, state).ids(), whole, strict=True):
        np.testing.assert_array_equal(one, other)


@given(cases())
@settings(max_examples=10, deadline=None, phases=PHASES)
def test_rows_that_come_one_at_a_time_get_the_inputs_of_the_whole_log(case: Case) -> None:
    state = State.empty(case.plan)
    for row in np.lexsort((case.rows.identity, case.rows.time)):
        one = case.rows.take(np.array([row]))
        for place in range(len(KEYS)):
            whole = inputs(case.plan, place, case.rows, None, np.array([row]))
            np.testing.assert_array_equal(inputs(case.plan, place, one, state), whole)
        state, taken = state.update(case.plan, one)
        assume(taken.repeated == 0)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, phases=PHASES)
def test_ten_updates_are_one(case: Case, seed: int) -> None:
    once, taken = State.empty(case.plan).update(case.plan, case.rows)
    state, events = State.empty(case.plan), 0
    for piece in parts(case, np.random.default_rng(seed), 10):
        state, more = state.update(case.plan, piece)
        assert more.late == more.repeated == 0
        events += more.events
    assert events == taken.events
    same(state, once)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, phases=PHASES)
def test_late_and_repeated_events_change_nothing(case: Case, seed: int) -> None:
    state, taken = State.empty(case.plan).update(case.plan, case.rows)
    again, more = state.update(case.plan, case.rows.take(np.random.default_rng(seed).permutation(len(case.rows))))
    same(again, state)
    newest = case.rows.event & (case.rows.time == state.newest) & (state.newest != NO_TIME)
    assert more.events == 0 and more.repeated == np.count_nonzero(newest)
    assert more.late == taken.events - more.repeated


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, phases=PHASES)
def test_later_rows_change_no_earlier_input(case: Case, seed: int) -> None:
    rng, rows = np.random.default_rng(seed), case.rows
    edge = rng.choice(rows.time) if len(rows) else 0
    later = rows.time >= edge
    poisoned = replace(
        rows, values=np.where(later[:, None], 0, rows.values), known=rows.known ^ later[:, None],
        event=rows.event ^ later, keys=np.where(later, rng.integers(0, 6, rows.keys.shape), rows.keys),
    )  # fmt: skip
    before = np.flatnonzero(rows.time <= edge)
    keys = poisoned.keys
    for place in range(len(KEYS)):
        asked = before[keys[place][before] == rows.keys[place][before]]
        np.testing.assert_array_equal(
            inputs(case.plan, place, rows, None, asked), inputs(case.plan, place, poisoned, None, asked)
        )


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None, phases=PHASES)
def test_neither_order_nor_company_of_rows_matters(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(case.rows))
    for place in range(len(KEYS)):
        whole = inputs(case.plan, place, case.rows)
        np.testing.assert_array_equal(inputs(case.plan, place, case.rows.take(order)), whole[order])
        for row in order[:10]:
            np.testing.assert_array_equal(inputs(case.plan, place, case.rows, None, np.array([row])), whole[[row]])


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None, phases=PHASES)
def test_frozen_histories_end_with_the_state(case: Case, seed: int) -> None:
    old, new = parts(case, np.random.default_rng(seed), 2)
    plan = replace(case.plan, frozen=True)
    state, _ = State.empty(plan).update(plan, old)
    silent = replace(new, event=np.zeros(len(new), bool))
    for place in range(len(KEYS)):
        np.testing.assert_array_equal(inputs(plan, place, new, state), inputs(case.plan, place, silent, state))


@pytest.mark.parametrize("age", [0.1, 1.0, 3.3, 11.9])
def test_the_decay_is_near_the_exponential(age: float) -> None:
    half_life = 1000 * SECOND
    rng = np.random.default_rng(0)
    for start in rng.integers(0, 100 * half_life, 50):
        event = Rows(
            np.array([start, start + int(age * half_life)]), np.ones((1, 2), np.int64), np.zeros((2, 0), np.int64),
            np.zeros((2, 0), bool), np.ones(2, bool),
        )  # fmt: skip
        plan = Plan((KeyPlan(("user",), ("recent",)),), (), (half_life,))
        np.testing.assert_allclose(np.expm1(inputs(plan, 0, event)[1, 0]), 2.0**-age, rtol=1e-3)


def damaged(arrays: dict[str, np.ndarray], name: str) -> list[Any]:
    array = arrays[name]
    return [array[..., None], array.astype(np.float64)]


@given(cases())
@settings(max_examples=5, deadline=None, phases=PHASES)
def test_a_damaged_state_is_named(case: Case) -> None:
    from automtl.errors import FileError

    arrays = State.empty(case.plan).update(case.plan, case.rows)[0].to_arrays()
    for name in arrays:
        for wrong in damaged(arrays, name):
            with pytest.raises(FileError, match=name):
                State.from_arrays(case.plan, arrays | {name: wrong})
    with pytest.raises(FileError, match=r"'foreign'"):
        State.from_arrays(case.plan, arrays | {"foreign": np.zeros(3)})
