"""Stages of a funnel."""

from __future__ import annotations

import torch

from automtl.nn.funnel import Funnel
from automtl.tables.schema import Schema, stages


def schema(tasks: list[str], funnel: list[str]) -> Schema:
    named = [{"name": name} for name in tasks]
    return Schema.from_dict({"fields": [{"name": "x", "kind": "numeric"}], "tasks": named, "funnel": funnel})


def test_stages_are_found_in_their_order_whatever_the_order_of_tasks() -> None:
    assert stages(schema(["buy", "like", "click", "cart"], ["click", "cart", "buy"]).tasks) == (2, 3, 0)
    assert stages(schema(["click", "buy"], []).tasks) == ()
    assert stages(schema(["click", "buy"], ["click", "buy"]).tasks[1:]) == ()


def test_stages_are_products_and_other_tasks_stay() -> None:
    logits = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    out = Funnel((2, 0))(logits)
    torch.testing.assert_close(out[:, [1, 2, 3]], logits[:, [1, 2, 3]])
    torch.testing.assert_close(out[:, 0].sigmoid(), logits[:, 0].sigmoid() * logits[:, 2].sigmoid())
    assert Funnel(())(logits) is logits
