"""Public datasets (docs/datasets.md): each is a value in a file of its own and a line here, which imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automtl.errors import SettingsError
from automtl.system.registry import Registry, instance_of

if TYPE_CHECKING:
    from automtl.tables.catalog.base import Dataset

HERE = "automtl.tables.catalog"
DATASETS: Registry[Dataset] = Registry(
    "dataset",
    {
        "userbehavior-2017": f"{HERE}.user_behavior:USER_BEHAVIOR",
        "ijcai-2015": f"{HERE}.ijcai:IJCAI",
        "aliexpress-nl": f"{HERE}.aliexpress:NETHERLANDS",
        "aliexpress-es": f"{HERE}.aliexpress:SPAIN",
        "aliexpress-fr": f"{HERE}.aliexpress:FRANCE",
        "aliexpress-us": f"{HERE}.aliexpress:UNITED_STATES",
        "kuairand-pure": f"{HERE}.kuairand:KUAIRAND",
        "ali-ccp": f"{HERE}.ali_ccp:ALI_CCP",
        "movielens-100k": f"{HERE}.movielens:MOVIELENS_100K",
        "movielens-1m": f"{HERE}.movielens:MOVIELENS_1M",
        "census-income": f"{HERE}.census:CENSUS",
    },
    instance_of(f"{HERE}.base:Dataset"),
    f"a Dataset of {HERE}.base",
    SettingsError,
)
