"""Sentences of the demo on what was gained, and its table of models with quality and cost, from plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from automtl.report.text import Table
from automtl.report.words import known, milliseconds, rounded, scaled, seconds, signed

NAMES = {"lightgbm": "LightGBM", "mmoe": "MMoE", "automtl": "one network, made by hand"}  # of baselines by model
ENSEMBLE, ALL_ROWS = "ensemble", "all rows"  # stages of the leaderboard
CHANCE = 0.5  # AUC of a model that scores all rows alike


@dataclass(frozen=True)
class Demo:
    """A finished demo: the content of its metrics.json and history.json, and the AUC of the truth by task."""

    metrics: Mapping[str, Any]
    history: Mapping[str, Any]
    truth: Mapping[str, float]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return list(self.metrics["test"]["tasks"])

    @property
    def board(self) -> dict[str, Mapping[str, Any]]:
        """The rows of the leaderboard by name."""
        return {row["name"]: row for row in self.history["leaderboard"]}

    @property
    def selected(self) -> Mapping[str, Any]:
        """The row of the ensemble, or of the one model that was selected, as trained on training rows alone."""
        rows = [row for row in self.board.values() if row["stage"] != ALL_ROWS]
        return next((row for row in rows if row["stage"] == ENSEMBLE), max(rows, key=_share_of))

    @property
    def last(self) -> Mapping[str, Any] | None:
        """The row of the same model trained on validation rows, too; None where it was not."""
        return self.board.get(ALL_ROWS)

    @property
    def rivals(self) -> list[Mapping[str, Any]]:
        """The baselines that are no part of automtl."""
        return [one for one in self.metrics["baselines"] if one["model"] != "automtl"]

    @property
    def by_hand(self) -> Mapping[str, Any] | None:
        """The baseline that is the network made by hand, unless its training diverged."""
        return next((one for one in self.metrics["baselines"] if "searched" in one), None)

    def sentences(self) -> Iterator[str]:
        """Say what the ensemble gained over its rivals, and what the search did, whichever way they went."""
        ours = _mean(self.selected["test"])
        against = (
            f"against {_called(one)} {signed(ours - _mean(one['test']))}, {judged(one['gain'])}" for one in self.rivals
        )
        yield (
            f"On {self.metrics['rows']['test']:,} later rows the ensemble has a mean AUC of {ours:.4f} (the truth "
            f"{_mean(self.truth):.4f}): {'; '.join(against)}."
        )
        if self.by_hand is not None:
            gain = self.by_hand["searched_gain"]
            yield (
                f"The search: its best network, {self.by_hand['searched']}, against one made by hand: "
                f"{signed(_gained(gain))}; {judged(gain)}."
            )
        steps = {step["name"]: step for step in self.metrics["waterfall"]["steps"]}
        if self.last is not None and ALL_ROWS in steps:
            gain = steps[ALL_ROWS]["gain"]
            yield f"Trained once more, on validation rows, too: {signed(_gained(gain))}; {judged(gain)}."

    def table(self) -> Table:
        """Make the table: a model a row, with its AUC on test rows by task, and its costs."""
        board, selected = self.board, self.selected
        count = sum(row["stage"] not in (ENSEMBLE, ALL_ROWS) and _share_of(row) > 0 for row in board.values())
        rows = [["base rates", *[rounded(CHANCE)] * (len(self.tasks) + 1), "", "", ""]]
        rows += [self._row(_called(one), board[one["name"]]) for one in self.metrics["baselines"]]
        if self.by_hand is not None:
            rows.append(self._row("one network, the search's best", board[self.by_hand["searched"]]))
        whole = f"ensemble of {count}" if count > 1 else "selected model"
        rows.append(self._row(whole, {**selected, "seconds": self.trained}))
        if self.last is not None:
            rows.append(self._row("the same, on validation rows, too", self.last))
        rows.append(self._row("the truth", {"test": self.truth}))
        header = ["model", *self.tasks, "mean", "trained in", "latency", "FLOPs"]
        return "AUC on test rows, and cost", header, rows

    @property
    def trained(self) -> float:
        """The seconds of all trainings of the fit, of models that were not taken, too, and of choosing among them."""
        spent = self.metrics["seconds"]
        return float(sum(spent.get(stage, 0.0) for stage in ("inputs", "trees", "networks", "selection")))

    def _row(self, name: str, values: Mapping[str, Any]) -> list[str]:
        found = [values["test"].get(task) for task in self.tasks]
        spent = seconds(values["seconds"]) if "seconds" in values else ""
        latency = milliseconds(values["latency_ms"]) if "latency_ms" in values else ""
        flops = scaled(values["flops_per_row"]) if "flops_per_row" in values else ""
        return [name, *map(rounded, found), rounded(_mean(values["test"])), spent, latency, flops]

    def costs(self) -> str:
        """Say what the whole took, and what a row does."""
        raw = self.metrics["latency_ms"]["raw_row"]
        return (
            f"The whole took {seconds(self.metrics['seconds']['total'])}. Latency is that of an encoded row; "
            f"one raw row through the whole of the final model: {milliseconds(raw)}."
        )


def judged(gain: Mapping[str, Any]) -> str:
    """Say on which tasks a gain is more than chance, by its 95 % interval over rows."""
    better = [task for task, one in gain.items() if one.get("low", 0) > 0]
    worse = [task for task, one in gain.items() if one.get("high", 0) < 0]
    parts = [f"{word} on {', '.join(tasks)}" for word, tasks in (("better", better), ("worse", worse)) if tasks]
    noise = len(gain) - len(better) - len(worse)
    left = f"within noise on {noise} of {len(gain)} tasks" if parts else "within noise on all tasks"
    return ", ".join([*parts, *([left] if noise else [])])


def _called(baseline: Mapping[str, Any]) -> str:
    return NAMES.get(baseline["model"], str(baseline["name"]))


def _gained(gain: Mapping[str, Any]) -> float:
    return fmean([one["mean"] for one in gain.values()] or [0.0])


def _mean(values: Mapping[str, Any]) -> float:
    return fmean([value for value in values.values() if known(value)] or [CHANCE])


def _share_of(row: Mapping[str, Any]) -> float:
    return float(sum((row.get("share") or {}).values()))
