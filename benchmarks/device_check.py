"""The first run on a graphics card: is it right there, and how quick? Made to end in less than eight minutes.

`--device cpu --small` runs the same on a processor, in a minute or two, to check the script. Each part prints a line
and fails by itself; the exit code is 1 where a part has failed. The parts:

operations, models   outputs and gradients on the device against those on the processor, in full precision
waits                training and search steps during which torch raises for anything that waits for the card
fit, search          on a table made here, on the device; the fit is held against one on the processor
predict              logits of a trained model on the device against those on the processor, and rows a second
compile              a training step through torch.compile: its time, and the same losses
bf16                 logits and time of a step in bf16 against full precision
memory               peak of a training step, beside the weights
supernet             a step of the published supernet against a plain loop of torch.nn layers, and against what the
                     device needs for the arithmetic alone, at the speed of one large product of the same type
"""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

import automtl
from automtl.features.batch import Batch, Features
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.registry import MODELS, new_model
from automtl.models.settings import NetworkSettings
from automtl.models.supernet import Supernet
from automtl.operations import Operation, operation
from automtl.search import STRATEGIES
from automtl.space import SpaceSettings, published_space
from automtl.space.presets import PRESETS
from automtl.system.hardware import has_bf16, precision
from automtl.tables.schema import Task
from automtl.testing.examples import small_batch, small_layout
from automtl.testing.models import make_model
from automtl.testing.operations import make_block, make_inputs, settings_of
from automtl.testing.strategies import small_problem
from automtl.training.evaluation import predict_logits
from automtl.training.fit import SelfTrained
from automtl.training.losses import MultiTaskLoss
from automtl.training.passes import Passes, Place
from automtl.training.settings import TrainingSettings
from automtl.training.updates import updating
from common import arguments, report
from plain_supernet import PlainSupernet

TASKS = tuple(Task(name) for name in ("click", "cart", "buy", "like"))
CLOSE = 1e-3  # largest difference of a number, as a share of the largest one: products in another order


@dataclass
class Check:
    """A device and the sizes of the parts; `found`: their figures."""

    device: torch.device
    small: bool
    found: dict[str, Any] = field(default_factory=dict)

    def size(self, large: int, small: int) -> int:
        return small if self.small else large

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, run: Callable[[], object], tries: int = 10) -> float:
        """Return the seconds of one call; the first calls are left out."""
        tries = 2 if self.small else tries
        for _ in range(1 if self.small else 3):
            run()
        self.wait()
        start = time.perf_counter()
        for _ in range(tries):
            run()
        self.wait()
        return (time.perf_counter() - start) / tries


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest number."""
    here, there = one.detach().double().cpu(), other.detach().double().cpu()
    return float((here - there).abs().max() / here.abs().max().clamp(min=1e-6)) if here.numel() else 0.0


def outcomes(module: nn.Module, run: Callable[[nn.Module], Tensor]) -> list[Tensor]:
    """The output of a module, and the gradients of its parameters."""
    module.zero_grad(set_to_none=True)
    out = run(module)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.device)
    (out * probe).sum().backward()
    return [out, *(one.grad for one in module.parameters() if one.grad is not None)]


def same(module: nn.Module, run: Callable[[nn.Module, torch.device], Tensor], device: torch.device) -> float:
    here = outcomes(module, lambda made: run(made, torch.device("cpu")))
    there = outcomes(copy.deepcopy(module).to(device), lambda made: run(made, device))
    return max(apart(a, b) for a, b in zip(here, there, strict=True))


def operations(check: Check) -> dict[str, Any]:
    texts = [t for one in PRESETS.values() for some in (one.interactions, one.poolings, one.layers) for t in some]
    tested = list(dict.fromkeys(map(operation, texts)))
    if check.small:
        tested = list({type(one): one for one in tested}.values())
    worst = {str(one): max(_operation(one, check.device)) for one in tested}
    return {"count": len(worst), **_worst(worst)}


def _operation(tested: Operation, device: torch.device) -> list[float]:
    found = []
    for block, options in settings_of(tested):
        made, x = make_block(block, options), make_inputs(block)
        weights = torch.rand(made.stack, len(options), generator=torch.Generator().manual_seed(2))
        found.append(same(made, lambda each, to, x=x, w=weights: each(x.to(to), w.to(to)), device))  # type: ignore[misc]
    return found


def _worst(found: dict[str, float]) -> dict[str, Any]:
    name = max(found, key=lambda each: found[each])
    assert found[name] < CLOSE, f"{name} differs by {found[name]:.1e}"
    return {"worst": name, "difference": found[name]}


def trained_by_gradients() -> dict[str, Any]:
    return {name: one for name, one in MODELS.members().items() if not issubclass(one, SelfTrained)}  # type: ignore[arg-type]


def models(check: Check) -> dict[str, Any]:
    features = small_batch().features
    worst = {
        name: same(make_model(one).eval(), lambda made, to: made(features.to(to)), check.device)
        for name, one in trained_by_gradients().items()
    }
    return {"count": len(worst), **_worst(worst)}


@contextmanager
def no_waits(check: Check) -> Any:
    """Let torch raise where something waits for the card."""
    if check.device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def waits(check: Check) -> dict[str, Any]:
    rows, tasks = small_batch(64).to(check.device), small_layout().tasks
    for one in trained_by_gradients().values():
        settings = TrainingSettings(batch_size=32, device=str(check.device), embedding_updates="row-wise")
        model = make_model(one).to(check.device).train()
        with updating(model, rows, settings) as updates:
            passes = Passes(model, rows, MultiTaskLoss(tasks, sampled=True), updates, settings)
            place = Place.first(0, len(tasks), settings, check.device)
            passes._step(rows.take(slice(0, 32)), place)  # what is made once
            with no_waits(check):
                passes._step(rows.take(slice(32, 64)), place)
    problem = small_problem()
    problem = replace(problem, training=replace(problem.training, device=str(check.device)))
    kind = STRATEGIES.find("darts")
    run = kind(kind.settings_class()(batch_size=32, min_steps=20, max_steps=20)).begin(problem, 0)
    run.train.batch(2), run.valid.batch(2)
    run.state.step = 2
    plan = replace(run.plan(), compares=False)
    run.move_weights(plan)
    with no_waits(check):
        run.move_architecture(plan)
        run.move_weights(plan)
    return {"models": len(trained_by_gradients()), "waits": 0}


def settings_for(check: Check, device: str, **changes: Any) -> Any:
    training = {"epochs": 2, "device": device, **changes}
    search = {"min_steps": 20, "max_steps": check.size(100, 20)}
    values = {"presets": [], "training": training, "strategy": "progressive", "search": search}
    return automtl.read_settings(None, values)


def log_loss(run: Any) -> float:
    """The mean of the tasks on test rows."""
    tasks = run.metrics["test"]["tasks"].values()
    return round(sum(one["log_loss"] for one in tasks) / len(tasks), 5)


def fits(check: Check) -> dict[str, Any]:
    log = automtl.synthetic_log(rows=check.size(100_000, 2_000), seed=0)
    found: dict[str, Any] = {}
    for name, device in (("device", str(check.device)), ("processor", "cpu")):
        start = time.perf_counter()
        settings = replace(settings_for(check, device, precision="full"), model="mmoe")
        run = automtl.fit_table(log, ["click", "buy"], settings=settings, seed=0)
        found[f"seconds_{name}"] = round(time.perf_counter() - start, 1)
        found[f"loss_{name}"] = log_loss(run)
    assert abs(found["loss_device"] / found["loss_processor"] - 1) < 0.02, found
    return found


def search(check: Check) -> dict[str, Any]:
    log = automtl.synthetic_log(rows=check.size(100_000, 2_000), seed=0)
    start = time.perf_counter()
    run = automtl.fit_table(log, ["click", "buy"], settings=settings_for(check, str(check.device)), seed=0)
    seconds = round(time.perf_counter() - start, 1)
    return {"seconds": seconds, "loss": log_loss(run)}


def wide_rows(count: int, fields: int = 16, ids: int = 10_000) -> tuple[Layout, Batch]:
    generator = torch.Generator().manual_seed(0)
    layout = Layout(tuple(CategoricalLayout(f"f{n}", ids) for n in range(fields)), (), (), TASKS)
    features = Features(
        torch.randint(0, ids, (count, fields), generator=generator, dtype=torch.int32), (), torch.zeros(count, 0)
    )
    labels = torch.randint(0, 2, (count, len(TASKS)), generator=generator).float()
    return layout, Batch(features, labels, torch.ones_like(labels), torch.ones(count))


def predict(check: Check) -> dict[str, Any]:
    layout, rows = wide_rows(check.size(1_000_000, 20_000))
    model = new_model("mmoe", layout, NetworkSettings(), 0)
    here = predict_logits(model, rows.take(slice(0, 5_000)))
    model.to(check.device)
    seconds = check.seconds(lambda: predict_logits(model, rows), tries=2)
    difference = apart(here, predict_logits(model, rows)[:5_000])
    assert difference < CLOSE, difference
    return {"difference": difference, "million_rows_a_second": round(len(rows) / seconds / 1e6, 2)}


def stepping(check: Check, size: int, **changes: Any) -> tuple[Passes, Callable[[], Any]]:
    """A training step of a wide MMoE on rows that are on the device."""
    layout, rows = wide_rows(size)
    settings = TrainingSettings(batch_size=size, device=str(check.device), **changes)
    model, rows = new_model("mmoe", layout, NetworkSettings(64, width=128), 0).to(check.device), rows.to(check.device)
    with updating(model, rows, settings) as updates:
        passes = Passes(model, rows, MultiTaskLoss(TASKS), updates, settings)
    place = Place.first(0, len(TASKS), settings, check.device)
    return passes, lambda: passes._step(rows, place)


def compiled(check: Check) -> dict[str, Any]:
    found = {}
    for name, flag in (("plain", False), ("compiled", True)):
        _, step = stepping(check, check.size(8192, 256), precision="full", compile=flag)
        start = time.perf_counter()
        step()
        check.wait()
        found[f"{name}_first_seconds"] = round(time.perf_counter() - start, 2)
        found[f"{name}_ms"] = round(1e3 * check.seconds(step), 2)
    return found


def bf16(check: Check) -> dict[str, Any]:
    if not has_bf16(check.device):
        return {"left out": "no instructions for bf16"}
    found: dict[str, Any] = {}
    for name in ("full", "bf16"):
        _, step = stepping(check, check.size(8192, 256), precision=name)
        found[f"{name}_ms"] = round(1e3 * check.seconds(step), 2)
    layout, rows = wide_rows(4096)
    model = new_model("mmoe", layout, NetworkSettings(64, width=128), 0).to(check.device).eval()
    full, less = (predict_logits(model, rows, name) for name in ("full", "auto"))  # type: ignore[arg-type]
    found["difference"] = apart(full, less)
    assert found["difference"] < 0.05, found
    return found


def memory(check: Check) -> dict[str, Any]:
    if check.device.type != "cuda":
        return {"left out": "counted on cards alone"}
    torch.cuda.reset_peak_memory_stats(check.device)
    passes, step = stepping(check, 8192)
    step()
    weights = sum(one.numel() for one in passes.model.parameters()) * 4
    return {"weights_mb": round(weights / 1e6), "peak_mb": round(torch.cuda.max_memory_allocated(check.device) / 1e6)}


def product_speed(check: Check, dtype: torch.dtype) -> float:
    """FLOP a second of a large product."""
    size = check.size(8192, 512)
    a, b = (torch.randn(size, size, device=check.device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / check.seconds(lambda: a @ b)


def supernet(check: Check) -> dict[str, Any]:
    rows, dim = check.size(4096, 64), check.size(64, 16)
    generator = torch.Generator().manual_seed(0)
    layout, batch = wide_rows(rows, 8, 1000)
    settings = NetworkSettings(embedding_size=dim, width=dim, dropout=0.0)
    wide = Supernet(published_space(SpaceSettings(), len(TASKS)), layout, settings, generator)
    plain, batch = PlainSupernet(wide).to(check.device), batch.to(check.device)
    wide.to(check.device)
    loss = MultiTaskLoss(TASKS).to(check.device)

    def step(model: nn.Module, numbers: str) -> None:
        model.zero_grad(set_to_none=True)
        with precision(numbers, check.device):
            logits = model(batch.features)
        loss(logits.float(), batch).backward()

    everything = sum(float(costs.sum()) for costs in wide.cost.buffers()) + wide.cost.fixed
    work = 2 * 3 * everything * rows  # forward, gradients of inputs and of weights
    found: dict[str, Any] = {"gflop": round(work / 1e9, 1)}
    kinds = {"full": torch.float32} | ({"bf16": torch.bfloat16} if has_bf16(check.device) else {})
    for numbers, dtype in kinds.items():
        ours, theirs = (check.seconds(lambda m=m, n=numbers: step(m, n), 5) for m in (wide, plain))  # type: ignore[misc]
        speed = product_speed(check, dtype)
        found[numbers] = {
            "ms": round(1e3 * ours, 2), "plain_loop": round(theirs / ours, 2), "tflops": round(work / ours / 1e12, 3),
            "product_tflops": round(speed / 1e12, 3), "floor": round(ours * speed / work, 2),
        }  # fmt: skip
    return found


PARTS: dict[str, Callable[[Check], dict[str, Any]]] = {
    "operations": operations, "models": models, "waits": waits, "predict": predict, "bf16": bf16, "memory": memory,
    "supernet": supernet, "fit": fits, "search": search, "compile": compiled,
}  # fmt: skip


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small sizes, to check the script")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    given = parser.parse_args()
    check = Check(torch.device(given.device), given.small)
    if check.device.type == "cuda":
        card = torch.cuda.get_device_properties(check.device)
        check.found["card"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
    start = time.perf_counter()
    for name in given.parts:
        since = time.perf_counter()
        try:
            figures = PARTS[name](check)
        except Exception as error:  # a part that fails must not hide the others
            traceback.print_exc()
            figures = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        check.found[name] = figures
        print(f"{name} ({time.perf_counter() - since:.0f} s): {figures}", flush=True)
    failed = [name for name in given.parts if "failed" in check.found[name]]
    check.found |= {"device": str(check.device), "small": check.small, "seconds": round(time.perf_counter() - start)}
    check.found["failed"] = failed
    print(f"failed: {', '.join(failed)}" if failed else "all parts passed")
    report("device-check", check.found, given.out)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
