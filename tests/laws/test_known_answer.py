"""On logs whose answer is known, the search finds it: fixed seeds, totals over them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.search import STRATEGIES, SearchProblem, SearchResult
from automtl.space import SpaceSettings, published_space
from automtl.system.progress import ignore
from automtl.tables.infer import infer_schema
from automtl.tables.split import SplitSettings, split_table
from automtl.tables.synthetic import synthetic_log
from automtl.training.settings import TrainingSettings

TASKS = ("click", "like", "buy", "cart")  # click and like share one truth, buy and cart another
SEEDS, MORE_SEEDS = range(2), range(8)  # what tells two small numbers apart needs more
SMALL = NetworkSettings(embedding_size=8, width=16, towers=(16,))
PLAIN = replace(
    SMALL, normalization="none", dropout=0.0
)  # experts made alike are told apart less surely (decision 0004)


def found(
    seed: int,
    network: NetworkSettings,
    *,
    auxiliary: bool = True,
    shuffled: bool = False,
    interaction: float = 0.0,
    strategy: str = "automtl",
    steps: int = 150,
) -> SearchResult:
    log = synthetic_log(
        15_000 if interaction else 6000, users=50, items=40, noise=0.0, interaction=interaction, seed=seed
    )
    if shuffled:
        rng = np.random.default_rng(seed)
        log = log.with_columns(pl.Series(task, log[task].to_numpy()[rng.permutation(log.height)]) for task in TASKS)
    schema = infer_schema(log, TASKS)
    split = split_table(log, schema, SplitSettings(), seed)
    encoder, train = Encoder.fit(split.train, schema, EncoderSettings(target_encoding=False), seed)
    if interaction:  # where no other block can see a product
        space = SpaceSettings(experts=4, layers=1, keep=2, expert_layers=("skip",), poolings=("sum",))
    else:
        space = SpaceSettings(
            experts=8, layers=1, keep=3, expert_layers=("mlp-16", "mlp-32"), poolings=("linear",), interaction=False
        )
    kind: Any = STRATEGIES.find(strategy)
    settings = kind.settings_class()(
        max_steps=steps, epochs=100, batch_size=256, learning_rate=1e-2 if interaction else 5e-3,
        auxiliary_loss=auxiliary,
    )  # fmt: skip
    problem = SearchProblem(
        published_space(space, len(TASKS)),
        encoder.layout,
        train,
        encoder.encode(split.valid),
        network,
        TrainingSettings(),
    )
    found: SearchResult = kind(settings).search(problem, seed, ignore)
    return found


@cache
def more_within_than_across(auxiliary: bool, shuffled: bool) -> float:
    """Experts that two tasks share: the mean within groups less the mean across them, summed over the seeds."""
    total = 0.0
    for seed in MORE_SEEDS:
        chosen = [
            set(experts)
            for experts in found(seed, PLAIN, auxiliary=auxiliary, shuffled=shuffled).architecture.selection
        ]
        within = (len(chosen[0] & chosen[1]) + len(chosen[2] & chosen[3])) / 2
        total += within - float(np.mean([len(chosen[a] & chosen[b]) for a in (0, 1) for b in (2, 3)]))
    return total


@pytest.mark.parametrize("auxiliary", [True, False])
def test_tasks_of_one_group_share_more_experts_than_unrelated_tasks(auxiliary: bool) -> None:
    assert more_within_than_across(auxiliary, False) > 1


@pytest.mark.parametrize("auxiliary", [True, False])
def test_shuffled_labels_do_not_show_this(auxiliary: bool) -> None:
    assert more_within_than_across(auxiliary, True) < more_within_than_across(auxiliary, False) / 2


@pytest.mark.parametrize("strategy", ["automtl", "progressive"])
def test_with_a_product_interaction_in_the_truth_the_search_does_not_skip(strategy: str) -> None:
    steps = 150 if strategy == "automtl" else 300  # a progressive one is as cheap at twice the steps
    results = [found(seed, SMALL, interaction=1.0, strategy=strategy, steps=steps) for seed in SEEDS]
    assert not any(str(*result.architecture["interaction"]) == "skip" for result in results)
