"""What a search could gain in a space, and which cheap signals see it.

Draws architectures from the space of the settings, trains each with several seeds, and prints, on validation rows
alone: the variance of the normalised loss that is the architectures' and that is the seeds' (components of a one-way
analysis of variance), the gain of a perfect picker over the mean architecture, the gain of mean logits over single
networks, and Kendall's rank correlation of cheap signals with the full trainings: scores in a supernet, a short trial,
the learning curve after each epoch (of one seed, against the other seeds), gradient norm, SynFlow, parameters.

    python benchmarks/headroom.py TABLE --task NAME ... --records FILE.jsonl [--drop NAME ...] [--split-column NAME]
        [--config FILE] [--rows 30000] [--architectures 12] [--seeds 2]
        [--supernet all-candidates drawn-pairs]

`--records` keeps a line of JSON for each finished training, with validation logits in a folder beside it, and a run
goes on where an earlier one stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import kendalltau, norm
from torch import Tensor, nn

from automtl.config import InputPreset, Settings, read_settings
from automtl.dataset.store import data_loader
from automtl.experiment import ColumnRoles, EncodedSource, open_source
from automtl.features.batch import subset
from automtl.models.network import Network, build, count_parameters
from automtl.models.supernet import Supernet
from automtl.search import SearchProblem
from automtl.search.algorithm_one import AlgorithmOne
from automtl.search.differentiable import DifferentiableStrategy
from automtl.search.progressive import Progressive, ProgressiveSettings
from automtl.search.settings import RegularizedSettings
from automtl.space import Architecture, make_space
from automtl.system.progress import ignore
from automtl.training.evaluation import Evaluator, predict_logits
from automtl.training.fit import fit
from automtl.training.losses import MultiTaskLoss
from common import arguments, report, run

Record = dict[str, Any]
SHORT_SEED, SHORT_SHARE = 1000, 0.5  # of a short trial: its seed and the share of the rows that it sees in one epoch
SUPERNETS: dict[str, DifferentiableStrategy] = {
    "all-candidates": AlgorithmOne(RegularizedSettings()),
    "drawn-pairs": Progressive(ProgressiveSettings(prune_at=(), trial_rows=0)),
}


class Records:
    """Finished work by name, a line of JSON each. Raises SystemExit for a file of other settings."""

    def __init__(self, path: Path, about: Record) -> None:
        self.path, self.found = path, {}
        self.logits = path.with_suffix(".logits")
        self.logits.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.found: dict[str, Record] = {record["name"]: record for record in map(json.loads, lines)}
        about = json.loads(json.dumps(about))  # lists in place of tuples, as in the file
        if self.get("about", lambda: about) != {"name": "about"} | about:
            raise SystemExit(f"error: {path} holds trainings of other settings or rows; name another file")

    def get(self, name: str, make: Callable[[], Record]) -> Record:
        """Return the record of a name, made if it is not there."""
        if name not in self.found:
            self.found[name] = {"name": name} | make()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.found[name]) + "\n")
            shown = {key: value for key, value in self.found[name].items() if key != "architecture"}
            print(json.dumps(shown), flush=True)
        return self.found[name]


@dataclass(frozen=True)
class Bench:
    """The rows and settings of a bench, and its finished work."""

    problem: SearchProblem
    evaluator: Evaluator
    records: Records

    def architecture(self, index: int) -> Architecture:
        """Draw an architecture, which its number decides."""
        return self.problem.space.sample(random.Random(f"headroom {index}"))

    def network(self, index: int, seed: int, normalization: str | None = None) -> Network:
        """Build an architecture's network."""
        settings = self.problem.network
        if normalization is not None:
            settings = replace(settings, normalization=normalization)
        return build(self.problem.space.narrow(self.architecture(index)), self.problem.layout, settings, seed)

    def training(self, index: int, seed: int) -> Record:
        """Train an architecture in full, or read how it went."""

        def make() -> Record:
            problem, start, network = self.problem, time.perf_counter(), self.network(index, seed)
            found = fit(network, problem.train, problem.valid, problem.layout.tasks, problem.training, seed)
            np.save(self.logits_file(index, seed), predict_logits(network, problem.valid).numpy())
            return {
                "score": found.score, "curve": [one.score for one in found.evaluations],
                "auc": found.evaluations[found.best].auc, "parameters": count_parameters(network),
                "seconds": round(time.perf_counter() - start, 1),
                "architecture": self.architecture(index).to_dict(),
            }  # fmt: skip

        return self.records.get(f"training {index} {seed}", make)

    def logits_file(self, index: int, seed: int) -> Path:
        """Name the file of a training's validation logits."""
        return self.records.logits / f"{index}-{seed}.npy"

    def logits(self, index: int, seed: int) -> Tensor:
        """Return a training's validation logits (N, T)."""
        return torch.from_numpy(np.load(self.logits_file(index, seed)))

    def score(self, logits: Tensor) -> float:
        """Return the normalised loss of validation logits (N, T)."""
        loss = self.evaluator.loss
        return float((loss.over(logits, self.evaluator.valid) / self.evaluator.base) @ loss.weights)

    def short_trial(self, index: int) -> Record:
        """Train an architecture for one epoch on a share of the rows, with a seed of its own."""

        def make() -> Record:
            problem = self.problem
            rows = subset(problem.train, round(SHORT_SHARE * len(problem.train)), SHORT_SEED)
            network, training = self.network(index, SHORT_SEED), replace(problem.training, epochs=1)
            return {"score": fit(network, rows, problem.valid, problem.layout.tasks, training, SHORT_SEED).score}

        return self.records.get(f"short {index}", make)

    def zero_cost(self, index: int) -> Record:
        """Compute the proxies of an untrained network."""
        return self.records.get(
            f"zero-cost {index}",
            lambda: {
                "gradient norm": gradient_norm(self.network(index, SHORT_SEED), self.problem),
                "synflow": synflow(self.network(index, SHORT_SEED, "none"), self.problem),
            },
        )

    def one_shot(self, name: str, count: int) -> Record:
        """Train a supernet, and score every architecture with its weights."""

        def make() -> Record:
            search = SUPERNETS[name].begin(self.problem, SHORT_SEED)
            while search.state.step < search.schedule.total:
                search.advance(ignore)
            supernet = search.state.supernet
            return {
                "scores": [self.evaluator(self.inherited(index, supernet), 0, 0, 0.0).score for index in range(count)]
            }

        return self.records.get(f"one-shot, {name} {count}", make)

    def inherited(self, index: int, supernet: Supernet) -> Network:
        """Build an architecture's network with a supernet's weights, and its expert weights where that has no gates."""
        network = self.network(index, SHORT_SEED)
        experts = list(range(self.architecture(index).num_experts))
        network.copy_from(supernet.network, experts)
        if supernet.network.gate is None and network.gate is not None:
            with torch.no_grad():
                network.gate.weight.zero_()
                network.gate.bias.copy_(supernet.selection.weights()[:, experts].log())
        return network


def gradient_norm(network: nn.Module, problem: SearchProblem) -> float:
    """Return the norm of all gradients of the loss of one batch at initialisation (Abdelfattah et al., ICLR 2021)."""
    batch = problem.train.take(slice(0, problem.training.batch_size))
    MultiTaskLoss(problem.layout.tasks)(network.eval()(batch.features), batch).backward()
    squares = [one.grad.square().sum() for one in network.parameters() if one.grad is not None]
    return float(torch.stack(squares).sum().sqrt())


def synflow(network: nn.Module, problem: SearchProblem) -> float:
    """Return the log of the sum over parameters of |w dR/dw|, R the sum of logits under |w| (Tanaka et al., 2020).

    Inputs are those of one batch, since embeddings read ids; the network has no normalization, which would hide scales.
    """
    features = problem.train.take(slice(0, problem.training.batch_size)).features
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network.eval()(replace(features, numeric=features.numeric.abs())).sum().backward()
    flows = [(one * one.grad).abs().sum().double() for one in network.parameters() if one.grad is not None]
    return float(torch.stack(flows).sum().log())


def components(scores: np.ndarray) -> dict[str, float]:
    """Split the variance of scores (architectures, seeds) into that of architectures and that of seeds, as deviations.

    `picker`: what the best of so many architectures is expected to gain over the mean one, if their true means are
    normal. `picked`: what the best one of one seed gains over the mean in the other seeds.
    """
    count, seeds = scores.shape
    within = float(scores.var(axis=1, ddof=1).mean())
    between = max(float(scores.mean(axis=1).var(ddof=1)) - within / seeds, 0.0)
    others = [np.delete(scores, seed, axis=1).mean(axis=1) for seed in range(seeds)]
    picked = [float(rest.mean() - rest[scores[:, seed].argmin()]) for seed, rest in enumerate(others)]
    return {
        "mean": float(scores.mean()), "architecture": between**0.5, "seed": within**0.5,
        "picker": between**0.5 * expected_maximum(count), "picked": statistics.mean(picked),
    }  # fmt: skip


def expected_maximum(count: int) -> float:
    """Return the expected greatest of so many standard normal numbers."""
    return float(quad(lambda x: x * count * norm.pdf(x) * norm.cdf(x) ** (count - 1), -10, 10)[0])


def without_outliers(scores: np.ndarray) -> np.ndarray:
    """Leave out the architectures whose mean lies more than 1.5 quartile ranges above the third quartile."""
    means = scores.mean(axis=1)
    low, high = np.quantile(means, [0.25, 0.75])
    return scores[means <= high + 1.5 * (high - low)]


def ensembles(bench: Bench, count: int, seeds: int) -> dict[str, float]:
    """Return the mean gain of mean logits over their single networks: all architectures, and pairs of either kind."""
    scores = {(i, s): bench.training(i, s)["score"] for i in range(count) for s in range(seeds)}

    def gain(members: Sequence[tuple[int, int]]) -> float:
        mixed = torch.stack([bench.logits(*one) for one in members]).mean(dim=0)
        return statistics.mean(scores[one] for one in members) - bench.score(mixed)

    def mean_gain(groups: Iterator[Sequence[tuple[int, int]]]) -> float:
        return statistics.mean(map(gain, groups))

    return {
        "all architectures": mean_gain([(i, s) for i in range(count)] for s in range(seeds)),
        "two architectures": mean_gain([(i, 0), ((i + 1) % count, 1)] for i in range(count)),
        "two seeds": mean_gain([(i, 0), (i, 1)] for i in range(count)),
    }


def correlations(bench: Bench, scores: np.ndarray, supernets: Sequence[str]) -> dict[str, float]:
    """Return Kendall's tau of each signal with the mean scores (architectures, seeds) of the full trainings."""
    count, seeds = scores.shape
    full = scores.mean(axis=1)
    found = {f"one-shot, {name}": tau(bench.one_shot(name, count)["scores"], full) for name in supernets}
    found["short trial"] = tau([bench.short_trial(index)["score"] for index in range(count)], full)
    proxies = [bench.zero_cost(index) for index in range(count)]
    for name in ("gradient norm", "synflow"):
        found[name] = tau([-one[name] for one in proxies], full)
    found["parameters"] = tau([-bench.training(index, 0)["parameters"] for index in range(count)], full)
    curves = [[bench.training(index, seed)["curve"] for index in range(count)] for seed in range(seeds)]
    others = [np.delete(scores, seed, axis=1).mean(axis=1) for seed in range(seeds)]
    for epoch in range(round(statistics.median(len(curve) for one in curves for curve in one))):
        found[f"epoch {epoch + 1}"] = statistics.mean(
            tau([curve[min(epoch, len(curve) - 1)] for curve in curves[seed]], others[seed]) for seed in range(seeds)
        )
    found["another seed in full"] = statistics.mean(
        tau(scores[:, one], scores[:, other]) for one, other in combinations(range(seeds), 2)
    )
    return found


def tau(signal: Sequence[float] | np.ndarray, full: np.ndarray) -> float:
    """Return Kendall's rank correlation; 0 for a signal that is the same everywhere."""
    found = float(kendalltau(signal, full).statistic)
    return 0.0 if np.isnan(found) else found


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser of what a benchmark of many trainings on one table needs."""
    parser = arguments(description)
    parser.add_argument("table")
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--split-column")
    parser.add_argument("--config", help="settings as TOML or YAML")
    parser.add_argument("--rows", type=int, default=30_000, help="training rows, drawn once")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--records", type=Path, required=True)
    return parser


def parsed() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--architectures", type=int, default=12)
    parser.add_argument("--supernet", nargs="*", choices=list(SUPERNETS), default=list(SUPERNETS))
    return parser.parse_args()


def problem_of(given: argparse.Namespace, settings: Settings) -> SearchProblem:
    """Encode a table's rows with all inputs, and draw training rows."""
    roles = ColumnRoles(drop=tuple(given.drop), split=given.split_column)
    source, settings = open_source(given.table, given.task, roles, None, settings, 0)
    with data_loader(settings.data_loader) as loader:
        rows = EncodedSource(source, loader).inputs(settings, InputPreset("all inputs")).rows
    layout = rows.encoder.layout
    space = make_space(settings.space, layout.num_tasks)
    train = subset(rows.train, given.rows, 0)
    return SearchProblem(space, layout, train, rows.valid, settings.network, settings.training)


def rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


def main() -> None:
    given = parsed()
    if given.seeds < 2 or given.architectures < 3:
        raise SystemExit("error: variances need at least two seeds and three architectures")
    settings = read_settings(given.config)
    problem = problem_of(given, settings)
    about = {"table": Path(given.table).name, "tasks": given.task, "rows": len(problem.train)}
    about |= {name: settings.to_dict()[name] for name in ("space", "network", "training")}
    evaluator = Evaluator(problem.valid, problem.layout.tasks, MultiTaskLoss(problem.layout.tasks))
    bench = Bench(problem, evaluator, Records(given.records, about))
    scores = np.array(
        [[bench.training(i, s)["score"] for s in range(given.seeds)] for i in range(given.architectures)]
    )  # fmt: skip
    usual = without_outliers(scores)
    report("headroom", {
        "table": about["table"], "rows": about["rows"], "architectures": given.architectures, "seeds": given.seeds,
        "all": rounded(components(scores), 5),
        "without outliers": {"architectures": len(usual)} | rounded(components(usual), 5),
        "ensembles": rounded(ensembles(bench, given.architectures, given.seeds), 5),
        "correlations": rounded(correlations(bench, scores, given.supernet), 2),
    }, given.out)  # fmt: skip


if __name__ == "__main__":
    run(main)
