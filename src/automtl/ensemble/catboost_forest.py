"""Makes a forest of CatBoost's models, which have just been trained here. C fields, K tables.

CatBoost knows ids by 64-bit hashes of their texts. Ids are small whole numbers, so what it knows of each is looked up
here once, and becomes a table by id. All splits of a level of a tree are alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from automtl.ensemble.forest import SET_BYTES, Forest, Missing
from automtl.ensemble.lookup_tables import LookupTables
from automtl.errors import SettingsError

MULTIPLIER = np.uint64(0x4906BA494954CB65)  # by which CatBoost makes the key of a table of a hash
NOT_READABLE = "the trees of catboost {version} cannot be read{why}; use another version, or leave CatBoost out"


class CatBoostForest:
    """Makes a forest of models, one for each task, of rows of so many columns: ids of C fields, then numbers.

    `sizes`: (C,), the number of ids of each field.
    """

    def __init__(self, columns: int, sizes: Sequence[int]) -> None:
        self.columns, self.sizes = columns, sizes
        self.hashes = id_hashes(max(sizes, default=0))
        self.tables: list[tuple[int, np.ndarray]] = []  # a field, and a number for each of its ids
        self.places: dict[Any, int] = {}  # of tables, by what they hold
        self.sets: dict[int, int] = {}  # their numbers, by their only id

    def of(self, models: Sequence[Any]) -> tuple[LookupTables, Forest]:
        """Return tables that give K more columns, and a forest of all. Raises SettingsError."""
        try:
            trees = [self._trees(task, _exported(model)) for task, model in enumerate(models)]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SettingsError(_not_readable(f" ({type(error).__name__}: {error})")) from None
        flat = [tree for of_task in trees for tree in of_task[1]]
        starts = np.cumsum([0, *(len(tree["column"]) for tree in flat)])
        for index, tree in enumerate(flat):
            for side in ("left", "right"):
                inner = tree[side] >= 0
                tree[side] = np.where(inner, tree[side] + starts[index], tree[side] - starts[index] - index)
        nodes = {
            name: np.concatenate([np.zeros(0, kind), *(tree[name].astype(kind) for tree in flat)])
            for name, kind in NODE_TYPES.items()
        }
        tables = LookupTables.of(self.tables)
        return tables, Forest(
            columns=np.array([self.columns + len(self.tables)], np.int32),
            bias=np.array([bias for bias, _ in trees]),
            tree_task=np.repeat(np.arange(len(trees)), [len(of_task) for _, of_task in trees]).astype(np.int32),
            tree_start=starts.astype(np.int32),
            sets=self._set_bytes(),
            leaf=np.concatenate([np.zeros(0), *(tree["leaf"] for tree in flat)]),
            **nodes,
        )

    def _set_bytes(self) -> np.ndarray:
        flags = np.zeros((len(self.sets), 8 * SET_BYTES), np.uint8)
        flags[list(self.sets.values()), list(self.sets)] = 1
        return np.packbits(flags, axis=1, bitorder="little")

    def _trees(self, task: int, model: dict[str, Any]) -> tuple[float, list[dict[str, np.ndarray]]]:
        """Return the bias and the trees of one task."""
        scale, (bias,) = model["scale_and_bias"]
        if scale != 1:
            raise ValueError("scaled trees")
        splits = self._splits(task, model)
        return bias, [
            _tree([splits(split) for split in tree["splits"] or []], np.array(tree["leaf_values"], np.float64))
            for tree in model["oblivious_trees"]
        ]

    def _splits(self, task: int, model: dict[str, Any]) -> Callable[[dict[str, Any]], Split]:
        """Make a function that reads the splits of a model."""
        info = model["features_info"]
        floats, statistics = info.get("float_features", []), info.get("ctrs") or []
        first = sum(len(one["borders"]) for one in floats)
        first += sum(len(one.get("values", ())) for one in info.get("categorical_features", []))
        ends = first + np.cumsum([len(one["borders"]) for one in statistics])

        def read(split: dict[str, Any]) -> Split:
            kind = split["split_type"]
            if kind == "FloatFeature":
                column = split["float_feature_index"]
                return Split(
                    len(self.sizes) + column,
                    split["border"],
                    nan_left=floats[column]["nan_value_treatment"] != "AsTrue",
                )
            if kind == "OneHotFeature":
                return self._one_hot(split["cat_feature_index"], split["value"])
            if kind == "OnlineCtr":
                which = int(np.searchsorted(ends, split["split_index"], side="right"))
                return Split(self._statistic(task, which, statistics[which], model["ctr_data"]), split["border"])
            raise ValueError(f"a split of type {kind}")

        return read

    def _one_hot(self, field: int, value: int) -> Split:
        """Read a split by one id, which goes right: by a set, or where ids are too large for sets, by a table."""
        ((known,),) = (np.flatnonzero(self.hashes[: self.sizes[field]] == value),)
        if known < 8 * SET_BYTES:
            return Split(field, node_set=self.sets.setdefault(int(known), len(self.sets)))
        flags = np.zeros(self.sizes[field], np.float32)
        flags[known] = 1
        return Split(self._table(("flag", field, int(known)), field, lambda: flags), 0.5)

    def _statistic(self, task: int, which: int, about: dict[str, Any], known: dict[str, Any]) -> int:
        """Return the column of a target statistic: from the counts of an id, scaled as CatBoost does in float32."""
        (element,) = about["elements"]
        field, counts = element["cat_feature_index"], known[about["identifier"]]

        def values() -> np.ndarray:
            good, total = self._counts(about, counts, self.sizes[field])
            prior, weight, shift, scale = (np.float32(about[name]) for name in CALCULATION)
            found: np.ndarray = ((good + prior) / (total + weight) + shift) * scale
            return found

        return self._table(("statistic", task, which), field, values)

    def _counts(self, about: dict[str, Any], known: dict[str, Any], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return how often each id was met with a larger target, or at all, and the whole that this is a part of."""
        stride = known["hash_stride"]
        keys = np.array([int(word) for word in known["hash_map"][::stride]], np.uint64)
        columns = [np.array(known["hash_map"][place::stride], np.float32) for place in range(1, stride)]
        wanted = MULTIPLIER * (MULTIPLIER * self.hashes[:size].astype(np.uint64))  # modulo 2^64
        order = np.argsort(keys)
        places = order[np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)]
        counts = np.where(keys[places] == wanted, np.stack(columns)[:, places], np.float32(0)).T  # (size, stride - 1)
        if about["ctr_type"] == "Borders" and stride == 3:
            return counts[:, 1], counts.sum(axis=1)
        if about["ctr_type"] == "Counter" and stride == 2:
            return counts[:, 0], np.full(size, known["counter_denominator"], np.float32)
        raise ValueError(f"statistics of type {about['ctr_type']} and {stride} numbers")

    def _table(self, name: Any, field: int, values: Callable[[], np.ndarray]) -> int:
        """Return the column of a table, which is made if there is none of this name."""
        if name not in self.places:
            self.places[name] = len(self.tables)
            self.tables.append((field, values()))
        return self.columns + self.places[name]


CALCULATION = ("prior_numerator", "prior_denomerator", "shift", "scale")  # the words of CatBoost's file
NODE_TYPES: dict[str, Any] = {
    "column": np.int32, "threshold": np.float32, "missing": np.uint8, "default_left": np.bool_, "node_set": np.int32,
    "left": np.int32, "right": np.int32,
}  # fmt: skip


@dataclass(frozen=True)
class Split:
    """The question of a level's nodes: is a column above a threshold, or in a set? `nan_left`: the way of NaN."""

    column: int
    threshold: float = 0.0
    node_set: int = -1
    nan_left: bool = True


def _tree(splits: Sequence[Split], leaf: np.ndarray) -> dict[str, np.ndarray]:
    """Make a tree of its levels: bit j of a leaf's number tells the way at level j, 1 for above or in the set."""
    levels = len(splits)
    if len(leaf) != 1 << levels:
        raise ValueError("a tree of several dimensions")
    level = np.repeat(np.arange(levels), 1 << np.arange(levels))
    place = np.arange(len(leaf) - 1) + 1 - (1 << level)  # within its level: the bits so far
    step = 1 << level
    zero, one = place, place + step
    last = level == levels - 1
    zero, one = (np.where(last, -1 - below, 2 * step - 1 + below) for below in (zero, one))
    node_set = np.array([split.node_set for split in splits], np.int64)[level]
    by_set = node_set >= 0
    return {
        "column": np.array([split.column for split in splits], np.int64)[level],
        "threshold": np.array([split.threshold for split in splits], np.float32)[level],
        "missing": np.where(by_set, Missing.NONE, Missing.NAN),
        "default_left": ~by_set & np.array([split.nan_left for split in splits], bool)[level],
        "node_set": node_set, "left": np.where(by_set, one, zero), "right": np.where(by_set, zero, one), "leaf": leaf,
    }  # fmt: skip


def _exported(model: Any) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found


def id_hashes(count: int) -> np.ndarray:
    """Return CatBoost's hashes of the texts of ids, (count,) int64: those that it writes beside a model of all ids."""
    from catboost import CatBoost, FeaturesData, Pool

    words = np.arange(max(count, 2)).astype("S").astype(object)[:, None]
    pool = Pool(FeaturesData(cat_feature_data=words), label=np.arange(len(words)) % 2)
    options = {"iterations": 1, "depth": 1, "allow_writing_files": False, "logging_level": "Silent", "thread_count": 1}
    model = CatBoost(options | {"loss_function": "RMSE", "max_ctr_complexity": 1, "random_seed": 0})
    model.fit(pool)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        model.save_model(str(path), format="python", pool=pool)
        text = path.read_text().partition("cat_features_hashes = {")[2].partition("}")[0]
    known = {int(word): int(value) for word, value in re.findall(r'"(\d+)": *(-?\d+)', text)}
    return np.array([known[place] for place in range(count)], np.int64)


def _not_readable(why: str) -> str:
    import catboost

    return NOT_READABLE.format(version=catboost.__version__, why=why)
