"""Figure 4: skip connections over the search by method, and the gradient differences that explain them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from automtl.comparison.result_store import Result
from automtl.comparison.summary import Comparison, spread
from automtl.paper.base import SEARCHED, Reproduction, count_text, named, search_histories, summary_table
from automtl.report.architecture import skips
from automtl.report.charts import Line, lines
from automtl.report.picture import Picture
from automtl.report.run import difference_pictures
from automtl.report.text import Table, spread_text

TITLES = {
    "darts": "DARTS", "darts-minus": "DARTS-", "algorithm-1": "early stopping", SEARCHED: "progressive search",
}  # fmt: skip
MEDIAN = 2  # place among minimum, quartiles and maximum


def _gather(comparison: Comparison) -> Result:
    searches = search_histories(comparison, "skips", "stopped", "gradient_difference")
    space = comparison.settings.space
    final = {one.name: [search["architecture"] for search in one.searches] for one in comparison.results}
    summary = {name: _summary([search["records"] for search in of], final[name]) for name, of in searches.items()}
    places = int(space.interaction) + space.experts * (space.layers + space.expert_interaction)
    return {
        "places": places, "threshold": getattr(comparison.settings.search, "stop_threshold", None),
        "searches": searches, "summary": summary, "sentences": _sentences(summary, places),
    }  # fmt: skip


def _summary(searches: Sequence[Sequence[Result]], final: Sequence[Result]) -> Result:
    """Summarize searches over seeds. `final`: their final architectures."""
    medians = [records[-1]["gradient_difference"] for records in searches]
    return {
        "first": spread(records[0]["skips"] for records in searches),
        "most": spread(max(record["skips"] for record in records) for records in searches),
        "last": spread(records[-1]["skips"] for records in searches),
        "final": spread(skips(architecture) for architecture in final),
        "stopped": spread(records[-1]["stopped"] for records in searches),
        "difference": spread(found[MEDIAN] for found in medians if any(found)),
    }


def _sentences(summary: Result, places: int) -> list[str]:
    ends = ", ".join(
        f"{TITLES[name]} {values['last']['mean']:.1f}"
        + (f" ({values['final']['mean']:.1f} after its trials)" if values["final"] != values["last"] else "")
        for name, values in summary.items()
    )
    return [f"Skip connections at the end of the search, of {places} places at most: {ends}"]


def _tables(found: Result) -> list[Table]:
    columns = {
        "first": ("skips at first evaluation", count_text), "most": ("most skips", count_text),
        "last": ("skips at last evaluation", count_text), "final": ("in the final architecture", count_text),
        "stopped": ("stopped operations", count_text), "difference": ("median difference", spread_text),
    }  # fmt: skip
    return [summary_table(found, columns, TITLES)]


def _pictures(found: Result) -> Iterator[Picture]:
    curves = {name: _curve([search["records"] for search in of]) for name, of in found["searches"].items()}
    if curves:
        series = [Line(TITLES[name], *curve, index) for index, (name, curve) in enumerate(curves.items())]
        top = max(max(counts) for _, counts in curves.values())
        words = "; ".join(f"{line.name} from {line.y[0]:.1f} to {line.y[-1]:.1f}" for line in series)
        figure = lines(series, "search step", "skip connections", limits=(0, max(top, 4) + 1))
        yield Picture("skips", "Skip connections over the search", f"Mean over seeds: {words}.", figure)
    for name, of_seeds in found["searches"].items():
        for picture in difference_pictures(of_seeds[0]["records"], found["threshold"]):
            yield replace(picture, name=f"{picture.name}-{name}", title=f"{TITLES[name]}: gradient differences")


def _curve(searches: Sequence[Sequence[Result]]) -> tuple[list[int], list[float]]:
    """Return steps and mean skips over seeds. A search that ended early keeps its last value."""
    longest = max(searches, key=len)
    counts = [
        fmean(records[min(place, len(records) - 1)]["skips"] for records in searches) for place in range(len(longest))
    ]
    return [record["step"] for record in longest], counts


FIGURE4 = Reproduction(
    "FIGURE4", "Figure 4: skip connections over the search",
    "on IJCAI-2015 the architecture of DARTS is full of skip connections after one epoch, DARTS- collapses within a "
    "few, and operation-level early stopping prevents it.",
    named(*TITLES), _gather, _tables, _pictures,
    "The difference is 1 − cosine of an operation's gradients on a training and on a validation batch, over all "
    "watched operations; pictures of it show the first seed. Early stopping is Algorithm 1 of the paper. "
    "An evaluation shows the architecture that is strongest at that step of the search; the progressive search then "
    "compares it with plain layers in short trials, so its final architecture may have other skips.",
    trains=False,
)  # fmt: skip
