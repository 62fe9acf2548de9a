"""Table 5: the search without one of its parts."""

from __future__ import annotations

from collections.abc import Iterator

from automtl.comparison.candidates import ABLATIONS
from automtl.comparison.result_store import Result
from automtl.comparison.significance import significance_of_each
from automtl.comparison.summary import Comparison
from automtl.paper.base import SEARCHED, Reproduction, named, quality_table
from automtl.report.comparison import MARKS, gain_picture
from automtl.report.picture import Picture
from automtl.report.text import Table
from automtl.report.words import clean, slug

OPPOSITE = {"better": "worse", "worse": "better"}  # conclusions are about the full search, not the ablation


def _gather(comparison: Comparison) -> Result:
    found: dict[str, dict[str, Result]] = {}
    if any(result.name == SEARCHED for result in comparison.tested):
        found = significance_of_each(SEARCHED, comparison.tested, comparison.scored)
    sentences = [_sentence(name, of_tasks) for name, of_tasks in found.items()]
    return comparison.summary(SEARCHED) | {"significance": found, "sentences": sentences}


def _sentence(name: str, of_tasks: Result) -> str:
    """Count over tasks how the ablation compares with the full search."""
    found = [_turned(one["conclusion"]) for one in of_tasks.values()]
    counts = ", ".join(f"{word} on {found.count(word)}" for word in dict.fromkeys(found))
    return f"{name} against the full search: {counts} of {len(found)} tasks"


def _turned(conclusion: str) -> str:
    return OPPOSITE.get(conclusion, conclusion)


def _tables(found: Result) -> list[Table]:
    def mark(model: str, task: str) -> str:
        return MARKS.get(_turned(found["significance"].get(model, {}).get(task, {}).get("conclusion", "")), "")

    return [quality_table(found, mark)]


def _pictures(found: Result) -> Iterator[Picture]:
    """Draw for each task the gain of every part of the search."""
    note = (
        "Gain of the full search over the search without a part, with the 95 % interval; triangles are more than noise."
    )
    for index, task in enumerate(found["tasks"]):
        tests = {name: of_tasks[task["name"]] for name, of_tasks in found["significance"].items()}
        name, x_label = f"gains-{slug(index, task['name'])}", "difference on test rows; right: the part helps"
        yield from gain_picture(name, clean(task["name"]), tests, x_label, note)


TABLE5 = Reproduction(
    "TABLE5", "Table 5: ablations",
    "every variant falls behind the full search on all eight tasks of three datasets, by .0022 to .0070 of AUC, most "
    "of all the one without operation-level early stopping.",
    named(SEARCHED, *ABLATIONS), _gather, _tables, _pictures,
    "Marks tell what a variant is against the full search: better or worse needs both a paired t-test over seeds and a "
    "paired bootstrap over test rows below .05, after Holm's correction over all variants and tasks.",
)  # fmt: skip
