"""Inputs that tell the answer: the arithmetic, and genuine tables whose leaks are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from automtl.experiment import ColumnRoles, check_table
from automtl.tables.quality import check_quality
from automtl.tables.quality.leakage import SMOOTHING, divergence, one_column_auc
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.tables.split import SplitSettings, split_table
from tests.genuine import genuine


def test_the_auc_of_a_column_is_that_of_its_smoothed_rates() -> None:
    rng = np.random.default_rng(0)
    city, label = rng.integers(0, 30, 900), rng.integers(0, 2, 900)
    label = np.where(rng.random(900) < 0.5, city % 2, label)
    fitted, held = slice(0, 600), slice(600, 900)
    base = label[fitted].mean()
    rows = np.bincount(city[fitted], minlength=30)
    rate = (np.bincount(city[fitted], label[fitted], 30) + SMOOTHING * base) / (rows + SMOOTHING)
    frames = [pl.DataFrame({"y": label[part]}) for part in (fitted, held)]
    columns = [pl.Series("city", city[part]) for part in (fitted, held)]
    found = one_column_auc(Field("city", FieldKind.CATEGORICAL), columns[0], frames[0], columns[1], frames[1])
    assert found["y"] == pytest.approx(roc_auc_score(label[held], rate[city[held]]))


def test_the_divergence_bounds_the_chance_of_so_high_a_rate() -> None:
    for count, hits, base in [(3, 3, 0.02), (166, 164, 0.44), (50, 40, 0.5)]:
        assert binom.sf(hits - 1, count, base) <= np.exp(-count * divergence(hits / count, base))


def test_labels_of_rows_without_the_condition_are_left_out() -> None:
    rng = np.random.default_rng(1)
    click = rng.integers(0, 2, 4000)
    table = pl.DataFrame({"click": click, "buy": click * (rng.random(4000) < 0.97), "noise": rng.normal(size=4000)})
    table = table.with_columns(shown=pl.col("click") * 5 + pl.col("noise").round(1) * 0.01)

    def flagged(condition: str | None) -> set[str]:
        fields = (Field("noise", FieldKind.NUMERIC), Field("shown", FieldKind.NUMERIC))
        schema = Schema(fields, (Task("buy", condition=condition),))
        return {finding.column for finding in check_quality(split_table(table, schema, SplitSettings(), 0), schema)}

    assert flagged(None) == {"shown"}
    assert flagged("click = 1") == set()


KUAIRAND = ("is_click", "long_view", "is_like", "is_profile_enter")
OTHER_LABELS = ("is_follow", "is_comment", "is_forward", "is_hate")
CENSUS = ("label_income", "label_never_married")


@pytest.mark.parametrize(
    ("name", "tasks", "drop", "leaks"),
    [
        ("kuairand", KUAIRAND, OTHER_LABELS, {"play_time_ms", "comment_stay_time", "profile_stay_time"}),
        ("kuairand", ("is_click",), (), {"play_time_ms", "comment_stay_time", "long_view", "is_comment", "is_forward",
                                         "is_profile_enter"}),
        # the family status says 'never marr' of most who never were
        ("census", CENSUS, ("label_some_college",), {"income_50k", "marital_stat", "det_hh_fam_stat"}),
        ("census", ("label_some_college",), CENSUS, {"education"}),
        ("tmall", ("view", "cart", "buy"), (), {"sampled_negative"}),
        ("alibaba", ("click", "cart", "buy", "collect"), (), set()),
    ],
    ids=["kuairand", "kuairand-labels", "census", "census-college", "tmall", "alibaba"],
)  # fmt: skip
def test_leaks_of_genuine_tables_are_flagged_and_nothing_else(
    name: str, tasks: tuple[str, ...], drop: tuple[str, ...], leaks: set[str]
) -> None:
    found = check_table(genuine(f"{name}.parquet"), tasks, roles=ColumnRoles(drop=drop, split="split"))
    assert {finding.column for finding in found if finding.level == "warning"} == leaks
