"""Public datasets (docs/datasets.md). A dataset is a value and a line in DATASETS."""

from __future__ import annotations

from automtl.data.catalog.ali_ccp import ALI_CCP
from automtl.data.catalog.aliexpress import ALIEXPRESS
from automtl.data.catalog.base import Column, Dataset, Form, RawFile
from automtl.data.catalog.census import CENSUS
from automtl.data.catalog.ijcai import IJCAI
from automtl.data.catalog.kuairand import KUAIRAND
from automtl.data.catalog.movielens import MOVIELENS
from automtl.data.catalog.prepare import Outcome, prepare
from automtl.data.catalog.user_behavior import USER_BEHAVIOR
from automtl.errors import SettingsError, suggestion

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (USER_BEHAVIOR, IJCAI, *ALIEXPRESS, KUAIRAND, ALI_CCP, *MOVIELENS, CENSUS)
}

__all__ = ["DATASETS", "Column", "Dataset", "Form", "Outcome", "RawFile", "find_dataset", "prepare"]


def find_dataset(name: str) -> Dataset:
    """Raises SettingsError that suggests the nearest name."""
    if name not in DATASETS:
        raise SettingsError(f"dataset '{name}' is unknown{suggestion(name, DATASETS)}; known: {', '.join(DATASETS)}")
    return DATASETS[name]
