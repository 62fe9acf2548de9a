"""Histories of tables: what a row knows is the same on every road, and never of its own time or later."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import numpy as safe_numpy
from sklearn.metrics import roc_auc_score

from automtl.ensemble.settings import TreeSettings
from automtl.ensemble.trees import TreeModel
from automtl.errors import EncodingError, RowError, SchemaError
from automtl.features.encoder import Encoder, with_histories
from automtl.features.histories import FittedHistories, Histories, HistoryInputs, fit_histories
from automtl.features.settings import EncoderSettings
from automtl.histories.state import State
from automtl.models.settings import NetworkSettings
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings, split_table
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings

ROWS = 600
SPLIT = SplitSettings(method="time")


def timed(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Make a log of seconds with ties, missing keys and labels; a user's next click is mostly like the last one."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 25, rows), rng.integers(0, 15, rows)
    time, mood, click = np.sort(rng.integers(0, rows * 20, rows) // 7 * 7), np.zeros(25), np.zeros(rows)
    for row in range(rows):
        click[row] = rng.random() < 0.25 + 0.5 * mood[users[row]]
        mood[users[row]] = click[row]
    user = pl.Series([None if rng.random() < 0.03 else f"u{one}" for one in users])
    buy = [None if rng.random() < 0.1 else int(rng.random() < 0.3) for _ in range(rows)]
    return pl.DataFrame({
        "user": user, "item": items, "category": items // 4, "ts": 1_700_000_000 + time,
        "click": click.astype(int), "buy": buy, "watched": rng.exponential(30, rows),
    })  # fmt: skip


def schema_of(**history: object) -> Schema:
    keys = [["user"], ["item"], ["user", "category"]]
    sequence = {"key": "user", "fields": ["item", "category"], "length": 4}
    fields = [{"name": name, "kind": "categorical"} for name in ("user", "item", "category")]
    return Schema.from_dict({
        "fields": fields, "tasks": [{"name": "click"}, {"name": "buy", "condition": "click = 1"}], "time": "ts",
        "outcomes": ["watched"], "history": {"keys": keys, "sequence": sequence, "unit": "s", **history},
    })  # fmt: skip


def fitted(log: pl.DataFrame, schema: Schema) -> tuple[FittedHistories, Encoder]:
    """Fit histories on a log whose first 60 % are training rows, and an encoder that has their state."""
    part = np.repeat([0, 1, 2], [len(log) * 6 // 10, len(log) // 10, len(log) - len(log) * 7 // 10]).astype(np.uint8)
    found = fit_histories(log, part, schema, 20.0)
    encoder, _ = Encoder.fit(log.filter(part == 0), schema, EncoderSettings(), 0, histories=found.histories)
    return found, replace(encoder, histories=found.completed(encoder.vocabularies))


def of(encoder: Encoder) -> Histories:
    assert encoder.histories is not None
    return encoder.histories


def assert_same(found: HistoryInputs, expected: HistoryInputs) -> None:
    assert np.array_equal(found.numbers, expected.numbers) and len(found.lists) == len(expected.lists)
    assert all(np.array_equal(one, other) for one, other in zip(found.lists, expected.lists, strict=True))


def same_state(one: State, other: State) -> bool:
    left, right = one.to_arrays(), other.to_arrays()
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("delay", ["0s", "90s", {"click": "1h"}])
def test_a_replay_gives_every_row_what_the_fit_gave_it_one_at_a_time_and_in_any_order(delay: object) -> None:
    log = timed()
    found, encoder = fitted(log, schema_of(label_delay=delay))
    own = found.inputs(encoder.vocabularies, slice(None))
    assert_same(of(encoder).replayed(log, log.sample(fraction=1.0, shuffle=True, seed=1), encoder.vocabularies), own)
    for row in range(0, len(log), 37):
        alone = of(encoder).replayed(log[row : row + 1].drop("click", "buy", "watched"), log, encoder.vocabularies)
        assert_same(alone, own.take(slice(row, row + 1)))


@pytest.mark.parametrize("delay", [0, 90, 4000])
def test_a_state_goes_on_as_one_run_over_the_whole_log(delay: int) -> None:
    log = timed()
    found, encoder = fitted(log, schema_of(label_delay=delay))
    empty = replace(of(encoder), state=State.empty(of(encoder).plan))
    cuts = [0, *(np.flatnonzero(np.diff(log["ts"]))[50:600:50] + 1).tolist(), len(log)]  # no time is cut apart
    for start, stop in pairwise(cuts):
        piece = log[start:stop].sample(fraction=1.0, shuffle=True, seed=start)
        order = piece.with_row_index().sort("ts", "user", "item", "watched")["index"].to_numpy()
        here = empty.of(piece, encoder.vocabularies).take(order)
        again = log[start:stop].with_row_index().sort("ts", "user", "item", "watched")["index"].to_numpy() + start
        assert_same(here, found.inputs(encoder.vocabularies, slice(None)).take(again))
        empty, taken = empty.updated(piece, encoder.vocabularies)
        assert taken.events == stop - start and taken.late == taken.repeated == 0
    assert same_state(empty.state, of(encoder).state)


def test_late_and_repeated_events_change_nothing() -> None:
    log = timed()
    _, encoder = fitted(log, schema_of())
    again, taken = of(encoder).updated(log, encoder.vocabularies)
    newest = int((log["ts"] == log["ts"].max()).sum())
    assert same_state(again.state, of(encoder).state)
    assert (taken.events, taken.late, taken.repeated) == (0, len(log) - newest, newest)


def test_later_rows_change_no_earlier_input() -> None:
    log = timed()
    found, encoder = fitted(log, schema_of(label_delay="1m"))
    own = found.inputs(encoder.vocabularies, slice(None))
    for cut in (200, 400):
        time = log["ts"][cut]
        poisoned = log.with_columns(
            pl.when(pl.col("ts") >= time).then(value).otherwise(pl.col(name)).alias(name)
            for name, value in (("click", 1 - pl.col("click")), ("buy", 1), ("watched", 1e9), ("item", 3))
        )
        asked = log.filter(pl.col("ts") <= time)
        assert_same(of(encoder).replayed(asked, poisoned, encoder.vocabularies), own.take(slice(0, len(asked))))


def test_counts_and_rates_are_those_of_a_loop_over_the_table() -> None:
    log = timed(300)
    found, _ = fitted(log, schema_of(label_delay={"buy": "1h"}))
    raw, plan, click = found.numbers, found.histories.plan, log["click"].to_list()
    mean, std = found.histories.spreads[0].mean, found.histories.spreads[0].std
    names = plan.names(0)
    events, rate = (
        names.index(("history", "user", "events")),
        names.index(("history", "user", "rate", "click", "smoothed by 30")),
    )
    user, time = log["user"].to_list(), log["ts"].to_list()
    for row in range(len(log)):
        before = [one for one in range(len(log)) if user[one] == user[row] is not None and time[one] < time[row]]
        share = (sum(click[one] for one in before) + 30 * plan.outcomes[0].prior) / (len(before) + 30)
        expected = math.log1p(len(before)), math.log(share / (1 - share))
        for place, value in zip((events, rate), expected, strict=True):
            assert raw[row, place] == pytest.approx(np.clip((value - mean[place]) / std[place], -5, 5), abs=1e-5)
    assert plan.outcomes[0].prior == pytest.approx(np.mean(click[: len(log) * 6 // 10]))


def test_frozen_histories_end_with_the_training_rows() -> None:
    log = timed()
    found, encoder = fitted(log, schema_of(frozen=True))
    train = log[: len(log) * 6 // 10]
    own = found.inputs(encoder.vocabularies, slice(len(train) + 5, None))
    assert_same(of(encoder).of(log[len(train) + 5 :], encoder.vocabularies), own)
    assert int(of(encoder).state.newest) == int(train["ts"].max()) * 1_000_000  # type: ignore[arg-type]


def test_rows_without_labels_are_no_events_and_old_rows_are_refused() -> None:
    log = timed()
    _, encoder = fitted(log[:400], schema_of())
    later = log[400:].with_columns(pl.col("ts") + 10)
    bare = of(encoder).of(later.drop("click", "buy", "watched"), encoder.vocabularies)
    alone = [of(encoder).of(later[row : row + 1], encoder.vocabularies).numbers[0] for row in range(40)]
    assert np.array_equal(bare.numbers[:40], np.stack(alone))
    assert not np.array_equal(bare.numbers, of(encoder).of(later, encoder.vocabularies).numbers)
    with pytest.raises(EncodingError, match="before the newest event that the model's histories know.*--history"):
        of(encoder).of(log[:3], encoder.vocabularies)
    with pytest.raises(SchemaError, match="task 'click': no such column"):
        of(encoder).replayed(later, log.drop("click"), encoder.vocabularies)


def test_outcome_columns_and_optional_fields_need_not_be_in_a_table_that_is_scored() -> None:
    log, schema = timed(), schema_of()
    optional = replace(schema, fields=tuple(replace(one, optional=one.name == "category") for one in schema.fields))
    _, encoder = fitted(log, optional)
    later = log.tail(50).with_columns(pl.col("ts") + 10**6)
    null = pl.lit(None)
    few = later.drop("watched", "category")
    assert_same(
        of(encoder).of(few, encoder.vocabularies),
        of(encoder).of(few.with_columns(watched=null, category=null), encoder.vocabularies),
    )
    asked = of(encoder).replayed(few.drop("click"), log, encoder.vocabularies)
    assert_same(asked, of(encoder).replayed(few.with_columns(category=null), log, encoder.vocabularies))
    with pytest.raises(SchemaError, match="outcome column 'watched': no such column"):
        of(encoder).updated(few, encoder.vocabularies)


def test_times_of_another_unit_and_impossible_labels_of_a_log_are_refused() -> None:
    log = timed()
    _, encoder = fitted(log, schema_of())
    with pytest.raises(EncodingError, match=r"'ts' holds 17.*, which is no time of these years in 's' but in 'ms'"):
        of(encoder).replayed(log.with_columns(pl.col("ts") * 1000), log, encoder.vocabularies)
    with pytest.raises(RowError, match="task 'click': labels must be 0 and 1, found 7"):
        of(encoder).updated(log.with_columns(click=7), encoder.vocabularies)


def test_outcomes_may_be_truths_in_words() -> None:
    log = timed().with_columns(watched=pl.col("watched") > 30)
    words = log.with_columns(watched=pl.when("watched").then(pl.lit("yes")).otherwise(pl.lit("no")))
    found = [fitted(one, schema_of())[0].numbers for one in (log, words)]
    assert np.array_equal(*found)


def test_saved_histories_give_the_same_inputs(tmp_path: Path) -> None:
    log = timed()
    _, encoder = fitted(log, schema_of(label_delay="2m"))
    few = of(encoder).without([(("user",), "last"), (("item",), "rates")])[0]
    for histories in (of(encoder), few, few.without_sequence()):
        values, arrays = histories.to_state()
        loaded = Histories.from_state(values, safe_numpy.load(safe_numpy.save(arrays)))
        assert loaded.schema == histories.schema and loaded.plan == histories.plan
        later = log.with_columns(pl.col("ts") + 20 * ROWS)
        assert_same(loaded.of(later, encoder.vocabularies), histories.of(later, encoder.vocabularies))


def test_what_is_left_out_is_as_if_it_had_never_been_there() -> None:
    log = timed()
    found, encoder = fitted(log, schema_of(half_lives=[1000.0, 1000.4]))  # which are written alike
    left, columns = of(encoder).without([(("user",), "last"), (("user", "category"), "recent"), (("item",), "rates")])
    assert np.array_equal(left.inputs(found.rows, encoder.vocabularies, None).numbers, found.numbers[:, columns])
    names = [name for place in range(len(left.plan.keys)) for name in left.plan.names(place)]
    assert [of(encoder).plan.every_name[column] for column in columns] == names
    gone = left.without([(one.key, kind) for one in left.plan.keys for kind in one.kinds])[0].without_sequence()
    assert gone.width == 0 and not gone.groups and not gone.sequences


def test_shuffled_labels_are_not_foretold() -> None:
    """Histories of labels without any order tell nothing of rows that come later; a leak of a row's own label would."""
    log = timed(6000)
    log = log.with_columns(
        log["click"].sample(fraction=1.0, shuffle=True, seed=5), pl.lit(None).cast(pl.Int64).alias("buy")
    )
    schema = schema_of()
    schema = replace(schema, tasks=schema.tasks[:1])
    split = split_table(log, schema, SPLIT, 0)
    parts = (split.train, split.valid, split.test)
    part = np.repeat([0, 1, 2], [one.height for one in parts]).astype(np.uint8)
    found = fit_histories(pl.concat(parts), part, schema, 20.0)
    encoder, train = Encoder.fit(split.train, schema, EncoderSettings(), 0, histories=found.histories)
    train = with_histories(train, found.inputs(encoder.vocabularies, slice(0, split.train.height)))
    rest = slice(split.train.height, split.train.height + split.valid.height)
    valid = encoder.encode(split.valid, history=found.inputs(encoder.vocabularies, rest))
    last = slice(rest.stop, None)
    test = encoder.encode(split.test, history=found.inputs(encoder.vocabularies, last))

    trees = TreeModel(encoder.layout, NetworkSettings(), torch.Generator(), TreeSettings(rounds=60, patience=60))
    fit(trees, train, valid, schema.tasks, TrainingSettings(), 0, lambda event: None, "trees")
    labels, scores = test.labels[:, 0].numpy(), trees(test.features)[:, 0].numpy()
    positives = labels.sum()
    error = math.sqrt((len(labels) + 1) / (12 * positives * (len(labels) - positives)))
    assert abs(roc_auc_score(labels, scores) - 0.5) < 3.5 * error
