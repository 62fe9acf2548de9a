"""The one training loop. B rows of a batch, T tasks."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch
from automtl.system.deadline import current_deadline
from automtl.system.denormal import ignore_denormals
from automtl.system.hardware import find_device
from automtl.system.journal import State, begin_step, below, end_if_suspended, under
from automtl.system.memory import keep_freed_memory
from automtl.system.progress import Callback, Notice, Progress, ignore
from automtl.system.randomness import RandomStream, drawn, seeded, set_drawn
from automtl.system.workers import first_does, workers
from automtl.tables.schema import Task
from automtl.training.best_weights import BestWeights
from automtl.training.divergence import SLOWER, NotFiniteError, diverged
from automtl.training.evaluation import Evaluation, Evaluator
from automtl.training.hooks import HasPenalty
from automtl.training.losses import MultiTaskLoss
from automtl.training.passes import Passes, Place
from automtl.training.settings import TrainingSettings
from automtl.training.sharding import names_of_own, of_this_worker, shard, unshard
from automtl.training.updates import updating


@dataclass(frozen=True)
class FitResult:
    """The evaluations of a training, the index of the best one, and seconds; the model holds the best weights.

    `rows_at_once`: of a batch, where memory did not suffice for all its rows. `best_of_parts`: the index of the best
    evaluation of each independent part of the model.
    """

    evaluations: tuple[Evaluation, ...]
    best: int
    seconds: float
    rows_at_once: int | None = None
    best_of_parts: tuple[int, ...] = (0,)

    @property
    def score(self) -> float:
        """The normalised validation loss of the best evaluation; smaller is better."""
        return self.evaluations[self.best].score


class SelfTrained(nn.Module, ABC):
    """A model that gradients do not train, such as boosted trees: `fit` calls its own `learn`."""

    @abstractmethod
    def learn(self, train: Batch, valid: Batch, seed: int, callback: Callback, stage: str) -> list[float]:
        """Learn, deterministically by `seed`, and return each task's loss on the training rows."""

    def learned(self) -> dict[str, Tensor]:
        """Return all that was learned as tensors, which `recall` takes; none where it is not worth keeping."""
        return {}

    def recall(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `learned` returned. Raises an AutomtlError for what it cannot be."""
        raise NotImplementedError

    def learn_as_long_as(self, earlier: SelfTrained) -> bool:
        """Prepare to learn as long as an earlier model did, whatever validation rows say; False: it cannot do that."""
        return False

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """The count of learned numbers."""


def fit(
    model: nn.Module, train: Batch, valid: Batch, tasks: Sequence[Task], settings: TrainingSettings, seed: int,
    callback: Callback = ignore, stage: str = "training",
) -> FitResult:  # fmt: skip
    """Train `model` (features -> logits (B, T)) and leave it with the weights that were best on validation rows.

    It is trained on the device of the settings, and left on the processor. Raises SettingsError, and
    DivergedError where the loss becomes infinite or no number, at a lower learning rate, too.
    """
    with keep_freed_memory():
        if isinstance(model, SelfTrained):
            return _learn(model, train, valid, tasks, seed, callback, stage)
        training = Training(model, train, valid, tasks, settings, seed, callback, stage)
        while training.advance() is not None:
            pass
        return training.finish()


def fit_as_long(
    model: nn.Module, earlier: FitResult, ratio: float, rows: Batch, valid: Batch, tasks: Sequence[Task],
    settings: TrainingSettings, seed: int, callback: Callback = ignore, stage: str = "training",
) -> FitResult | None:  # fmt: skip
    """Train `model` on other rows for as many passes as an earlier training took until it was best.

    `ratio`: the number of these rows for one row of the earlier training. Validation rows, which may be among the rows,
    are evaluated and decide nothing. Models that gradients do not train must have been told by `learn_as_long_as`.
    None where the current deadline passed before the end. Raises DivergedError as `fit` does.
    """
    with keep_freed_memory():
        if isinstance(model, SelfTrained):
            result = _learn(model, rows, valid, tasks, seed, callback, stage)
            return None if current_deadline().passed else result
        at = [round(earlier.evaluations[best].rows * ratio) for best in earlier.best_of_parts]
        every = max(round(settings.evaluate_every * ratio), 1)
        training = Training(
            model, rows, valid, tasks, replace(settings, evaluate_every=every), seed, callback, stage, at=at
        )  # fmt: skip
        while training.advance() is not None:
            pass
        return training.finish() if training.complete else None


def _learn(
    model: SelfTrained, train: Batch, valid: Batch, tasks: Sequence[Task], seed: int, callback: Callback, stage: str
) -> FitResult:
    """Let a model train itself, and evaluate it."""
    start, evaluate = time.perf_counter(), Evaluator(valid, tasks, MultiTaskLoss(tasks))
    step = begin_step(f"{stage} {seed} {type(model).__qualname__} {len(train)} {len(valid)}")
    if step.state is not None:
        model.recall(step.state.tensors)
        return FitResult((Evaluation(**step.state.values["evaluation"]),), 0, step.state.values["seconds"])
    with ignore_denormals(), seeded(seed):
        losses, learned = first_does(lambda: (model.learn(train, valid, seed, callback, stage), model.learned()))
        if not workers().first:
            model.recall(learned)
        found = evaluate(model, 0, len(train), float(torch.tensor(losses, dtype=torch.float32) @ evaluate.loss.weights))
    result = FitResult((found,), 0, time.perf_counter() - start)
    if learned:
        step.save({"evaluation": found.to_dict(), "seconds": result.seconds}, learned, final=True)
    return result


class Training:
    """The training of a model by gradients, which may pause after each of its evaluations on validation rows.

    It ends after the epochs of the settings, after `patience` evaluations without a better one, or where the current
    deadline passes. `finish` ends it, too, and leaves the model with its best weights. Independent parts of a model are
    each best at an evaluation of their own.

    A training is a step of the present journal: one that was stopped goes on from its last state, as if it had not been
    stopped. `advance` first returns the evaluations that are recorded.

    Where the numbers are no longer finite, it goes back to the best weights so far and the place of the last
    evaluation, and goes on at a tenth of the learning rate with new moments. The second time it raises DivergedError.

    `at`: for each independent part, the number of rows after which its weights are kept; it ends after the last of
    them, and evaluations decide nothing.
    """

    def __init__(
        self, model: nn.Module, train: Batch, valid: Batch, tasks: Sequence[Task], settings: TrainingSettings,
        seed: int, callback: Callback = ignore, stage: str = "training", *, at: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.model, self.train, self.settings, self.seed = model, train, settings, seed
        self.at = at
        self.callback, self.stage = callback, stage
        self.evaluate = Evaluator(valid, tasks, MultiTaskLoss(tasks))
        self.evaluations: list[Evaluation] = []
        self.step = begin_step(f"{stage} {seed} {settings} {len(train)} {len(valid)} {_shapes(model)}{at or ''}")
        self.sharded = [] if self._recorded is not None else shard(model, train, settings)
        self.kept, self.seconds = BestWeights(model, self.evaluate.loss.weights, at), 0.0
        self.own = names_of_own(model, self.kept, self.sharded)  # in a state: of what other workers do not have
        self.slowed = False
        self.good: Place | None = None  # the place of the last evaluation
        self._since, self._begins = time.perf_counter(), True
        self.rows_at_once: int | None = None
        self.random, self.work = RandomStream(seed), self._work()
        self.known: deque[Evaluation] = deque()
        if self.step.state is not None:
            self.step.state = of_this_worker(self.step.state, self.own)
            self._recall(self.step.state)

    def _recall(self, state: State) -> None:
        """Take over what a state says of the evaluations so far."""
        self.known.extend(Evaluation(**one) for one in state.values["evaluations"])
        self.kept.load(state.values["kept"], below("kept", state.tensors))
        self.seconds, self.slowed = state.values["seconds"], state.values.get("slowed", False)
        self.rows_at_once = state.values.get("rows_at_once")
        if "good" in state.values:
            self.good = Place.of(state.values["good"], below("good", state.tensors), torch.device("cpu"))

    def advance(self) -> Evaluation | None:
        """Train until the next evaluation, and return it; None where the training has ended. Raises DivergedError."""
        if self.known:
            self.evaluations.append(self.known.popleft())
            return self.evaluations[-1]
        if self._recorded is not None:
            return None
        self._since = time.perf_counter()
        with ignore_denormals(), self.random.drawing():
            found = next(self.work, None)
        self._count_seconds()
        return found

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    @property
    def _recorded(self) -> State | None:
        """The record of the finished training; None where it is not finished."""
        state = self.step.state
        return state if state is not None and state.final else None

    @property
    def best(self) -> int:
        """Index of the best evaluation so far."""
        return min(range(len(self.evaluations)), key=lambda place: self.evaluations[place].score)

    def finish(self) -> FitResult:
        """End the training. The model is left with its best weights, on the processor.

        Where its parts were best at different evaluations, one more evaluates them together.
        """
        self.work.close()
        self.evaluations.extend(self.known)
        unshard(self.sharded, self.kept)
        if self._recorded is None:
            self.step.save(self._values(), under("kept", self.kept.tensors()), final=True)
        self.kept.restore()
        self.kept.clear()
        self.model.eval().cpu()
        best = self.kept.best
        if best is None:
            last, best = self.evaluations[-1], len(self.evaluations)
            self.evaluations.append(self.evaluate(self.model, last.epoch, last.rows, last.train_loss))
        return FitResult(
            tuple(self.evaluations), best, self.seconds, self.rows_at_once, self.kept.best_of_parts
        )  # fmt: skip

    def _work(self) -> Generator[Evaluation]:
        """Yield the evaluations, from the last good state on where the first attempt diverges."""
        while True:
            try:
                yield from self._attempt(self._slower if self.slowed else self.settings)
            except NotFiniteError as found:
                if self.slowed:
                    rate, tasks = self._slower.learning_rate, self.evaluate.tasks
                    raise diverged(self.stage, found, self.model, tasks, rate) from None
                self._go_back(found)
            else:
                return

    @property
    def _slower(self) -> TrainingSettings:
        """The settings after a return to the last good state."""
        return replace(self.settings, learning_rate=self.settings.learning_rate * SLOWER)

    def _go_back(self, found: NotFiniteError) -> None:
        """Return to the last good state, and say so."""
        self.kept.restore()
        self.slowed = True
        seen = self.evaluations[-1].rows if self.evaluations else 0
        self.callback(Notice(
            f"{self.stage}: {found.what}{found.where}; going back to the state after {seen:,} rows, with a learning "
            f"rate of {self._slower.learning_rate:g}"
        ))  # fmt: skip

    def _tell_rows(self, rows: int) -> None:
        """Say that batches are cut."""
        self.rows_at_once = rows
        self.callback(Notice(
            f"{self.stage}: memory does not suffice for {self.settings.batch_size:,} rows at once; going on with "
            f"{rows:,}, whose gradients are summed, so that a step is what it was"
        ))  # fmt: skip

    def _attempt(self, settings: TrainingSettings) -> Generator[Evaluation]:
        model = self.model.to(find_device(settings.device))
        loss = MultiTaskLoss(self.evaluate.tasks, sampled=True)
        if isinstance(model, HasPenalty):
            model.look(self.train)
        with updating(model, self.train, settings) as updates:
            passes = Passes(model, self.train, loss, updates, settings, careful=self.slowed, told=self._tell_rows)
            place = self._begun(passes)
            for epoch, rows, train_loss in () if self._ended else passes.run(place, lambda: self._save(place, passes)):
                with updates.averaging.in_place():
                    last = self._evaluated(epoch, rows, train_loss)
                self.good = place.begun()
                self.callback(Progress(self.stage, rows, settings.epochs * len(self.train), last.loss, last.auc))
                self._save(place, passes, pausing=True)
                yield last
                if self._ended:
                    break

    @property
    def _ended(self) -> bool:
        """Tell whether no evaluation of the last ones was better, or whether all rows were seen that it should see."""
        if self.at is not None:
            return self.complete
        return bool(self.evaluations) and self.kept.waited >= self.settings.patience

    @property
    def complete(self) -> bool:
        """Tell whether a training of a given length has that length: no later evaluation could be nearer to its end."""
        if self.at is None or not self.evaluations:
            return False
        return self.evaluations[-1].rows + min(self.settings.evaluate_every, len(self.train)) / 2 > max(self.at)

    def _evaluated(self, epoch: int, rows: int, train_loss: float) -> Evaluation:
        """Evaluate the model, and keep the weights of its parts for which none were better. Raises NotFiniteError."""
        found = self.evaluate(self.model, epoch, rows, train_loss)
        wrong = [place for place, score in enumerate(found.task_scores.values()) if not math.isfinite(score)]
        if wrong:
            name = self.evaluate.tasks[wrong[0]].name
            raise NotFiniteError(
                f"the loss of task '{name}' on validation rows is not finite", self.evaluate.valid, wrong[0]
            )
        self.evaluations.append(found)
        self.kept.look(found)
        return found

    def _begun(self, passes: Passes) -> Place:
        """Return the place to go on from: that of the recorded state, which is restored, or the first one."""
        state, self._begins, begins = self.step.state, False, self._begins
        if state is None or not begins:
            first = Place.first(self.seed, len(self.evaluate.tasks), self.settings, passes.device)
            return first if self.good is None else self.good.begun(passes.device)
        self.model.load_state_dict(below("model", state.tensors))
        passes.updates.load(state.values["updates"], below("updates", state.tensors))
        set_drawn(below("random", state.tensors))
        return Place.of(state.values["place"], below("place", state.tensors), passes.device)

    def _save(self, place: Place, passes: Passes, *, pausing: bool = False) -> None:
        """Record the state between two batches, if it is time for it, and all of it is known."""
        if passes.balancing.remembers:
            end_if_suspended()
        elif self.step.due_to_pause if pausing else self.step.due:
            self._record(place, passes)

    def _record(self, place: Place, passes: Passes) -> None:
        self._count_seconds()
        values = self._values() | {"place": place.values(), "updates": passes.updates.to_dict()}
        tensors = under("model", self.model.state_dict()) | under("updates", passes.updates.tensors())
        tensors |= under("random", drawn()) | under("place", place.tensors())
        if self.good is not None:
            values["good"], tensors = self.good.values(), tensors | under("good", self.good.tensors())
        tensors |= under("kept", self.kept.tensors())
        own = {name: tensors.pop(name) for name in self.own if name in tensors}
        self.step.save(values, tensors, own)

    def _values(self) -> dict[str, Any]:
        """Return what is known of the evaluations so far, as plain values."""
        return {
            "evaluations": [one.to_dict() for one in self.evaluations], "kept": self.kept.to_dict(),
            "seconds": self.seconds, "slowed": self.slowed, "rows_at_once": self.rows_at_once,
        }  # fmt: skip


def _shapes(model: nn.Module) -> str:
    """Describe the parameters of a model."""
    return " ".join(f"{name}{list(one.shape)}" for name, one in model.named_parameters())
