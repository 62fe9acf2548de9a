"""Time and peak memory of one step as a table and a search space grow: cost curves.

Four kinds of step: of the search as published and of the default one at its start, of training an MMoE and a derived
model. Four axes: rows of a batch, tasks, experts, fields; where one moves, the others stay (1024 rows, 4 tasks, 8
experts, 8 categorical fields of 1000 ids and size 16).

Each point is measured in a process of its own. Seconds are the median of several runs. Memory is the most that the
process held resident, less what it held when torch and the library were loaded: weights, the optimizer's state, the
rows, temporaries, and what training keeps of freed memory.

A step of the search as published moves alpha on a validation batch, and weights and beta on a training batch. A step of
the progressive search runs two drawn candidates of each choice, every second one also moves alpha; the mean over a
round in which each candidate has its turn is taken, before any is given up. The derived model has one fixed pattern of
operations, and all experts of its space. Products are in the precision that is the default on the machine.

Results go to benchmarks/results/curves.json, axis by axis, so that some can be measured again; `--draw` alone draws
them. Drawing needs the extra `plots`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "curves.json"
IMAGES = HERE.parent / "docs" / "images"


@dataclass(frozen=True)
class Point:
    """What a step is measured at."""

    rows: int = 1024
    tasks: int = 4
    experts: int = 8
    fields: int = 8


AXES: Mapping[str, tuple[int, ...]] = {
    "rows": (256, 512, 1024, 2048, 4096),
    "tasks": (1, 2, 4, 8, 16),
    "experts": (2, 4, 8, 16),
    "fields": (4, 8, 16, 32, 64),
}
KINDS = {
    "published": "search step, as published",
    "progressive": "search step, progressive",
    "derived": "training step, derived model",
    "mmoe": "training step, MMoE",
}
LABELS = {
    "rows": "rows of a batch",
    "tasks": "tasks",
    "experts": "experts",
    "fields": "fields",
}
VOCABULARY, EMBEDDING = 1000, 16
PATTERN = ("mlp-64", "hidden-gate", "mlp-128", "skip", "conv-3")  # of the derived model's expert layers, in turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="*", choices=AXES, default=list(AXES))
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--draw", action="store_true", help="only draw what was measured before")
    parser.add_argument(
        "--measure", help=argparse.SUPPRESS
    )  # a kind and a point as JSON: what a process is started for
    chosen = parser.parse_args()
    if chosen.measure:
        kind, point = json.loads(chosen.measure)
        print(json.dumps(measured(kind, Point(**point))))
        return
    for axis in () if chosen.draw else chosen.axes:
        save(axis, {kind: curve(kind, axis) for kind in chosen.kinds})
    for axis, found in read_results().items():
        draw(axis, found)


# --- one process a point -----------------------------------------------------------------------------------------


def curve(kind: str, axis: str) -> list[dict[str, float]]:
    """One kind of step along an axis, each point in a fresh process."""
    found = []
    for value in AXES[axis]:
        task = json.dumps([kind, asdict(replace(Point(), **{axis: value}))])
        command = [sys.executable, __file__, "--measure", task]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{kind} at {axis} {value} failed:\n{done.stderr}")
        found.append({axis: value} | json.loads(done.stdout))
        print(
            f"{KINDS[kind]:30}{value:>6} {axis:8}{found[-1]['milliseconds']:>10.1f} ms{found[-1]['megabytes']:>9.0f} MB"
        )
        sys.stdout.flush()
    return found


def measured(kind: str, point: Point) -> dict[str, float]:
    """Milliseconds of a step and megabytes at the peak, in this process."""
    from automtl.system.denormal import ignore_denormals
    from automtl.system.memory import keep_freed_memory

    load_everything()
    with ignore_denormals(), keep_freed_memory():
        return timed(kind, point)


def timed(kind: str, point: Point) -> dict[str, float]:
    """What `measured` gives, in a process that is set up."""
    base = resident_bytes("VmRSS")
    steps, rounds, make = RUNS[kind]
    run = make(point)
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            run()
        seconds.append((time.perf_counter() - start) / steps)
    held = resident_bytes("VmHWM") - base
    return {"milliseconds": round(statistics.median(seconds) * 1e3, 2), "megabytes": round(max(held, 0) / 2**20, 1)}


def load_everything() -> None:
    """Import what the steps use, and let torch load its kernels, before the base is taken."""
    import torch

    import automtl.search.search_run  # noqa: F401

    x = torch.randn(64, 64, requires_grad=True)
    torch.bmm(x[None], x[None]).relu().sum().backward()
    torch.optim.Adam([x], fused=True).step()


def resident_bytes(what: str) -> int:
    """VmRSS: memory of this process that is resident; VmHWM: the most there was. Linux alone tells both.

    `resource.getrusage` also knows the peak, but a process inherits that of the one that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == what:
            return int(value.split()[0]) * 1024
    raise SystemExit(f"/proc/self/status has no {what}")


# --- the steps ---------------------------------------------------------------------------------------------------


def search_step(point: Point, settings: Any) -> Callable[[], None]:
    """A step of a search past its warm-up and alpha's rest, on made-up rows."""
    from automtl.models.settings import NetworkSettings
    from automtl.search import SearchProblem
    from automtl.search.procedure import Procedure
    from automtl.search.search_run import SearchRun
    from automtl.space import SpaceSettings, published_space
    from automtl.system.progress import ignore
    from automtl.training.settings import TrainingSettings

    sizes, rows = table(point, 4)
    space = published_space(SpaceSettings(experts=point.experts), point.tasks)
    train, valid = rows.take(slice(0, 3 * point.rows)), rows.take(slice(3 * point.rows, None))
    problem = SearchProblem(space, sizes, train, valid, NetworkSettings(EMBEDDING), TrainingSettings())
    late = replace(settings, batch_size=point.rows, warm_up=0.0, min_steps=2000, max_steps=2000)
    run = SearchRun(problem, late, replace(Procedure.of(late), architecture_rest=0.0), 0)
    return lambda: run.advance(ignore)


def published_step(point: Point) -> Callable[[], None]:
    """All candidates, alpha in every step."""
    from automtl.search import published
    from automtl.search.settings import RegularizedSettings

    return search_step(point, published(RegularizedSettings))


def progressive_step(point: Point) -> Callable[[], None]:
    """The default search."""
    from automtl.search.progressive import ProgressiveSettings

    return search_step(point, ProgressiveSettings())


def training_step(make: Callable[..., Any], point: Point) -> Callable[[], None]:
    """Forward, backward and update of a model of (layout, settings, point)."""
    from automtl.models.settings import NetworkSettings
    from automtl.system.hardware import device_of, precision
    from automtl.training.losses import MultiTaskLoss
    from automtl.training.settings import TrainingSettings
    from automtl.training.updates import Updates

    sizes, batch = table(point, 1)
    model, loss = make(sizes, NetworkSettings(EMBEDDING), point), MultiTaskLoss(sizes.tasks)
    settings = TrainingSettings(batch_size=point.rows)
    updates, numbers = Updates(model, batch, settings), precision(settings.precision, device_of(model))

    def step() -> None:
        with numbers:
            logits = model(batch.features)
        updates.step(loss(logits.float(), batch))

    return step


def derived_model(sizes: Any, settings: Any, point: Point) -> Any:
    """A cross network of two layers; experts that pool by a linear map and follow the pattern; each task keeps as many
    experts as usual, or more, so that none is idle."""
    from automtl.models.network import build
    from automtl.operations import operation
    from automtl.space import Architecture, SpaceSettings, published_space

    count = range(point.experts)
    space = published_space(SpaceSettings(experts=point.experts), point.tasks)
    choices = {"interaction": (operation("cross-2"),), "pooling": (operation("linear"),) * point.experts}
    for depth, name in enumerate(name for name in space.choices if name not in choices):
        choices[name] = tuple(operation(PATTERN[(expert + depth) % len(PATTERN)]) for expert in count)
    keep = max(space.keep, -(-point.experts // point.tasks))
    chosen = tuple(
        tuple(sorted({(task * keep + place) % point.experts for place in range(keep)})) for task in range(point.tasks)
    )
    return build(space.narrow(Architecture(choices, chosen)), sizes, settings, 0)


def mmoe_model(sizes: Any, settings: Any, point: Point) -> Any:
    """The library's MMoE, with the number of experts as asked."""
    import torch

    from automtl.models.baselines.base import make_experts
    from automtl.models.baselines.mmoe import MMoE
    from automtl.nn.gate import Gate

    generator, width = torch.Generator().manual_seed(0), sizes.num_fields * settings.embedding_size
    model = MMoE(sizes, settings, generator)
    model.experts = make_experts(point.experts, width, settings.width, generator)
    model.gate = Gate(width, point.experts, [range(point.experts)] * point.tasks, generator)
    return model


def table(point: Point, batches: int) -> tuple[Any, Any]:
    """A layout and so many batches of encoded rows."""
    import torch

    from automtl.features.batch import Batch, Features
    from automtl.features.layout import CategoricalLayout, Layout
    from automtl.tables.schema import Task

    generator, count = torch.Generator().manual_seed(0), batches * point.rows
    fields = tuple(CategoricalLayout(f"id{index}", VOCABULARY) for index in range(point.fields))
    tasks = tuple(Task(f"t{index}") for index in range(point.tasks))
    ids = torch.randint(0, VOCABULARY, (count, point.fields), generator=generator, dtype=torch.int32)
    labels = torch.randint(0, 2, (count, point.tasks), generator=generator).float()
    rows = Batch(Features(ids, (), torch.zeros(count, 0)), labels, torch.ones_like(labels), torch.ones(count))
    return Layout(fields, (), (), tasks), rows


# Steps of a run, runs, and what makes the step.
RUNS: Mapping[str, tuple[int, int, Callable[[Point], Callable[[], None]]]] = {
    "published": (1, 7, published_step),
    "progressive": (14, 3, progressive_step),
    "derived": (3, 7, lambda point: training_step(derived_model, point)),
    "mmoe": (3, 9, lambda point: training_step(mmoe_model, point)),
}


# --- results and pictures ----------------------------------------------------------------------------------------


def read_results() -> dict[str, Any]:
    """By axis and kind: machine, commit, versions and points."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return {axis: found[axis] for axis in AXES if axis in found}


def save(axis: str, curves: Mapping[str, Any]) -> None:
    """Put an axis in place of what was measured before; kinds that were not measured now stay."""
    from common import commit, machine, versions

    results = read_results()
    about = {"machine": machine(), "commit": commit(), "versions": versions()}
    found = results.get(axis, {}) | {kind: about | {"points": points} for kind, points in curves.items()}
    results[axis] = {kind: found[kind] for kind in KINDS if kind in found}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


GREY = "#808080"  # to be read on white and on black
COLOURS = {"published": "#d1495b", "progressive": "#2a9d8f", "derived": "#4d8fd6", "mmoe": "#c98a1b"}
MARKERS = {"published": "o", "progressive": "s", "derived": "^", "mmoe": "D"}


def draw(axis: str, found: Mapping[str, Any]) -> Path:
    """Time and memory along an axis as SVG, the same bytes for the same figures."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "automtl", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
    style |= dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    with matplotlib.rc_context(style):
        figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        for panel, (key, label) in zip(
            panels, (("milliseconds", "milliseconds a step"), ("megabytes", "peak memory, MB")), strict=True
        ):
            draw_panel(panel, axis, found, key, label)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
        path = IMAGES / f"cost-{axis}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    return path


def draw_panel(panel: Any, axis: str, curves: Mapping[str, Any], key: str, label: str) -> None:
    """One figure over one axis, both on scales where a straight line of slope one is a cost in proportion."""
    from matplotlib.ticker import LogLocator

    for kind, found in curves.items():
        points = found["points"]
        places, heights = [point[axis] for point in points], [point[key] for point in points]
        panel.plot(
            places, heights, color=COLOURS[kind], marker=MARKERS[kind], markersize=5, linewidth=1.6, label=KINDS[kind]
        )
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(AXES[axis], [f"{value}" for value in AXES[axis]])
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.minorticks_off()
    panel.set_xlabel(LABELS[axis])
    panel.set_ylabel(label)
    panel.grid(color=GREY, alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
