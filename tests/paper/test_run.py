"""Reproductions: what each makes of what its candidates gave. Laws of all are in tests/laws/test_reproductions.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from automtl.comparison.candidates import ABLATIONS, CandidateResult
from automtl.comparison.result_store import ResultStore
from automtl.comparison.summary import Comparison
from automtl.config import Settings, make_settings
from automtl.errors import SettingsError
from automtl.paper import REPRODUCTIONS, find_reproduction
from automtl.paper.run import Reproduced, as_published, write_reproduction
from automtl.tables.schema import Schema
from tests.test_cli import call

HEADER = {
    "format": 1,
    "automtl": "0",
    "seeds": [0, 1],
    "trials": 1,
    "fields": [],
    "table": {"name": "log", "rows": {"train": 1}},
}
SCHEMA = Schema.from_dict(
    {"fields": [{"name": "a", "kind": "categorical"}], "tasks": [{"name": "click"}, {"name": "buy"}]}
)


def shown(name: str, results: list[CandidateResult], tmp_path: Path) -> Reproduced:
    return write_reproduction(
        REPRODUCTIONS[name], Comparison(Settings(), SCHEMA, HEADER, results, ResultStore(tmp_path)), tmp_path
    )


def searched(name: str, *searches: list[dict[str, Any]]) -> CandidateResult:
    entry = {"searched": True, "seeds": [], "tuning": {"chosen": None, "trials": []}, "failed": None}
    histories = [
        {"history": {"warm_up": 0, "records": records}, "architecture": records[-1]["architecture"]}
        for records in searches
    ]
    return CandidateResult(name, entry, (), tuple(histories))


def record(step: int, **values: Any) -> dict[str, Any]:
    choices = {"interaction": ["skip"], "pooling": ["sum"] * 2, "layer_1": ["skip"] * 2}
    architecture = {"choices": choices, "selection": [[0], [1]]}
    usual = {"skips": 0, "stopped": 0, "gradient_difference": [0.0] * 5, "architecture": architecture}
    return usual | {"beta": [[0.5, 0.5]] * 2, "step": step} | values


def test_an_unknown_name_is_an_error_that_lists_all() -> None:
    with pytest.raises(SettingsError, match="did you mean 'TABLE3'.*known: TABLE3, TABLE4, TABLE5, FIGURE3, FIGURE4"):
        find_reproduction("tabel3")


@pytest.mark.parametrize("name", ["figure4", "FIGURE4", "Figure4"])
def test_names_are_found_in_capitals_or_not(name: str) -> None:
    assert find_reproduction(name) is REPRODUCTIONS["FIGURE4"]


@pytest.mark.parametrize("name", ["FIGURE3", "FIGURE5"])
def test_without_selection_there_is_no_selection_to_show(name: str) -> None:
    with pytest.raises(SettingsError, match="space.selection"):
        REPRODUCTIONS[name].candidates(make_settings({"space": {"selection": False}}))


def test_ablations_are_all_candidates_of_table_5() -> None:
    assert [one.name for one in REPRODUCTIONS["TABLE5"].candidates(Settings())] == ["progressive", *ABLATIONS]


def test_figure_5_has_a_candidate_for_every_number_of_experts() -> None:
    settings = make_settings({"space": {"experts": 3}})
    made = [one.settings(settings) for one in REPRODUCTIONS["FIGURE5"].candidates(settings)]
    assert [one.space.keep for one in made] == [1, 2, 3]
    assert {one.space.experts for one in made} == {3}


def test_the_published_schedule_searches_by_algorithm_1_and_leaves_the_others_what_they_are() -> None:
    made = {one.name: as_published(one).changes for one in REPRODUCTIONS["FIGURE4"].candidates(Settings())}
    assert {name: changes["strategy"] for name, changes in made.items()} == {
        "darts": "darts", "darts-minus": "darts-minus", "algorithm-1": "automtl", "progressive": "automtl",
    }  # fmt: skip
    (ablation,) = [one for one in REPRODUCTIONS["TABLE5"].candidates(Settings()) if one.name == "no-oles"]
    assert as_published(ablation).changes["search"] == {"early_stopping": False}


def test_tasks_that_choose_different_experts_are_the_root_of_two_apart(tmp_path: Path) -> None:
    apart, alike = [record(1, beta=[[1.0, 0.0], [0.0, 1.0]])], [record(1, beta=[[0.5, 0.5], [0.5, 0.5]])]
    made = shown(
        "FIGURE3", [searched("progressive", apart, apart), searched("no-auxiliary-loss", alike, alike)], tmp_path
    )
    summary = made.values["summary"]
    assert summary["progressive"]["distance"]["mean"] == pytest.approx(math.sqrt(2))
    assert summary["no-auxiliary-loss"]["distance"]["mean"] == 0
    assert "1.414 with auxiliary loss and 0.000 without" in made.values["sentences"][0]


def test_skips_are_means_over_seeds_and_a_search_that_ended_early_rests(tmp_path: Path) -> None:
    short, long = (
        [record(1, skips=2), record(2, skips=4)],
        [record(1, skips=0), record(2, skips=2), record(3, skips=10)],
    )
    made = shown("FIGURE4", [searched("darts", short, long)], tmp_path)
    assert made.values["summary"]["darts"]["last"] == {"mean": 7, "std": pytest.approx(18**0.5), "n": 2}
    assert made.values["summary"]["darts"]["difference"]["n"] == 0  # nothing was measured
    drawing = (tmp_path / "FIGURE4-skips.svg").read_text()
    assert "DARTS from 1.0 to 7.0" in drawing


def test_skips_of_the_search_and_of_the_final_architecture_are_told_apart(tmp_path: Path) -> None:
    made = shown("FIGURE4", [searched("progressive", [record(1, skips=1)], [record(1, skips=2)])], tmp_path)
    ((_, header, (row,)),) = made.tables
    cells = dict(zip(header, row, strict=True))
    assert cells["skips at last evaluation"] == "1.5 ±0.7"
    assert cells["in the final architecture"] == "3.0 ±0.0"  # as `record` makes them
    assert "progressive search 1.5 (3.0 after its trials)" in made.values["sentences"][0]


def test_a_failed_candidate_leaves_the_figure_of_the_others(tmp_path: Path) -> None:
    failed = {"searched": True, "seeds": [], "tuning": {"chosen": None, "trials": []}, "failed": "no memory"}
    results = [searched("darts", [record(1)], [record(1)]), CandidateResult("progressive", failed)]
    made = shown("FIGURE4", results, tmp_path)
    assert made.values["failed"] == {"progressive": "no memory"}
    assert [row[0] for _, _, rows in made.tables for row in rows] == ["DARTS"]


def test_mistakes_of_the_command_are_told_before_anything_is_run(
    log: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "log.parquet"
    log.write_parquet(table)
    assert call("reproduce", "table9", table, "--task", "click", "--out", tmp_path / "out") == 2
    assert "known: TABLE3" in capsys.readouterr().err
    assert call("reproduce", "figure3", table, "--out", tmp_path / "out") == 2
    assert "no task given" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_figure_5_chooses_on_validation_rows(tmp_path: Path) -> None:
    made = shown("FIGURE5", [trained("keep-1", 0.3, 0.6), trained("keep-2", 0.4, 0.5)], tmp_path)
    assert "K = 1 has the lowest MTL-Loss on validation rows" in made.values["sentences"][0]
    assert "the lowest is that of K = 2 (0.5000 ±.0000), the highest that of K = 1" in made.values["sentences"][1]


def test_figure_6_begins_with_the_best_architecture_on_validation_rows(tmp_path: Path) -> None:
    made = shown("FIGURE6", [trained("progressive", 0.4, 0.3, first_loss=0.5)], tmp_path)
    assert [seed["seed"] for seed in made.values["architectures"]] == [1, 0]
    assert made.values["operations"] == {"interaction": {"skip": 2}, "pooling": {"sum": 4}, "layer": {"skip": 4}}
    assert made.values["sentences"] == [
        "The most common operations: interaction skip (100 %), pooling sum (100 %), layer skip (100 %)"
    ]


def trained(name: str, validation: float, test: float, first_loss: float | None = None) -> CandidateResult:
    """Two seeds; `first_loss`: the first one's on validation rows, if it differs."""
    tasks = {task: {"auc": 0.6} for task in ("click", "buy")}
    seeds = [
        {"seed": seed, "validation": {"tasks": tasks, "mtl_loss": loss}, "test": {"tasks": tasks, "mtl_loss": test},
         "parameters": 9, "flops_per_row": 9, "peak_memory_bytes": 9, "seconds": {"search": 1.0, "training": 2.0},
         "architecture": record(1)["architecture"]}
        for seed, loss in enumerate((first_loss or validation, validation))
    ]  # fmt: skip
    entry = {"searched": True, "seeds": seeds, "tuning": {"chosen": None, "trials": []}, "failed": None}
    return CandidateResult(name, entry)
