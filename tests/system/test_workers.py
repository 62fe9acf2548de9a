"""Several workers do what one process does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from automtl.system.workers import (
    Workers,
    agreed,
    all_given,
    all_rows,
    first_does,
    is_worker,
    shared,
    speaks,
    together,
    workers,
)
from tests.workers import STRATEGY_NAMES, by_workers, everything


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [1, 2, 6, 7, 100])
def test_shares_are_all_rows_in_order(count: int, rows: int) -> None:
    shares = [list(range(rows))[Workers(place, count).share(rows)] for place in range(count)]
    if rows < count:
        assert shares == [list(range(rows))] * count
    else:
        assert [row for share in shares for row in share] == list(range(rows))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_alone_does_all_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    values = torch.rand(4, 2)
    with together() as own:
        assert own == workers() == Workers(0, 1) and own.first and not own.several
        assert all_rows(values, 4) is values and shared(values) is values
        assert all_given(values[:, 0], values)[1] is values
        assert agreed("a") == "a" and first_does(lambda: 3) == 3
    assert not is_worker() and speaks()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert is_worker() and not speaks()


def test_two_workers_train_and_search_as_one(tmp_path: Path) -> None:
    one, two = everything(), by_workers(2, tmp_path / "found")
    for name in ("dense", "row-wise"):
        for key, values in one[name].items():
            torch.testing.assert_close(two[name][key], values, rtol=1e-5, atol=1e-5)
    for name in STRATEGY_NAMES:
        assert two[name]["architecture"] == one[name]["architecture"]
        assert two[name]["losses"] == pytest.approx(one[name]["losses"], rel=1e-4)
    assert two["first"] == "0" and two["raised"]
