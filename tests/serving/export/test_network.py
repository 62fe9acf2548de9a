"""Every registered model and operation is traced for any number of rows, and computes the same in ONNX Runtime."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.features.batch import Features
from automtl.serving.export.network import traced
from tests.serving.export.networks import (
    FULL,
    PLAIN,
    difference,
    of_every_operation,
    part,
    registered,
    rows_of,
    tensors,
)


def test_every_registered_model_is_traced_for_any_number_of_rows() -> None:
    models = registered()
    run = traced([part(model, PLAIN) for model in models.values()], PLAIN).module()
    for count in (1, 2, 40):
        features = rows_of(PLAIN, count).features
        for model, logits in zip(models.values(), run(*tensors(features)), strict=True):
            torch.testing.assert_close(logits, model(features), rtol=1e-5, atol=1e-5)


def test_every_operation_computes_the_same_in_onnx_runtime() -> None:
    assert difference(of_every_operation(), FULL) < 1e-5


class FixedRows(nn.Module):
    """A model of a stranger, which reads how many rows there are."""

    def forward(self, features: Features) -> Tensor:
        columns = [features.numeric[row, 0] for row in range(int(features.numeric.shape[0]))]
        return torch.stack(columns).unsqueeze(1).expand(-1, 3)


def test_a_model_that_counts_its_rows_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError, match=r"torch.export cannot trace the model \(.*must not depend on the number"):
        traced([part(FixedRows(), PLAIN)], PLAIN)
