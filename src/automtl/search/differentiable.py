"""Differentiable search with operation-level early stopping (paper, Algorithm 1), as published or at less cost."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from automtl.features.batch import Batch, subset
from automtl.models.supernet import PartialSupernet, Supernet
from automtl.operations import Block
from automtl.search.auxiliary import auxiliary_weight, diversity
from automtl.search.base import SearchProblem, SearchResult, SearchStrategy
from automtl.search.economy import Active, draw, due, last_due, leading, promising
from automtl.search.settings import SearchSettings, whole
from automtl.search.state import Cycle, SearchState, option_names
from automtl.search.trials import check_plain, held_against_plain
from automtl.search.unrolled import unrolled_gradients
from automtl.space.names import INTERACTION
from automtl.system.denormal import EVERY, ignore_denormals, remove_tiny
from automtl.system.hardware import precision
from automtl.system.memory import keep_freed_memory
from automtl.system.progress import Callback, Progress
from automtl.system.randomness import seeded
from automtl.training.clipping import clip
from automtl.training.evaluation import Evaluator
from automtl.training.losses import MultiTaskLoss

VALID_ROWS = 512  # of a look at the supernet, for the history alone
REPORTS = 15  # looks in a search


@dataclass(frozen=True)
class Schedule:
    """Steps in all, of the warm-up, and those in which alpha rests."""

    total: int
    warm_up: int
    rest: int = 0

    @staticmethod
    def of(settings: SearchSettings, steps_per_epoch: int) -> Schedule:
        """`epochs` of the subset, but at least `min_steps` and at most `max_steps`."""
        wanted = round(settings.epochs * steps_per_epoch)
        total = min(settings.max_steps, max(settings.min_steps, wanted))
        return Schedule(total, int(total * settings.warm_up), int(total * settings.architecture_rest))


@dataclass(frozen=True)
class Rules:
    """How a strategy departs from Algorithm 1.

    `joint`: beta moves with alpha, on validation batches. `second_order`: alpha and beta look one step of the weights
    ahead. `auxiliary_skip`: a skip connection beside expert layers (Chu et al., DARTS-, ICLR 2021), whose weight goes
    from 1 to 0 in this share of the steps; `interaction_skip`: beside interactions, too.
    """

    joint: bool = False
    second_order: bool = False
    auxiliary_skip: float = 0.0
    interaction_skip: bool = False


ALGORITHM_1 = Rules()


@dataclass(frozen=True)
class DifferentiableStrategy(SearchStrategy):
    """A leaf says by what settings and rules the run goes."""

    @abstractmethod
    def begin(self, problem: SearchProblem, seed: int) -> Run:
        """A run at its first step."""

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        start = time.perf_counter()
        with ignore_denormals(), keep_freed_memory():
            run = self.begin(problem, seed)
            while not run.finished:
                run.advance(callback)
            return run.result(time.perf_counter() - start)


@dataclass(frozen=True)
class Progressive(DifferentiableStrategy):
    """alpha on validation batches; weights and, after a warm-up, beta on training batches; first order.

    A pass runs a few candidates of each choice, alpha moves now and then, and the supernet is built narrower on the
    way: hopeless candidates go, at last all that lead nowhere. It ends early where the architecture rests.
    Until then a skip connection beside the layers, as in DARTS-, carries the signal past candidates that have hardly
    been trained, so that those which must learn are not judged by their neighbours' noise. In the end short trainings
    decide whether parts made by hand are better.
    """

    def search(self, problem: SearchProblem, seed: int, callback: Callback) -> SearchResult:
        start = time.perf_counter()
        check_plain(self.settings)
        found = super().search(problem, seed, callback)
        architecture, trials = held_against_plain(found.architecture, problem, self.settings, seed, callback)
        kept = found.supernet if architecture == found.architecture else None
        return SearchResult(architecture, time.perf_counter() - start, found.history | {"trials": trials}, kept)

    def begin(self, problem: SearchProblem, seed: int) -> Run:
        return Run(problem, self.settings, seed, Rules(auxiliary_skip=max(self.settings.drop_at, default=1.0)))


@dataclass(frozen=True)
class Differentiable(DifferentiableStrategy):
    """As published: every step runs all candidates and moves alpha; none is dropped."""

    def begin(self, problem: SearchProblem, seed: int) -> Run:
        return Run(problem, whole(self.settings), seed)


class Run:
    """One search: data and schedule around a SearchState."""

    def __init__(self, problem: SearchProblem, settings: SearchSettings, seed: int, rules: Rules = ALGORITHM_1) -> None:
        self.problem, self.settings, self.seed, self.rules = problem, settings, seed, rules
        tasks = problem.layout.tasks
        generator = torch.Generator().manual_seed(seed)
        self.loss, self.training_loss = MultiTaskLoss(tasks), MultiTaskLoss(tasks, sampled=True)
        self.precision = precision(problem.training.precision, torch.device("cpu"))
        supernet = Supernet(problem.space, problem.layout, problem.network, generator)
        self.lent = settings.lent_embedding and problem.embedding is not None
        if self.lent and problem.embedding is not None:
            supernet.network.embedding.load_state_dict(problem.embedding.state_dict())
            supernet.network.embedding.requires_grad_(False)
        self.state = SearchState.new(supernet, settings)
        train = subset(problem.train, min(settings.max_rows, settings.max_steps * settings.batch_size), seed)
        valid = subset(problem.valid, settings.max_rows, seed)
        self.train, self.valid = (
            Cycle(train, settings.batch_size, seed),
            Cycle(valid, settings.batch_size, seed + 1),
        )
        self.schedule = Schedule.of(settings, self.train.per_epoch)
        self.judge = Evaluator(subset(valid, VALID_ROWS, seed), tasks, self.loss)
        self.report_every = max(1, self.schedule.total // REPORTS)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the architecture was the same at `stable_looks` looks after all dropping."""
        looks = self.settings.stable_looks
        if looks is not None and self.state.step > self.schedule.total * max(self.settings.drop_at, default=0):
            last = [record["architecture"] for record in self.state.history[-looks:]]
            if len(last) == looks and all(architecture == last[0] for architecture in last):
                return True
        return self.state.step >= self.schedule.total

    def advance(self, callback: Callback) -> None:
        """One step; now and then a look at the validation rows. What a step draws depends on its number alone."""
        state, settings = self.state, self.settings
        if self.rules.auxiliary_skip:
            end = int(self.rules.auxiliary_skip * self.schedule.total) - 1
            skip = auxiliary_weight(1.0, state.step, 0, end)
            state.supernet.skips = {Block.LAYER: skip, Block.INTERACTION: skip * self.rules.interaction_skip}
        with self._seeded():
            if state.step >= self.schedule.rest and state.step % settings.architecture_every == 0:
                self._move_architecture(self._checking(state.step))
            loss = self._move_weights(record=self._checking(state.step + 1))
        state.step += 1
        if due(state.step, self.schedule.total, settings):
            last = last_due(state.step, self.schedule.total, settings)
            kept = promising(state.supernet, settings.drop_keep, settings.whole_choices)
            state.keep(leading(state.supernet) if last else kept)
        if state.step % self.report_every == 0 or self.finished:
            callback(self._report(float(loss)))
        elif state.step % 10 == 0:
            callback(Progress("search", state.step, self.schedule.total))

    def _seeded(self) -> AbstractContextManager[None]:
        """What is dropped in this step."""
        return seeded(self.seed * 1_000_003 + self.state.step)

    def _checking(self, step: int) -> bool:
        """Whether operations are checked at this step, for which the weights' gradients of the step before are kept.

        Not in the warm-up: before the embedding has learned, directions of gradients are noise. Without early stopping
        they are measured all the same, for the history.
        """
        every = self.settings.stop_every * self.settings.architecture_every
        return step > self.schedule.warm_up and step % every == 0

    def _active(self, step: int) -> Active | None:
        """What the weights' pass of a step runs: fewer candidates than the architecture's, unless they are recorded."""
        recorded = self._checking(step + 1)
        count = self.settings.candidates if recorded else self.settings.trained_candidates
        return None if count is None else draw(self.state.supernet, step, count, self.settings.whole_choices, self.seed)

    def _compared(self) -> Active | None:
        """What the architecture's pass runs: where directions of gradients are compared, what was recorded before."""
        step, count = self.state.step, self.settings.candidates
        if self._checking(step):
            return self._active(step - 1)
        return (
            None
            if count is None
            else draw(self.state.supernet, step, count, self.settings.whole_choices, self.seed + 1)
        )

    def _loss(self, batch: Batch, active: Active | None, loss: MultiTaskLoss) -> torch.Tensor:
        """The total loss, by products in the precision of training."""
        with self.precision:
            logits = self.state.supernet(batch.features, active)
        found: torch.Tensor = loss(logits.float(), batch)
        return found

    def _move_architecture(self, checking: bool) -> None:
        """alpha, and beta if both go together."""
        state = self.state
        state.clear()
        if self.rules.second_order:
            self._look_ahead()
        else:
            state.supernet.network.requires_grad_(checking)  # weights' gradients are computed where they are compared
            self._choice_loss().backward()
            state.supernet.network.requires_grad_(True)
            state.supernet.network.embedding.requires_grad_(not self.lent)
        if checking:
            state.stopping.check(state.step)
        state.alpha.step()
        if self.rules.joint:
            state.beta.step()

    def _choice_loss(self) -> torch.Tensor:
        """That of a validation batch, raised by what the choices cost."""
        supernet = self.state.supernet
        loss = self._loss(self.valid.batch(self.state.step), self._compared(), self.loss)
        if self.settings.cost_weight:
            loss = loss + self.settings.cost_weight * loss.detach() * supernet.cost(supernet.relax()).log()
        return loss

    def _look_ahead(self) -> None:
        state, batch = self.state, self.train.batch(self.state.step)

        def train_loss() -> torch.Tensor:
            with self._seeded():
                return self._loss(batch, self._active(state.step), self.training_loss)

        choices = [*state.supernet.logits.parameters(), *state.supernet.selection.parameters()]
        weights = list(state.supernet.network.parameters())
        unrolled_gradients(train_loss, self._choice_loss, weights, choices, self._learning_rate)

    def _move_weights(self, record: bool) -> torch.Tensor:
        state, settings = self.state, self.settings
        state.clear()
        batch = self.train.batch(state.step)
        loss = self._loss(batch, self._active(state.step), self.training_loss)
        total = loss
        resting = self.rules.joint or state.step < self.schedule.warm_up
        selecting = not resting and not self.problem.space.gated
        if selecting and settings.auxiliary_loss:
            weight = auxiliary_weight(settings.auxiliary_weight, state.step, self.schedule.warm_up, self.schedule.total)
            total = loss - weight * diversity(state.supernet.selection.weights())
        total.backward()
        if record:
            state.stopping.record()
        moving = state.weights.param_groups[0]["params"]
        clip(moving, settings.gradient_clip)
        for group in state.weights.param_groups:
            group["lr"] = self._learning_rate
        held = state.stopping.hold()
        state.weights.step()
        held.restore()
        if selecting:
            state.beta.step()
        if state.step % EVERY == 0:
            remove_tiny(state.weights)
        detached: torch.Tensor = loss.detach()
        return detached

    @property
    def _learning_rate(self) -> float:
        """That of the weights in this step: it decays by a cosine."""
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * self.state.step / self.schedule.total))

    def _report(self, loss: float) -> Progress:
        state = self.state
        with self.precision:
            check = self.judge(PartialSupernet(state.supernet, leading(state.supernet)), 0, state.step, loss)
        architecture = state.supernet.derive()
        relaxed = state.supernet.relax()
        differences = state.stopping.difference()
        state.history.append(
            {
                "step": state.step,
                "train_loss": loss,
                "valid_loss": check.loss,
                "valid_auc": check.auc,
                "alpha": self._strengths(),
                "beta": None if relaxed.experts is None else _rounded(relaxed.experts),
                "architecture": architecture.to_dict(),
                "skips": architecture.num_skips,
                "stopped": len(state.stopping.stopped()),
                "gradient_difference": _quantiles(differences),
            }
        )
        strongest = [str(architecture[INTERACTION][0])]
        last = list(relaxed.choices)[-1]
        share = relaxed.choices[last].weights.detach().mean(0)
        best = share.topk(min(3, len(share))).indices.tolist()
        strongest += [str(state.supernet.space[last].options[index]) for index in best]
        return Progress("search", state.step, self.schedule.total, check.loss, check.auc, tuple(strongest))

    def _strengths(self) -> dict[str, list[list[float]]]:
        """Weights of all candidates that there were at the start, for each choice (cells, K); 0 where given up."""
        found = {}
        for name, first in self.problem.space.choices.items():
            now = self.state.supernet.space[name]
            share = self.state.supernet.logits.weights(name).detach()
            whole = share.new_zeros(len(share), len(first.options))
            whole[:, [first.options.index(option) for option in now.options]] = share
            found[name] = _rounded(whole)
        return found

    def result(self, seconds: float) -> SearchResult:
        """The derived architecture and the history."""
        state = self.state
        history: dict[str, Any] = {
            "options": option_names(self.problem.space),
            "left": option_names(state.supernet.space),
            "steps": state.step,
            "warm_up": self.schedule.warm_up,
            "records": state.history,
            "stopped": state.stopping.stopped(),
        }
        return SearchResult(state.supernet.derive(), seconds, history, state.supernet)


def _rounded(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in values.detach().tolist()]


def _quantiles(values: torch.Tensor) -> list[float]:
    """Minimum, quartiles and maximum."""
    if not len(values):
        return []
    return [round(v, 4) for v in torch.quantile(values, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])).tolist()]
