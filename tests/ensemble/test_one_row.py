"""Single rows are scored by traces of the networks after some calls, to the same bits, from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from automtl.ensemble.ensemble import Ensemble, Member
from automtl.ensemble.one_row import ASKED, OneRow
from automtl.features.batch import Features
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from tests.conftest import small_batch, small_layout

SETTINGS = NetworkSettings(embedding_size=4, width=8, towers=(6,))


def ensemble() -> Ensemble:
    layout = small_layout()
    members = [
        Member(name, MODELS.find(name)(layout, SETTINGS, torch.Generator().manual_seed(0)), layout)
        for name in ("mmoe", "tabm")
    ]
    made = Ensemble(members, layout.tasks)
    made.weights.copy_(torch.tensor([[0.2, 0.5, 1.0], [0.8, 0.5, 0.0]]))
    return made.eval()


def row(seed: int) -> Features:
    return small_batch(1, seed=seed).features


def test_rows_have_the_same_logits_before_and_after_the_networks_are_traced() -> None:
    model = ensemble()
    one = OneRow(model)
    with torch.inference_mode():
        for seed in range(ASKED):
            assert torch.equal(one(row(seed)), model(row(seed)))
        one.trace(row(0))  # waits for the thread that was started
        assert not set(map(id, one.members(row(0)))) & set(map(id, model.members))
        assert all(torch.equal(one(row(seed)), model(row(seed))) for seed in range(ASKED))


def test_threads_get_the_logits_of_their_own_rows() -> None:
    model = ensemble()
    one = OneRow(model)
    one.trace(row(0))

    def score(seed: int) -> bool:
        with torch.inference_mode():
            return torch.equal(one(row(seed)), model(row(seed)))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(score, range(200)))
