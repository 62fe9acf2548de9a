"""One search by gradients, step by step."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch

from automtl.errors import SettingsError
from automtl.features.batch import Batch, subset
from automtl.models.supernet import Supernet
from automtl.search.base import SearchProblem, SearchResult
from automtl.search.candidates import Candidates
from automtl.search.evaluation import SupernetEvaluator, candidate_weights
from automtl.search.procedure import Procedure, Schedule, StepPlan
from automtl.search.settings import DifferentiableSettings
from automtl.search.state import EndlessBatches, SearchState, option_names
from automtl.search.unrolled import unrolled_gradients
from automtl.system.denormal import EVERY, remove_tiny
from automtl.system.hardware import find_device, keeps_rows, precision
from automtl.system.journal import Step, begin_step, below, under
from automtl.system.memory import out_of_memory
from automtl.system.progress import Callback, Notice, Progress
from automtl.system.randomness import seeded
from automtl.system.workers import shared, sum_gradients, workers
from automtl.training.divergence import SLOWER, NotFiniteError, diverged, first_not_finite, loss_of
from automtl.training.losses import MultiTaskLoss
from automtl.training.passes import logits_of_all
from automtl.training.updates import clip

EVALUATIONS = 15  # in a search
EVALUATED_ROWS = 512  # of an evaluation, for the history alone
PROGRESS_EVERY = 10  # steps
GRADIENT_CLIP = 5.0  # norm of the gradients of the supernet's weights
GUARD = 1e-8  # under a root, whose gradient at 0 would be infinite


def diversity(probabilities: torch.Tensor) -> torch.Tensor:
    """Measure how far the tasks' expert selections (T, E) are apart, the auxiliary loss (paper, eq. 2).

    L_log = sum over task pairs of log(1 + ||p_i - p_j||), which is subtracted from the loss.
    """
    squared = (probabilities.unsqueeze(0) - probabilities.unsqueeze(1)).square().sum(dim=2)
    return torch.log1p((squared + GUARD).sqrt()).triu(diagonal=1).sum()


class SearchRun:
    """Data, schedule and losses around a SearchState. What a step draws depends on its number alone.

    Where the loss is no longer finite, the search goes back to the weights and logits of the last evaluation and goes
    on at a tenth of all learning rates with new moments (`slowed`). The second time it raises DivergedError.
    """

    def __init__(
        self, problem: SearchProblem, settings: DifferentiableSettings, procedure: Procedure, seed: int
    ) -> None:
        if workers().several and procedure.second_order:
            raise SettingsError("search.second_order takes gradients that workers do not share; search with one worker")
        self.problem, self.settings, self.procedure, self.seed = problem, settings, procedure, seed
        tasks = problem.layout.tasks
        self.device = find_device(problem.training.device)
        self.loss = MultiTaskLoss(tasks).to(self.device)
        self.training_loss = MultiTaskLoss(tasks, sampled=True).to(self.device)
        self.precision = precision(problem.training.precision, self.device)
        self.pretrained = settings.pretrained_embedding and problem.embedding is not None
        self.slowed = False
        self.good: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None  # the state of the last evaluation
        self.state = self._first_state()
        valid = subset(problem.valid, settings.max_rows, seed)
        train = subset(problem.train, settings.num_rows, seed)
        self.train = EndlessBatches(self._placed(train), settings.batch_size, seed)
        self.valid = EndlessBatches(self._placed(valid), settings.batch_size, seed + 1)
        self.schedule = Schedule(procedure, settings, settings.num_steps(self.train.per_epoch), seed)
        self.evaluate = SupernetEvaluator(problem.space, subset(valid, EVALUATED_ROWS, seed), tasks)
        self.evaluate_every = max(1, self.schedule.total // EVALUATIONS)
        self.record: Step

    def _placed(self, rows: Batch) -> Batch:
        """Put rows on the device if it has room for them."""
        return rows.to(self.device) if keeps_rows(self.device, rows.num_bytes) else rows

    def _first_state(self) -> SearchState:
        """Make the state before the first step."""
        problem = self.problem
        supernet = Supernet(problem.space, problem.layout, problem.network, torch.Generator().manual_seed(self.seed))
        if self.pretrained and problem.embedding is not None:
            supernet.network.embedding.load_state_dict(problem.embedding.state_dict())
            supernet.network.embedding.requires_grad_(False)
        return SearchState.new(supernet.to(self.device), self.settings, self.procedure)

    def resumed(self) -> float:
        """Go on from the state that the present journal has, and return the seconds until then."""
        problem = self.problem
        self.record = begin_step(
            f"search {self.seed} {self.settings} {self.procedure} {option_names(problem.space)} {problem.network} "
            f"{problem.training} {len(problem.train)} {len(problem.valid)}"
        )
        if self.record.state is None:
            return 0.0
        tensors, values = self.record.state.tensors, self.record.state.values
        if values.get("slowed"):
            self._slow_down()
        if values.get("good") is not None:
            self.good = below("good", tensors), dict(values["good"])
        self.state.restore(dict(tensors), dict(values["search"]))
        return float(values["seconds"])

    def save(self, seconds: float, *, final: bool = False) -> None:
        """Record the state, if it is time for it, or if the search has ended."""
        if final or self.record.due:
            good, places = self.good or ({}, None)
            values = {"search": self.state.to_dict(), "seconds": seconds, "slowed": self.slowed, "good": places}
            self.record.save(values, self.state.tensors() | under("good", good), final=final)

    @property
    def finished(self) -> bool:
        """Tell whether all steps are done, or the architecture has not changed for the procedure's patience."""
        state, patience = self.state, self.procedure.patience
        if patience is not None and state.step > self.schedule.last_pruning:
            last = [record["architecture"] for record in state.history[-patience:]]
            if len(last) == patience and all(architecture == last[0] for architecture in last):
                return True
        return state.step >= self.schedule.total

    def plan(self) -> StepPlan:
        """Plan the next step."""
        sizes = {name: len(choice.options) for name, choice in self.state.supernet.space.choices.items()}
        return self.schedule.plan(self.state.step, sizes)

    def advance(self, callback: Callback) -> None:
        """Take one step; every few steps, evaluate on validation rows.

        Raises DivergedError, and SettingsError where memory does not suffice for a step: its batch is not cut, since
        the norms and comparisons of gradients that decide which operations stop are of whole batches.
        """
        try:
            self._advance(callback)
        except NotFiniteError as found:
            if self.slowed:
                supernet, rate = self.state.supernet, self.settings.learning_rate
                raise diverged("search", found, supernet, self.problem.layout.tasks, rate) from None
            self._slow_down()
            if self.good is not None:
                self.state.restore(*self.good)
            callback(Notice(
                f"search: {found.what}; going back to the state after {self.state.step:,} steps, with a learning rate "
                f"of {self.settings.learning_rate:g}"
            ))  # fmt: skip
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise SettingsError(
                f"memory does not suffice for a step of the search with {self.settings.batch_size:,} rows; set a "
                "smaller search.batch_size, or smaller network.width or space.experts"
            ) from None

    def _slow_down(self) -> None:
        """Begin anew with lower learning rates."""
        names = ("learning_rate", "architecture_learning_rate", "selection_learning_rate")
        self.settings = replace(self.settings, **{name: getattr(self.settings, name) * SLOWER for name in names})
        self.schedule = replace(self.schedule, settings=self.settings)
        self.slowed, self.state = True, self._first_state()

    def _advance(self, callback: Callback) -> None:
        state, plan = self.state, self.plan()
        state.supernet.skips = plan.skips
        with self._seeded(plan):
            if plan.moves_alpha:
                self.move_architecture(plan)
            loss = self.move_weights(plan)
        state.step += 1
        if plan.prune is not None:
            state.prune({name: plan.prune(of) for name, of in candidate_weights(state.supernet).items()})
        if state.step % self.evaluate_every == 0 or self.finished:
            self._require_finite(float(loss), "the loss")
            with self.precision:
                progress = self.evaluate(state, float(loss), self.schedule.total)
            self._require_finite(state.history[-1]["valid_loss"], "the loss on validation rows")
            self.good = state.learned(), state.to_dict()
            callback(progress)
        elif state.step % PROGRESS_EVERY == 0:
            self._require_finite(float(loss), "the loss")
            callback(Progress("search", state.step, self.schedule.total))

    def _require_finite(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            raise NotFiniteError(f"{what} is {loss:g} after {self.state.step:,} steps")

    def move_architecture(self, plan: StepPlan) -> None:
        """Move alpha, and beta if both go together, on a validation batch; compare gradients where the plan says so."""
        state = self.state
        state.clear_gradients()
        if self.procedure.second_order:
            self._look_ahead(plan)
        else:
            state.supernet.network.requires_grad_(plan.compares)  # the weights' gradients are computed to be compared
            self._choice_loss(plan).backward()
            self._sum_gradients()
            state.supernet.network.requires_grad_(True)
            state.supernet.network.embedding.requires_grad_(not self.pretrained)
        if plan.compares:
            state.stopping.check(plan.step)
        state.alpha.step()
        if self.procedure.joint:
            state.beta.step()

    def move_weights(self, plan: StepPlan) -> torch.Tensor:
        """Move the weights, and beta past the warm-up, on a training batch, whose loss is returned."""
        state = self.state
        state.clear_gradients()
        loss = self._train_loss(plan)
        selects = plan.selects and not self.problem.space.gated
        total = loss
        if selects and plan.auxiliary_weight:
            total = loss - shared(plan.auxiliary_weight * diversity(state.supernet.selection.weights()))
        total.backward()
        self._sum_gradients()
        if plan.records:
            state.stopping.record()
        norm = clip(state.weights.param_groups[0]["params"], GRADIENT_CLIP)
        if self.slowed and not bool(norm.isfinite()):
            raise NotFiniteError(
                "the gradient is not finite", self.train.batch(plan.step), None, self._place(self.train)
            )
        state.move_weights(plan.learning_rate)
        if selects:
            state.beta.step()
        if plan.step % EVERY == 0:
            remove_tiny(state.weights)
        return loss.detach()

    def _seeded(self, plan: StepPlan) -> AbstractContextManager[None]:
        """Let the step's number alone decide what is dropped."""
        return seeded(self.seed * 1_000_003 + plan.step)

    def _loss(self, of: EndlessBatches, step: int, candidates: Candidates | None, loss: MultiTaskLoss) -> torch.Tensor:
        """Return the total loss of a step's batch, by products in the precision of training."""
        batch = of.batch(step).to(self.device)
        with self.precision:
            logits = logits_of_all(lambda features: self.state.supernet(features, candidates), batch)
        found: torch.Tensor = loss(logits, batch)
        if self.slowed and not bool(found.isfinite()):
            self._blame(loss.per_task(logits.detach(), batch), batch, of)
        return found

    def _blame(self, losses: torch.Tensor, batch: Batch, of: EndlessBatches) -> None:
        """Raise NotFiniteError that names a task, by the losses (T,) of a batch."""
        task = first_not_finite(losses)
        what = "the loss is not finite" if task is None else loss_of(losses, self.problem.layout.tasks, task)
        raise NotFiniteError(what, batch, task, self._place(of))

    def _place(self, of: EndlessBatches) -> str:
        """Say which batch this step's is."""
        epoch, place = divmod(self.state.step, of.per_epoch)
        kind, first = "training" if of is self.train else "validation", place * of.size
        return f" in epoch {epoch + 1}, {kind} batch {place + 1} (rows {first + 1} to {first + of.size})"

    def _train_loss(self, plan: StepPlan) -> torch.Tensor:
        return self._loss(self.train, plan.step, plan.weights_candidates, self.training_loss)

    def _choice_loss(self, plan: StepPlan) -> torch.Tensor:
        """Return the loss of a validation batch, raised by the cost of the choices."""
        supernet, weight = self.state.supernet, self.settings.cost_weight
        loss = self._loss(self.valid, plan.step, plan.architecture_candidates, self.loss)
        return loss + shared(weight * loss.detach() * supernet.cost(supernet.relax()).log()) if weight else loss

    def _sum_gradients(self) -> None:
        """Sum the gradients of weights and choices over the workers."""
        supernet = self.state.supernet
        sum_gradients([*supernet.network.parameters(), *supernet.logits.parameters(), *supernet.selection.parameters()])

    def _look_ahead(self, plan: StepPlan) -> None:
        def train_loss() -> torch.Tensor:
            with self._seeded(plan):
                return self._train_loss(plan)

        supernet = self.state.supernet
        choices = [*supernet.logits.parameters(), *supernet.selection.parameters()]
        weights = list(supernet.network.parameters())
        unrolled_gradients(train_loss, lambda: self._choice_loss(plan), weights, choices, plan.learning_rate)

    def result(self, seconds: float) -> SearchResult:
        """Return the derived architecture and the history."""
        supernet = self.state.supernet.cpu()
        history = {
            "options": option_names(self.problem.space),
            "left": option_names(supernet.space),
            "steps": self.state.step,
            "warm_up": self.schedule.warm_up,
            "records": self.state.history,
            "stopped": self.state.stopping.stopped(),
        }
        return SearchResult(supernet.derive(), seconds, history, supernet)
