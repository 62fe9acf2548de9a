"""One search by gradients, step by step."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

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
from automtl.system.hardware import precision
from automtl.system.journal import Step, begin_step
from automtl.system.progress import Callback, Progress
from automtl.system.randomness import seeded
from automtl.training.losses import MultiTaskLoss
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
    first, second = torch.triu_indices(len(probabilities), len(probabilities), offset=1)
    squared = (probabilities[first] - probabilities[second]).square().sum(dim=1)
    return torch.log1p((squared + GUARD).sqrt()).sum()


class SearchRun:
    """Data, schedule and losses around a SearchState. What a step draws depends on its number alone."""

    def __init__(
        self, problem: SearchProblem, settings: DifferentiableSettings, procedure: Procedure, seed: int
    ) -> None:
        self.problem, self.settings, self.procedure, self.seed = problem, settings, procedure, seed
        tasks = problem.layout.tasks
        self.loss, self.training_loss = MultiTaskLoss(tasks), MultiTaskLoss(tasks, sampled=True)
        self.precision = precision(problem.training.precision, torch.device("cpu"))
        supernet = Supernet(problem.space, problem.layout, problem.network, torch.Generator().manual_seed(seed))
        self.pretrained = settings.pretrained_embedding and problem.embedding is not None
        if self.pretrained and problem.embedding is not None:
            supernet.network.embedding.load_state_dict(problem.embedding.state_dict())
            supernet.network.embedding.requires_grad_(False)
        self.state = SearchState.new(supernet, settings, procedure)
        valid = subset(problem.valid, settings.max_rows, seed)
        self.train = EndlessBatches(subset(problem.train, settings.num_rows, seed), settings.batch_size, seed)
        self.valid = EndlessBatches(valid, settings.batch_size, seed + 1)
        self.schedule = Schedule(procedure, settings, settings.num_steps(self.train.per_epoch), seed)
        self.evaluate = SupernetEvaluator(problem.space, subset(valid, EVALUATED_ROWS, seed), tasks, self.loss)
        self.evaluate_every = max(1, self.schedule.total // EVALUATIONS)
        self.record: Step

    def resumed(self) -> float:
        """Go on from the state that the present journal has, and return the seconds until then."""
        problem = self.problem
        self.record = begin_step(
            f"search {self.seed} {self.settings} {self.procedure} {option_names(problem.space)} {problem.network} "
            f"{problem.training} {len(problem.train)} {len(problem.valid)}"
        )
        if self.record.state is None:
            return 0.0
        self.state.restore(dict(self.record.state.tensors), dict(self.record.state.values["search"]))
        return float(self.record.state.values["seconds"])

    def save(self, seconds: float, *, final: bool = False) -> None:
        """Record the state, if it is time for it, or if the search has ended."""
        if final or self.record.due:
            values = {"search": self.state.to_dict(), "seconds": seconds}
            self.record.save(values, self.state.tensors(), final=final)

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
        """Take one step; every few steps, evaluate on validation rows."""
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
            with self.precision:
                callback(self.evaluate(state, float(loss), self.schedule.total))
        elif state.step % PROGRESS_EVERY == 0:
            callback(Progress("search", state.step, self.schedule.total))

    def move_architecture(self, plan: StepPlan) -> None:
        """Move alpha, and beta if both go together, on a validation batch; compare gradients where the plan says so."""
        state = self.state
        state.clear_gradients()
        if self.procedure.second_order:
            self._look_ahead(plan)
        else:
            state.supernet.network.requires_grad_(plan.compares)  # the weights' gradients are computed to be compared
            self._choice_loss(plan).backward()
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
            total = loss - plan.auxiliary_weight * diversity(state.supernet.selection.weights())
        total.backward()
        if plan.records:
            state.stopping.record()
        clip(state.weights.param_groups[0]["params"], GRADIENT_CLIP)
        state.move_weights(plan.learning_rate)
        if selects:
            state.beta.step()
        if plan.step % EVERY == 0:
            remove_tiny(state.weights)
        return loss.detach()

    def _seeded(self, plan: StepPlan) -> AbstractContextManager[None]:
        """Let the step's number alone decide what is dropped."""
        return seeded(self.seed * 1_000_003 + plan.step)

    def _loss(self, batch: Batch, candidates: Candidates | None, loss: MultiTaskLoss) -> torch.Tensor:
        """Return the total loss, by products in the precision of training."""
        with self.precision:
            logits = self.state.supernet(batch.features, candidates)
        found: torch.Tensor = loss(logits.float(), batch)
        return found

    def _train_loss(self, plan: StepPlan) -> torch.Tensor:
        return self._loss(self.train.batch(plan.step), plan.weights_candidates, self.training_loss)

    def _choice_loss(self, plan: StepPlan) -> torch.Tensor:
        """Return the loss of a validation batch, raised by the cost of the choices."""
        supernet, weight = self.state.supernet, self.settings.cost_weight
        loss = self._loss(self.valid.batch(plan.step), plan.architecture_candidates, self.loss)
        return loss + weight * loss.detach() * supernet.cost(supernet.relax()).log() if weight else loss

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
        supernet = self.state.supernet
        history = {
            "options": option_names(self.problem.space),
            "left": option_names(supernet.space),
            "steps": self.state.step,
            "warm_up": self.schedule.warm_up,
            "records": self.state.history,
            "stopped": self.state.stopping.stopped(),
        }
        return SearchResult(supernet.derive(), seconds, history, supernet)
