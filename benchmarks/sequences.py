"""Measures what histories and sequences of events add to a model on a log whose truth is known, by test AUC.

Each user has a mood, one of the categories. An event shows the user an item, half of the time one of the mood's
category. Items of the mood are clicked often, others seldom, and a click most often moves the mood to the category that
follows the clicked one, in an order that nobody tells the network. The second task, `again`, is likely where the item's
category is among those that the user clicked lately, whatever the mood is. The truth is the probability of each label
given all earlier events of its user; that of the mood comes from the forward recursion of a hidden Markov model.

Rows are in order of time; the last two tenths are validation and test rows. A model is trained on user, item and
category without histories, with the statistics of histories, and with statistics and the user's last 20 events.

    python benchmarks/sequences.py [--users 1000] [--events 100] [--seeds 3] [--first-seed 0] [--model shared-bottom]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from automtl.config import make_settings
from automtl.experiment import ColumnRoles, fit_table
from automtl.system.memory import keep_freed_memory
from common import arguments, report

CATEGORIES, ITEMS = 12, 240
OFTEN, SELDOM = 0.8, 0.1  # clicks in the mood and out of it
FOLLOWS, JUMPS = 0.7, 0.02  # a click moves the mood to what follows; an event moves it anywhere
LATELY, AGAIN, ANEW = 10, 0.6, 0.1  # events that `again` looks back at, its probabilities
TASKS = ("click", "again")
INPUTS = {
    "without": {"history": False},
    "statistics": {"sequences": False, "prune_histories": False},
    "sequences": {"prune_histories": False},
}
STRONG_DECAY = {"embedding_weight_decay": 1e-3}  # that of the first preset of a fit


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
        return {
            "user_id": everyone,
            "item_id": item,
            "category": wanted,
            "click": click,
            "again": again,
            "truth": truth,
        }

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


def draw(users: int, events: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """A log in which every user has an event an hour, in order of time, and the truth about its test rows, (n, T)."""
    rng = np.random.default_rng(seed)
    everyone, category_of = Users.of(users, rng), np.arange(ITEMS) % CATEGORIES
    drawn = [everyone.event(category_of) for _ in range(events)]
    columns = {name: np.concatenate([one[name] for one in drawn]) for name in drawn[0]}
    step, truth = np.arange(events).repeat(users), columns.pop("truth")
    part = np.digitize(step / events, [0.8, 0.9])
    table = pl.DataFrame({name: values.astype(np.int64) for name, values in columns.items()})
    time, split = (
        pl.Series("time", 1_600_000_000 + 3600 * step),
        pl.Series("split", np.array(["train", "val", "test"])[part]),
    )
    return table.with_columns(time, split), truth[part == 2]


def compare(kind: str, users: int, events: int, seed: int) -> dict[str, list[float]]:
    """Test AUC of each task with each kind of inputs, and of the truth."""
    table, truth = draw(users, events, seed)
    labels, found = table.filter(pl.col("split") == "test").select(TASKS).to_numpy(), {}
    roles = ColumnRoles(time="time", split="split", label_delay="0s")
    for name, encoder in INPUTS.items():
        alone = {"model": kind, "presets": [], "ensemble": False, "encoder": encoder, "training": STRONG_DECAY}
        run = fit_table(table, list(TASKS), roles=roles, settings=make_settings(alone), seed=seed)
        found[name] = [round(run.metrics["test"]["tasks"][task]["auc"], 4) for task in TASKS]
    found["truth"] = [round(float(roc_auc_score(labels[:, place], truth[:, place])), 4) for place in range(len(TASKS))]
    return found


@keep_freed_memory()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", default="shared-bottom")
    chosen = parser.parse_args()
    found = []
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        found.append(compare(chosen.model, chosen.users, chosen.events, seed))
        print(f"seed {seed}: {found[-1]}", flush=True)
    mean = {name: np.mean([one[name] for one in found], axis=0).round(4).tolist() for name in found[0]}
    settings = {name: getattr(chosen, name) for name in ("users", "events", "seeds", "first_seed", "model")}
    report("sequences", settings | {"tasks": TASKS, "auc": mean}, chosen.out)


if __name__ == "__main__":
    main()
