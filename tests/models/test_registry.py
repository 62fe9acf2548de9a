"""What a class must be to be a model."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from automtl.errors import SettingsError
from automtl.features.batch import Features
from automtl.features.layout import Layout
from automtl.models.registry import MODELS, ModelClass
from automtl.models.settings import NetworkSettings
from automtl.nn.embedding import FieldEmbedding
from tests.conftest import small_batch, small_layout


class TwoLayers(nn.Module):
    """A model from outside the project."""

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.map = nn.Linear(self.embedding.width, layout.num_tasks)

    def forward(self, features: Features) -> Tensor:
        logits: Tensor = self.map(self.embedding(features).flatten(1))
        return logits


def test_a_model_of_ones_own_is_found_by_its_path_and_its_name_is_the_path() -> None:
    kind: ModelClass = TwoLayers
    assert MODELS.find("tests.models.test_registry:TwoLayers") is kind
    assert MODELS.name_of(TwoLayers) == "tests.models.test_registry:TwoLayers"
    model = kind(small_layout(), NetworkSettings(), torch.Generator())
    assert model(small_batch().features).shape == (40, 3)


@pytest.mark.parametrize("path", ["json:JSONDecoder", "json:loads"])
def test_what_is_no_module_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="is not a subclass of torch.nn.Module"):
        MODELS.find(path)


def test_naming_all_models_imports_no_torch() -> None:
    code = "import sys; from automtl.models.registry import MODELS; list(MODELS); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_found(name: str) -> None:
    assert MODELS.name_of(MODELS.find(name)) == name
