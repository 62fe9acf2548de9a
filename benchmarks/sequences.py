"""What sequences of events are worth where the truth is known: test AUC with them, without them, and of the truth.

Each user has a mood, one of the categories. An event shows the user an item, half of the time one of the mood's
category. Items of the mood are clicked often, others seldom, and a click most often moves the mood to the category that
follows the clicked one, in an order that nobody tells the network. The second task, `again`, is likely where the item's
category is among those that the user clicked lately, whatever the mood is. The truth is the probability of each label
given all earlier events of its user; that of the mood comes from the forward recursion of a hidden Markov model.

Rows are in order of time; the last two tenths are validation and test rows. A model is trained on user, item and
category, with the last 20 events of the user (item, category, both outcomes, how long ago) and without.

    python benchmarks/sequences.py [--users 300] [--events 150] [--seeds 3] [--model shared-bottom]
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from automtl.features.batch import Batch
from automtl.features.encoder import Encoder
from automtl.features.layout import AspectLayout, Layout, SequenceLayout
from automtl.features.settings import EncoderSettings
from automtl.models.registry import MODELS
from automtl.models.settings import NetworkSettings
from automtl.system.memory import keep_freed_memory
from automtl.tables.schema import Field, FieldKind, Schema, Task
from automtl.training.evaluation import predict_logits
from automtl.training.fit import fit
from automtl.training.settings import TrainingSettings
from common import arguments, report

CATEGORIES, ITEMS, POSITIONS = 12, 240, 20
OFTEN, SELDOM = 0.8, 0.1  # clicks in the mood and out of it
FOLLOWS, JUMPS = 0.7, 0.02  # a click moves the mood to what follows; an event moves it anywhere
LATELY, AGAIN, ANEW = 10, 0.6, 0.1  # events that `again` looks back at, its probabilities
TASKS = (Task("click"), Task("again"))
SCHEMA = Schema(tuple(Field(name, FieldKind.CATEGORICAL) for name in ("user", "item", "category")), TASKS)
ASPECTS = (
    AspectLayout("item", 0, "item"), AspectLayout("category", 0, "category"),
    AspectLayout("click", 3), AspectLayout("again", 3), AspectLayout("age", POSITIONS + 1),
)  # fmt: skip


@dataclass
class Users:
    """U users: the mood (U,), what can be known of it, (U, C), and the categories clicked lately (U, n)."""

    rng: np.random.Generator
    follows: np.ndarray
    mood: np.ndarray
    belief: np.ndarray
    clicked: np.ndarray

    @staticmethod
    def of(count: int, rng: np.random.Generator) -> Users:
        """Users before their first event."""
        mood, belief = rng.integers(0, CATEGORIES, count), np.full((count, CATEGORIES), 1 / CATEGORIES)
        return Users(rng, rng.permutation(CATEGORIES), mood, belief, np.full((count, LATELY), -1))

    def event(self, category_of: np.ndarray) -> dict[str, np.ndarray]:
        """One event of each: what is shown, both labels and the truth about them."""
        everyone = np.arange(len(self.mood))
        wanted = np.where(
            self.rng.random(len(everyone)) < 0.5, self.mood, self.rng.integers(0, CATEGORIES, len(everyone))
        )
        item = np.array([self.rng.choice(np.flatnonzero(category_of == category)) for category in wanted])
        self._believe(np.where(np.arange(CATEGORIES) == wanted[:, None], 0.5 + 0.5 / CATEGORIES, 0.5 / CATEGORIES))
        sure = self.belief[everyone, wanted]
        truth = np.stack(
            [sure * OFTEN + (1 - sure) * SELDOM, np.where((self.clicked == wanted[:, None]).any(axis=1), AGAIN, ANEW)],
            1,
        )
        click = self.rng.random(len(everyone)) < np.where(wanted == self.mood, OFTEN, SELDOM)
        again = self.rng.random(len(everyone)) < truth[:, 1]
        self._move(wanted, click)
        return {"user": everyone, "item": item, "category": wanted, "click": click, "again": again, "truth": truth}

    def _believe(self, likelihood: np.ndarray) -> None:
        self.belief = self.belief * likelihood
        self.belief /= self.belief.sum(axis=1, keepdims=True)

    def _move(self, shown: np.ndarray, click: np.ndarray) -> None:
        """Learn from the click, and move the mood and what is believed of it."""
        here = np.arange(CATEGORIES) == shown[:, None]
        clicks = np.where(here, OFTEN, SELDOM)
        self._believe(np.where(click[:, None], clicks, 1 - clicks))
        next_ = np.arange(CATEGORIES) == self.follows[shown][:, None]
        follow, jump = click & (self.rng.random(len(click)) < FOLLOWS), self.rng.random(len(click)) < JUMPS
        self.mood = np.where(follow, self.follows[shown], self.mood)
        self.mood = np.where(jump, self.rng.integers(0, CATEGORIES, len(click)), self.mood)
        share = FOLLOWS * click[:, None]
        self.belief = (1 - JUMPS) * (share * next_ + (1 - share) * self.belief) + JUMPS / CATEGORIES
        self.clicked = np.concatenate([self.clicked[:, 1:], np.where(click, shown, -1)[:, None]], axis=1)


@dataclass(frozen=True)
class Log:
    """Events in order of time, N in all: a table, the truth (N, T), and the user's last events before each (N, L).

    The newest of the last events comes last; -1 is none.
    """

    table: pl.DataFrame
    truth: np.ndarray
    last: np.ndarray

    @staticmethod
    def draw(users: int, events: int, seed: int) -> Log:
        """Draw a log in which every user has an event at each step."""
        rng = np.random.default_rng(seed)
        everyone, category_of = Users.of(users, rng), np.arange(ITEMS) % CATEGORIES
        drawn = [everyone.event(category_of) for _ in range(events)]
        columns = {name: np.concatenate([one[name] for one in drawn]) for name in drawn[0]}
        step, truth = np.arange(events).repeat(users)[:, None], columns.pop("truth")
        before = step - np.arange(POSITIONS, 0, -1)
        last = np.where(before < 0, -1, before * users + columns["user"][:, None])
        return Log(pl.DataFrame({name: values.astype(np.int64) for name, values in columns.items()}), truth, last)

    def lists(self, encoder: Encoder) -> tuple[Tensor, ...]:
        """The ids of each aspect of the last events."""
        ids, names = (
            encoder.encode(self.table).features.categorical.numpy(),
            [field.name for field in encoder.schema.fields],
        )
        found = [ids[:, names.index(one.target)] for one in ASPECTS if one.target is not None]
        found += [1 + self.table[task.name].to_numpy() for task in TASKS]
        age = np.broadcast_to(np.arange(POSITIONS, 0, -1), self.last.shape)
        every = [*(values[self.last] for values in found), age]
        return tuple(torch.from_numpy(np.where(self.last < 0, 0, values)) for values in every)


def trained(kind: str, layout: Layout, parts: list[Batch], seed: int) -> list[float]:
    """Test AUC of each task."""
    model = MODELS.find(kind)(layout, NetworkSettings(), torch.Generator().manual_seed(seed))
    train, valid, test = parts
    fit(model, train, valid, TASKS, TrainingSettings(), seed)
    return aucs(test.labels.numpy(), predict_logits(model, test).numpy())


def aucs(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    """AUC by task."""
    return [round(float(roc_auc_score(labels[:, task], scores[:, task])), 4) for task in range(len(TASKS))]


def compare(kind: str, log: Log, seed: int) -> dict[str, list[float]]:
    """Test AUC of each task without sequences, with them, and of the truth."""
    count = log.table.height
    ends = [0, int(0.8 * count), int(0.9 * count), count]
    spans = [slice(start, stop) for start, stop in pairwise(ends)]
    encoder, train = Encoder.fit(log.table[spans[0]], SCHEMA, EncoderSettings(), seed)
    parts = [train, *(encoder.encode(log.table[span]) for span in spans[1:])]
    lists = log.lists(encoder)
    events = [
        replace(part, features=replace(part.features, multi=tuple(ids[span] for ids in lists)))
        for part, span in zip(parts, spans, strict=True)
    ]
    layout = replace(encoder.layout, sequences=(SequenceLayout("events", ASPECTS, POSITIONS),))
    return {
        "without": trained(kind, encoder.layout, parts, seed),
        "with": trained(kind, layout, events, seed),
        "truth": aucs(parts[2].labels.numpy(), log.truth[spans[2]]),
    }


@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--events", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="shared-bottom")
    chosen = parser.parse_args()
    found = []
    for seed in range(chosen.seeds):
        found.append(compare(chosen.model, Log.draw(chosen.users, chosen.events, seed), seed))
        print(f"seed {seed}: {found[-1]}", flush=True)
    mean = {name: np.mean([one[name] for one in found], axis=0).round(4).tolist() for name in found[0]}
    settings = {name: getattr(chosen, name) for name in ("users", "events", "seeds", "model")}
    report("sequences", settings | {"tasks": [task.name for task in TASKS], "auc": mean}, chosen.out)


if __name__ == "__main__":
    main()
