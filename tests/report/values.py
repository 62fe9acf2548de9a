"""A run and its values: everything a report shows, with names that mean harm."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from typing import Any

from automtl.paper import REPRODUCTIONS
from automtl.paper.base import SEARCHED
from automtl.report.folder import reproduction_files
from automtl.report.run import RunValues
from automtl.report.style import drawing
from tests.report.leaderboard import leaderboard_rows

NAMES = ("<script>alert(1)</script>", '$\\frac{1}{2}$ & "quotes"', "点击率" * 12, "line\nbreak\x00\x1b", "a_very_" * 12)
OPERATIONS = ("skip", "mlp-1024", "my_package.some_module.layers:AnOperationOfMine", "conv-7")


def architecture(num_experts: int = 8, num_tasks: int = 5, keep: int = 3, layers: int = 3) -> dict[str, Any]:
    """Drawn at random, the same each time."""
    rng = random.Random(0)
    drawn = [[rng.choice(OPERATIONS) for _ in range(layers)] for _ in range(num_experts)]
    choices = {"interaction": ["attention-8"], "pooling": ["attentive"] * num_experts}
    choices |= {f"layer_{depth + 1}": [expert[depth] for expert in drawn] for depth in range(layers)}
    selection = [sorted(rng.sample(range(num_experts), keep)) for _ in range(num_tasks)]
    return {"choices": choices, "selection": selection}


def run_values(tasks: tuple[str, ...] = NAMES, looks: int = 16, num_experts: int = 8) -> RunValues:
    """A run of a differentiable search over these tasks; the last task's AUC is undefined on test rows."""
    found = architecture(num_experts, len(tasks))
    metrics = {
        "auc": 0.75, "gauc": {"undefined": "there is no group column"}, "log_loss": 0.5, "pr_auc": 0.4,
        "calibration_error": 0.01, "rows": 2000.0,
    }  # fmt: skip
    undefined = {"auc": {"undefined": "every label is 0"}, "pr_auc": {"undefined": "every label is 0"}}
    test = {task: metrics | (undefined if task == tasks[-1] else {}) for task in tasks}
    fields = [{"name": name, "kind": kind} for name, kind in zip(NAMES, ["categorical", "numeric", "multi"] * 2)]
    curve = [[index / 19, math.sqrt(index / 19)] for index in range(20)]
    binary = [{"name": task, "kind": "binary"} for task in tasks]
    return RunValues(
        model={"members": [{"name": "automtl 1", "model": "automtl", "network": {}, "architecture": found}]},
        schema={"fields": fields, "tasks": binary, "target_encoding": [[NAMES[0]]]},
        metrics={
            "validation": {"tasks": dict.fromkeys(tasks, metrics), "mtl_loss": 0.5},
            "test": {"tasks": test, "mtl_loss": {"undefined": f"task '{tasks[-1]}': every label is 0"}},
            "rows": {"train": 14000, "validation": 2000, "test": 4000}, "parameters": 243152,
            "preset": "all inputs", "seed": 0, "seconds": {"search": 48.6, "training": 7.0, "total": 61.2},
            "peak_memory_bytes": 861614080, "findings": findings(), "waterfall": {"steps": waterfall_steps(tasks)},
        },
        history={"search": _search(found, looks, len(tasks), num_experts), "training": _training(tasks),
                 "leaderboard": leaderboard_rows(tasks, [*NAMES, *(f"automtl-{place}" for place in range(9))])},
        settings={"seed": 0, "space": {"experts": num_experts}, "search": {"stop_threshold": 0.5}, "presets": []},
        curves={
            "gates": [[0.0 if e not in chosen else 1 / len(chosen) for e in range(num_experts)]
                      for chosen in found["selection"]],
            "labels": {part: {task: {"rows": 10, "mean": 0.25} for task in tasks} for part in ("train", "test")},
            "tasks": {task: {"roc": curve if task != tasks[-1] else [], "calibration": curve} for task in tasks},
        },
        version="0.1.0",
    )  # fmt: skip


def waterfall_steps(tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """Steps that are better, worse, and within noise; the last task's metric is undefined."""
    undefined, found, value = {tasks[-1]: {"undefined": "every label is 0"}}, [], 0.71
    for place, name in enumerate(("base network", "histories", NAMES[0], "ensemble", "distillation")):
        mean = (0.0, 0.021, 0.0002, 0.004, -0.0015)[place]
        value += mean
        gain = {task: {"mean": mean, "low": mean - 0.001, "high": mean + 0.001} for task in tasks[:-1]}
        test = dict.fromkeys(tasks, value) | undefined
        found.append({"name": name, "what": NAMES[1], "test": test, "gain": gain if place else None})
    return found


def findings() -> list[dict[str, Any]]:
    """A warning and a note of the data checks."""
    words = {"check": "leakage", "value": 0.9, "evidence": f"tells {NAMES[0]} with AUC 0.93", "task": None}
    return [words | {"level": level, "column": name, "remedy": "drop it"}
            for level, name in zip(("warning", "note"), NAMES)]  # fmt: skip


def _search(found: dict[str, Any], looks: int, num_tasks: int, num_experts: int) -> dict[str, Any]:
    options = {"interaction": ["skip", "cross-1", "attention-8"], "pooling": ["sum", "attentive"]}
    options |= {f"layer_{depth}": list(OPERATIONS) for depth in (1, 2, 3)}
    rng = random.Random(1)
    records = [
        {
            "step": 10 * look, "train_loss": 0.6 - look / 100, "valid_loss": 0.62 - look / 100, "valid_auc": {},
            "alpha": {choice: [_shares(rng, len(names)) for _ in range(1 if choice == "interaction" else num_experts)]
                      for choice, names in options.items()},
            "beta": [_shares(rng, num_experts) for _ in range(num_tasks)],
            "architecture": found, "skips": look % 4, "stopped": 3 * look,
            "gradient_difference": [0.2, 0.5, 0.7, 0.9, 1.2] if look > 4 else [0.0] * 5,
        }
        for look in range(1, looks + 1)
    ]  # fmt: skip
    stopped = [
        {"choice": "layer_1", "cell": cell, "operation": OPERATIONS[2], "step": 40 + cell}
        for cell in range(num_experts)
    ]
    return {"options": options, "left": options, "steps": 10 * looks, "warm_up": 50, "records": records,
            "stopped": stopped}  # fmt: skip


def _shares(rng: random.Random, count: int) -> list[float]:
    drawn = [rng.random() for _ in range(count)]
    return [value / sum(drawn) for value in drawn]


def _training(tasks: tuple[str, ...]) -> dict[str, Any]:
    checks = [
        {"epoch": epoch, "rows": 1000 * epoch, "train_loss": 0.7 - epoch / 50, "score": 0.9, "loss": 0.6 - epoch / 60,
         "auc": {task: 0.6 + epoch / 40 + place / 200 for place, task in enumerate(tasks)}}
        for epoch in range(6)
    ]  # fmt: skip
    return {"best": 3, "evaluations": checks}


def crowded_run() -> RunValues:
    """A run of nine tasks with long names, a short search, and importance."""
    tasks = tuple(f"probability_of_something_{place}" for place in range(9))
    importance = [
        {"column": name, "task": task, "metric": "auc", "base": 0.75, "drop": place / 3000, "spread": 0.0004}
        for place, name in enumerate((*NAMES, *(f"column_{place}" for place in range(12))))
        for task in tasks[:2]
    ]
    return replace(run_values(tasks, looks=7, num_experts=12), importance=importance)


def explained_rows() -> list[dict[str, Any]]:
    """Two rows, explained for a binary and a regression task."""
    parts = [
        {"column": name, "value": None if place == 2 else f"value {place} of {NAMES[0]}",
         "contribution": (3 - place) / 7 + 0.001, "error": 0.01 * place}
        for place, name in enumerate((*NAMES, "histories of user_id", *(f"column_{one}" for one in range(12))))
    ]  # fmt: skip
    return [
        {"row": row, "task": task, "scale": scale, "score": 0.3, "output": -0.9, "base": -1.1, "contributions": parts}
        for row in (1, 41) for task, scale in ((NAMES[0], "logit"), ("watch_seconds", "value"))
    ]  # fmt: skip


def drift_values() -> dict[str, Any]:
    """A table of which one column drifted."""
    moved = {"psi": 0.31, "chance": 0.01, "js": 0.2, "now": [0, 50, 30, 20], "at_fit": [0, 20, 30, 50]}
    shares = {"now": 0.1, "at_fit": 0.02}
    return {
        "automtl": "0.1.0", "table": NAMES[0], "model": NAMES[1], "rows": {"now": 100, "at_fit": 100}, "labelled": [],
        "ignored": [NAMES[3]], "drift": [f"column '{NAMES[0]}' moved"], "settings": {"psi": 0.2, "auc": 0.02},
        "columns": [moved | {"name": name, "kind": "ids", "drift": name == NAMES[0]} for name in NAMES],
        "fields": [{"name": NAMES[2], "missing": shares, "unknown": shares, "drift": False}],
        "tasks": [{"name": NAMES[4], "scores": moved, "labels": {"rows": shares, "auc": shares}, "drift": False}],
    }  # fmt: skip


def comparison_values(tasks: tuple[str, ...] = NAMES[:3]) -> dict[str, Any]:
    """Three models that ended well on these tasks, and one that failed."""
    rng = random.Random(2)
    names = ("automtl", "mmoe", "shared-bottom", "a-contender-with-a-rather-long-name")
    models = {name: _contender(rng, tasks, name == "automtl", 0.70 - place / 50) for place, name in enumerate(names)}
    models[NAMES[0]] = {
        "seeds": [], "summary": {"tasks": {}, "mtl_loss": {"mean": None, "std": None, "n": 0}},
        "tuning": {"chosen": None, "trials": []}, "failed": f"no convergence in {NAMES[0]}",
    }  # fmt: skip
    significance = {task: _significance(task, place) for place, task in enumerate(tasks)}
    return {
        "format": 1, "automtl": "0.1.0", "reference": "automtl", "seeds": [0, 1, 2], "trials": 6,
        "table": {"name": NAMES[0], "rows": {"train": 14000, "validation": 2000, "test": 4000}},
        "tasks": [{"name": task, "kind": "binary", "positive_rate": 0.02} for task in tasks],
        "models": models, "significance": significance, "findings": findings(),
        "sentence": "automtl is better on some tasks",
    }  # fmt: skip


def crowded_comparison() -> dict[str, Any]:
    """Sixteen models that cost and lose much the same."""
    values, rng = comparison_values(), random.Random(3)
    names = ("automtl", "mmoe", *(f"contender-{place}" for place in range(14)))
    tasks = tuple(task["name"] for task in values["tasks"])
    models = {name: _contender(rng, tasks, True, 0.70 + rng.random() / 200) for name in names}
    return values | {"models": models}


def _contender(rng: random.Random, tasks: tuple[str, ...], searched: bool, level: float) -> dict[str, Any]:
    found = [{task: {"auc": level + rng.random() / 50, "log_loss": 0.5, "rows": 9.0} for task in tasks} for _ in "123"]
    seeds = [
        {"seed": seed, "validation": {"tasks": values, "mtl_loss": 0.5}, "test": {"tasks": values, "mtl_loss": 0.5},
         "parameters": int(1e6 * level), "flops_per_row": 1e5 * level if searched else None, "peak_memory_bytes": 2**30,
         "seconds": {"search": 50.0 if searched else 0.0, "training": 20.0},
         "architecture": architecture(num_tasks=len(tasks)) if searched else None,
         "gates": [[0.125] * 8 for _ in tasks] if searched else None}
        for seed, values in enumerate(found)
    ]  # fmt: skip
    summary = {
        task: {"auc": _spread([values[task]["auc"] for values in found]), "log_loss": _spread([0.5] * 3)}
        for task in tasks
    }
    return {
        "seeds": seeds, "summary": {"tasks": summary, "mtl_loss": _spread([1.2 - level] * 3)}, "failed": None,
        "tuning": {"chosen": {"learning_rate": 1e-3, "width": "64"}, "trials": [{"settings": {}, "score": 0.9}] * 6},
    }  # fmt: skip


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values), "n": len(values)}


def _significance(task: str, place: int) -> dict[str, Any]:
    if place == 2:
        return {
            "metric": "auc",
            "rival": None,
            "conclusion": "undefined",
            "sentence": f"automtl cannot be judged on {task}",
        }
    difference = 0.012 - 0.01 * place
    return {
        "metric": "auc", "rival": "mmoe", "ours": 0.7, "theirs": 0.7 - difference, "difference": difference,
        "interval": [difference - 0.005, difference + 0.005], "t_p": 0.01, "bootstrap_p": 0.01, "holm_t_p": 0.02,
        "holm_bootstrap_p": 0.02, "conclusion": ("better", "within noise")[place],
        "sentence": f"automtl is better than mmoe on {task}",
    }  # fmt: skip


def reproduction_report() -> str:
    """One page of tables and pictures of several reproductions."""
    compared, records = comparison_values(), _search(architecture(), 16, 5, 8)["records"]
    tasks = [{"name": name, "kind": "binary"} for name in NAMES]
    searches = {name: [{"seed": 0, "records": records}] for name in (SEARCHED, "no-auxiliary-loss", "darts")}
    kept = {name: place for place, name in enumerate(compared["models"], start=1) if name != NAMES[0]}
    values: dict[str, dict[str, Any]] = {
        "TABLE3": compared,
        "FIGURE3": {"tasks": tasks, "summary": {}, "searches": {n: searches[n] for n in list(searches)[:2]}},
        "FIGURE4": {"summary": {}, "threshold": 0.5, "searches": {n: searches[n] for n in ("darts", SEARCHED)}},
        "FIGURE5": compared | {"kept": kept},
        "FIGURE6": {"tasks": compared["tasks"], "fields": ["3 categorical"], "operations": {"layer": {NAMES[0]: 3}},
                    "architectures": compared["models"]["automtl"]["seeds"]},
    }  # fmt: skip
    with drawing():
        tables = [table for name, found in values.items() for table in REPRODUCTIONS[name].tables(found)]
        pictures = [
            replace(picture, name=f"{name}-{picture.name}")
            for name, found in values.items()
            for picture in REPRODUCTIONS[name].pictures(found)
        ]
        words = {"reproduction": "TABLE3", "title": NAMES[0], "paper": NAMES[1], "note": NAMES[2]}
        found = compared | words | {"failed": {NAMES[0]: NAMES[3]}, "sentences": NAMES}
        return reproduction_files(found, tables, pictures)["TABLE3.html"]
