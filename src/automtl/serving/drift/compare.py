"""Compare the profile of new rows with that of a model: what changed, and whether it is more than chance."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import numpy as np

from automtl.features.coverage import Counts, Coverage
from automtl.serving.drift.settings import DriftSettings
from automtl.serving.drift.statistics import (
    auc_error,
    index_by_chance,
    jensen_shannon,
    stability_index,
    two_sided,
    z_of_shares,
)
from automtl.tables.names import shown
from automtl.training.profile import MISSING_BUCKET, ColumnProfile, Profile, TaskProfile

HELD_OUT = ("valid", "test")  # parts of the rows at fit whose coverage is compared
MOVING = (":age", ":day")  # parts of times that are others every day; they count as no drift


class Comparison:
    """Compares two profiles. now, at_fit: those of new rows and of the model; coverage: of new rows and of the model's.

    ignored: columns that are compared, but count as no drift.
    """

    def __init__(
        self, now: Profile, at_fit: Profile, coverage: Coverage, known: Coverage, settings: DriftSettings,
        ignored: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.now, self.at_fit, self.coverage, self.known = now, at_fit, coverage, known
        self.settings, self.ignored = settings, ignored
        tests = 2 * len(coverage.fields) + len(now.columns) + 4 * len(now.tasks)
        self.significance = settings.significance / max(tests, 1)
        self.z = two_sided(self.significance)

    def to_dict(self) -> dict[str, Any]:
        """Return all that was compared in plain values; `drift` names what drifted, and is empty otherwise."""
        fields = [self._field(name) for name in self.coverage.fields]
        columns = [self._column(*pair) for pair in zip(self.now.columns, self.at_fit.columns, strict=True)]
        tasks = [self._task(*pair) for pair in zip(self.now.tasks, self.at_fit.tasks, strict=True)]
        drift = [reason for one in (*fields, *columns, *tasks) for reason in one["drift"]]
        return {
            "rows": {"now": self.now.rows, "at_fit": self.at_fit.rows}, "drift": drift, "fields": fields,
            "columns": columns, "tasks": tasks, "settings": asdict(self.settings), "ignored": sorted(self.ignored),
        }  # fmt: skip

    def _field(self, name: str) -> dict[str, Any]:
        """Compare the shares of missing and unknown values of a field."""
        own, known, reasons, found = self.coverage.of(name), self.known.of(name), list[str](), dict[str, Any]()
        for kind, least in (("missing", self.settings.missing), ("unknown", self.settings.unknown)):
            now, then = _share(own, kind), _share(known, kind)
            share, before = now[0] / max(now[1], 1), then[0] / max(then[1], 1)
            found[kind] = {"now": share, "at_fit": before}
            if share - before > least and z_of_shares(now, then) > self.z:
                reasons.append(f"{shown(name)}: {_percent(share)} {kind}, at fit {_percent(before)}")
        return {"name": shown(name), **found, "drift": self._counting(name, reasons)}

    def _column(self, now: ColumnProfile, at_fit: ColumnProfile) -> dict[str, Any]:
        """Compare the distributions of a column; missing values are told of beside, and left out of it."""
        counts, before = now.counts[MISSING_BUCKET + 1 :], at_fit.counts[MISSING_BUCKET + 1 :]
        found = self._distance(counts, before, (min(now.rows, sum(counts)), min(at_fit.rows, sum(before))))
        reasons = [f"{shown(now.name)}: stability index {found['psi']:.3f}"] if self._drifted(found) else []
        about = {"name": shown(now.name), "kind": now.kind, "edges": list(at_fit.edges)}
        return {**about, **found, "drift": self._counting(now.name, reasons)}

    def _distance(
        self, now: tuple[int, ...], at_fit: tuple[int, ...], rows: tuple[int, int]
    ) -> dict[str, Any]:  # fmt: skip
        chance = index_by_chance(now, at_fit, rows, self.significance)
        return {
            "psi": stability_index(now, at_fit), "chance": None if math.isinf(chance) else chance,
            "js": jensen_shannon(now, at_fit), "now": list(now), "at_fit": list(at_fit),
        }  # fmt: skip

    def _drifted(self, found: dict[str, Any]) -> bool:
        chance = found["chance"]
        return chance is not None and found["psi"] > max(self.settings.psi, chance)

    def _counting(self, name: str, reasons: list[str]) -> list[str]:
        """Leave out the reasons of columns that count as no drift."""
        own = shown(name)
        return [] if own in self.ignored or own.split(":")[0] in self.ignored or own.endswith(MOVING) else reasons

    def _task(self, now: TaskProfile, at_fit: TaskProfile) -> dict[str, Any]:
        """Compare what the model says, and what came of it where that is known."""
        scores = self._distance(now.counts, at_fit.counts, (sum(now.counts), sum(at_fit.counts)))
        reasons = [f"scores of {now.name}: stability index {scores['psi']:.3f}"] if self._drifted(scores) else []
        found: dict[str, Any] = {"name": now.name, "binary": now.binary, "scores": scores, "labels": None}
        if sum(now.labelled) and sum(at_fit.labelled):
            found["labels"], more = self._labels(now, at_fit)
            reasons += more
        return found | {"drift": [] if now.name in self.ignored else reasons}

    def _labels(self, now: TaskProfile, at_fit: TaskProfile) -> tuple[dict[str, Any], list[str]]:
        measured, before = _measured(now), _measured(at_fit)
        found = {name: {"now": value, "at_fit": before[name]} for name, value in measured.items()}
        reasons, least, limit = list[str](), self.settings, self.z
        if now.binary:
            z = z_of_shares(_positives(now), _positives(at_fit))
            if abs(_relative(measured["rate"], before["rate"])) > least.labels and abs(z) > limit:
                rates = f"{_percent(measured['rate'])} positive, at fit {_percent(before['rate'])}"
                reasons.append(f"labels of {now.name}: {rates}")
            change = math.log(measured["ratio"] / before["ratio"])
            if abs(change) > math.log1p(least.calibration) and abs(change) > limit * _ratio_error(now, at_fit):
                ratios = f"{measured['ratio']:.3f} expected for each observed label, at fit {before['ratio']:.3f}"
                reasons.append(f"calibration of {now.name}: {ratios}")
            if self._auc_fell(now, at_fit):
                reasons.append(f"AUC of {now.name}: {now.auc:.4f}, at fit {at_fit.auc:.4f}")
        else:
            rise = _relative(measured["rmse"], before["rmse"])
            chance = math.sqrt(10 / sum(now.labelled) + 10 / sum(at_fit.labelled))  # of squares with heavy tails
            if rise > max(least.rmse, limit * chance / 2):
                reasons.append(f"RMSE of {now.name}: {measured['rmse']:.4g}, at fit {before['rmse']:.4g}")
        return found, reasons

    def _auc_fell(self, now: TaskProfile, at_fit: TaskProfile) -> bool:
        if now.auc is None or at_fit.auc is None or at_fit.auc - now.auc <= self.settings.auc:
            return False
        errors = [
            auc_error(one.auc or 0.5, float(one.positives.sum()), float(one.negatives.sum())) for one in (now, at_fit)
        ]
        return at_fit.auc - now.auc > self.z * math.hypot(*errors)


def held_out(at_fit: dict[str, Coverage]) -> Coverage:
    """Return the coverage of the rows that were held out at fit."""
    return sum((one for part, one in at_fit.items() if part in HELD_OUT), Coverage())


def _measured(one: TaskProfile) -> dict[str, Any]:
    """Return rows, mean label and score, and what the scores are worth, of the rows with a label."""
    labelled, labels, scores = (np.asarray(values, np.float64) for values in (one.labelled, one.labels, one.scores))
    rows = labelled.sum()
    found = {"rows": int(rows), "rate": float(labels.sum() / rows), "mean_score": float(scores.sum() / rows)}
    if not one.binary:
        return found | {"rmse": math.sqrt(one.loss / rows)}
    error = float(np.abs(labels - scores).sum() / rows)
    ratio = float((scores.sum() + 0.5) / (labels.sum() + 0.5))
    return found | {"ratio": ratio, "calibration_error": error, "auc": one.auc, "log_loss": one.loss / rows}


def _positives(one: TaskProfile) -> tuple[float, float]:
    return sum(one.labels), sum(one.labelled)


def _ratio_error(now: TaskProfile, at_fit: TaskProfile) -> float:
    """Return the standard error of the logarithm of the change of expected over observed labels."""
    return math.sqrt(sum(1 / (sum(one.labels) + 0.5) for one in (now, at_fit)))


def _share(counts: Counts, kind: str) -> tuple[int, int]:
    return (counts.missing, counts.rows) if kind == "missing" else (counts.unknown, counts.values)


def _relative(now: float, at_fit: float) -> float:
    return (now - at_fit) / abs(at_fit) if at_fit else math.inf if now else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
