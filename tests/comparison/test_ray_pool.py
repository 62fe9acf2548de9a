"""Trials on a Ray cluster leave the results that trials here leave. Without Ray nothing of it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs pip install 'automtl[cluster]'")

from automtl.comparison.ray_pool import RayPool
from automtl.comparison.result_store import ResultStore
from automtl.comparison.trials import Kind, Trial, WorkerContext, run_trial, start_worker
from automtl.config import make_settings
from automtl.dataset.settings import DataLoaderSettings
from automtl.distributed.cluster import Cluster, joined
from automtl.errors import ComparisonError
from automtl.experiment.source import open_source
from automtl.tables.columns import ColumnRoles

SETTINGS = make_settings(
    {"model": "mmoe", "presets": [], "training": {"epochs": 1}, "network": {"embedding_size": 4, "width": 8}}
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with joined("local") as found:
        yield found


def context(log_file: Path, folder: Path) -> WorkerContext:
    roles = ColumnRoles(("like", "buy", "cart"))
    rows, settings = open_source(log_file, ["click", "price"], roles, None, SETTINGS, 0, identify=True)
    store = ResultStore(folder / "results")
    store.folder.mkdir(parents=True)
    return WorkerContext(log_file, rows.digest, rows.schema, settings.split, 0, store)


def test_a_trial_leaves_here_what_it_leaves_without_a_cluster(cluster: Cluster, log_file: Path, tmp_path: Path) -> None:
    good = Trial(Kind.TEST, SETTINGS, 0)
    bad = Trial(Kind.TEST, make_settings({**SETTINGS.to_dict(), "model": "esmm"}), 0)
    there, here = context(log_file, tmp_path / "there"), context(log_file, tmp_path / "here")

    async def trials() -> list[object]:
        return await asyncio.gather(*map(pool.run, (good, bad)))

    with closing(RayPool(cluster, 1, there, DataLoaderSettings(), 3600.0)) as pool:
        done, failed = asyncio.run(trials())
    start_worker(here, DataLoaderSettings(), tmp_path / "rows")
    assert done is None and run_trial(good) is None
    assert failed is not None and failed == run_trial(bad)  # it serves no regression task
    names = sorted(path.name for path in here.store.folder.iterdir())
    assert names == sorted(path.name for path in there.store.folder.iterdir()) and len(names) == 3
    for name in names:
        one, other = (store.folder / name for store in (here.store, there.store))
        if one.suffix == ".safetensors":
            assert one.read_bytes() == other.read_bytes()


def test_places_that_cannot_begin_say_why(cluster: Cluster, log_file: Path, tmp_path: Path) -> None:
    with closing(RayPool(cluster, 1, context(log_file, tmp_path), DataLoaderSettings(), 3600.0)) as pool:
        pool._break("a node has no automtl")
        with pytest.raises(ComparisonError, match="a node has no automtl"):
            asyncio.run(pool.run(Trial(Kind.TEST, SETTINGS, 0)))
