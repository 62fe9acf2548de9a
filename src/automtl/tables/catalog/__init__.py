"""Public datasets (docs/datasets.md). A dataset is a value and a line in DATASETS."""

from __future__ import annotations

from automtl.errors import SettingsError, suggestion
from automtl.tables.catalog.ali_ccp import ALI_CCP
from automtl.tables.catalog.aliexpress import ALIEXPRESS
from automtl.tables.catalog.base import Column, Dataset, Form, RawFile
from automtl.tables.catalog.census import CENSUS
from automtl.tables.catalog.ijcai import IJCAI
from automtl.tables.catalog.kuairand import KUAIRAND
from automtl.tables.catalog.movielens import MOVIELENS
from automtl.tables.catalog.prepare import Outcome, prepare
from automtl.tables.catalog.user_behavior import USER_BEHAVIOR

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (USER_BEHAVIOR, IJCAI, *ALIEXPRESS, KUAIRAND, ALI_CCP, *MOVIELENS, CENSUS)
}

__all__ = ["DATASETS", "Column", "Dataset", "Form", "Outcome", "RawFile", "find_dataset", "prepare"]


def find_dataset(name: str) -> Dataset:
    """Raises SettingsError that suggests the nearest name."""
    if name not in DATASETS:
        raise SettingsError(f"dataset '{name}' is unknown{suggestion(name, DATASETS)}; known: {', '.join(DATASETS)}")
    return DATASETS[name]
