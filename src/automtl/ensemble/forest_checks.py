"""Checks that the arrays of a forest are trees that can be scored. N trees, M nodes, L leaves, S sets, C columns.

They take time and memory in proportion to the arrays, whatever is in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from automtl.errors import FileError

DEPTH = 512  # nodes from a root to a leaf, at most
MOST_COLUMNS, MOST_TASKS = 2**20, 2**16
MOST_IDS = 2**23  # in all sets together, since scoring spells them out
LARGEST = 1e28  # of the values of leaves: sums of all leaves are finite in float32
IDS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)  # bits
TYPES: dict[str, tuple[Any, tuple[int, ...]]] = {  # the type of an array, and its shape; -1: any length
    "columns": (np.int32, (1,)),
    "bias": (np.float64, (-1,)),
    "tree_task": (np.int32, (-1,)),
    "tree_start": (np.int32, (-1,)),
    "column": (np.int32, (-1,)),
    "threshold": (np.float32, (-1,)),
    "missing": (np.uint8, (-1,)),
    "default_left": (np.bool_, (-1,)),
    "node_set": (np.int32, (-1,)),
    "left": (np.int32, (-1,)),
    "right": (np.int32, (-1,)),
    "sets": (np.uint8, (-1, 32)),
    "leaf": (np.float64, (-1,)),
}
OF_NODES = ("column", "threshold", "missing", "default_left", "node_set", "left", "right")


def require_sound(arrays: Mapping[str, np.ndarray]) -> None:
    """Check types, shapes, ranges, and that each tree is one. Raises FileError that names the array."""
    for name, (kind, shape) in TYPES.items():
        _require_type(name, arrays[name], kind, shape)
    trees, nodes = len(arrays["tree_task"]), len(arrays["column"])
    lengths = {"tree_start": trees + 1, "leaf": nodes + trees} | dict.fromkeys(OF_NODES, nodes)
    for name, length in lengths.items():
        if len(arrays[name]) != length:
            raise FileError(f"'{name}' of a forest has {len(arrays[name])} entries, not {length}")
    _require_values(arrays)
    _require_order(arrays["tree_task"], arrays["tree_start"], nodes)
    _require_trees(arrays["tree_start"], arrays["left"], arrays["right"])


def _require_type(name: str, array: np.ndarray, kind: Any, shape: tuple[int, ...]) -> None:
    fits = array.ndim == len(shape) and all(want in (-1, size) for want, size in zip(shape, array.shape, strict=True))
    if array.dtype != kind or not fits:
        wanted = np.dtype(kind).name, tuple("any" if size < 0 else size for size in shape)
        found = array.dtype.name, array.shape
        raise FileError(f"'{name}' of a forest is {found[0]} of shape {found[1]}; expected {wanted[0]} of {wanted[1]}")


def _require_values(arrays: Mapping[str, np.ndarray]) -> None:
    bounds = {
        "columns": (1, MOST_COLUMNS),
        "tree_task": (0, len(arrays["bias"]) - 1),
        "column": (0, int(arrays["columns"][0]) - 1),
        "missing": (0, 2),
        "node_set": (-1, len(arrays["sets"]) - 1),
    }
    for name, (least, most) in bounds.items():
        if ((arrays[name] < least) | (arrays[name] > most)).any():
            raise FileError(f"'{name}' of a forest has values outside of {least} to {most}")
    if not 0 < len(arrays["bias"]) <= MOST_TASKS:
        raise FileError(f"'bias' of a forest is for {len(arrays['bias'])} tasks; expected 1 to {MOST_TASKS}")
    if np.isnan(arrays["threshold"]).any():
        raise FileError("'threshold' of a forest has values that are no numbers")
    for name in ("bias", "leaf"):
        if not (np.abs(arrays[name]) <= LARGEST).all():  # nor is NaN
            raise FileError(f"'{name}' of a forest has values that are not finite, or beyond {LARGEST:g}")
    if (ids := int(IDS_OF_BYTE[arrays["sets"]].sum())) > MOST_IDS:
        raise FileError(f"'sets' of a forest hold {ids} ids, more than {MOST_IDS}")
    of_sets = arrays["node_set"] >= 0
    if (arrays["missing"][of_sets] != 0).any() or (arrays["threshold"][of_sets] != 0).any():
        raise FileError("'node_set' of a forest has nodes that have a threshold or missing values, too")


def _require_order(tree_task: np.ndarray, tree_start: np.ndarray, nodes: int) -> None:
    if (tree_task[1:] < tree_task[:-1]).any():
        raise FileError("'tree_task' of a forest does not ascend")
    if tree_start[0] != 0 or tree_start[-1] != nodes or (tree_start[1:] < tree_start[:-1]).any():
        raise FileError(f"'tree_start' of a forest does not ascend from 0 to {nodes}, its nodes")


def _require_trees(tree_start: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """Check that children are of their parent's tree and behind it, that each has one parent, and the depth.

    Then each tree is one: from any node or leaf, parents lead back to smaller numbers, thus to the root.
    """
    trees, nodes = len(tree_start) - 1, len(left)
    starts = tree_start.astype(np.int64)
    tree = np.repeat(np.arange(trees), np.diff(starts))  # (M,): whose node it is
    parents = np.arange(nodes)
    children = np.concatenate([left, right]).astype(np.int64)
    parents, tree = np.concatenate([parents, parents]), np.concatenate([tree, tree])
    inner = children >= 0
    least = np.where(inner, parents + 1, starts[:-1][tree] + tree)
    most = np.where(inner, starts[1:][tree] - 1, starts[1:][tree] + tree)
    numbers = np.where(inner, children, -1 - children)
    if ((numbers < least) | (numbers > most)).any():
        raise FileError("'left' or 'right' of a forest has a child that is not behind its parent in the same tree")
    roots = np.zeros(nodes, np.int64)
    roots[starts[:-1][np.diff(starts) > 0]] = 1
    single = starts[:-1][np.diff(starts) == 0] + np.flatnonzero(np.diff(starts) == 0)  # leaves without a node
    met = np.bincount(numbers[~inner], minlength=nodes + trees)
    met[single] += 1
    if not (np.bincount(numbers[inner], minlength=nodes) + roots == 1).all() or not (met == 1).all():
        raise FileError("'left' or 'right' of a forest leads to a node or leaf twice, or never")
    levels_of(tree_start, left, right)


def levels_of(tree_start: np.ndarray, left: np.ndarray, right: np.ndarray, first: int = 0) -> list[np.ndarray]:
    """Return the nodes of each level, the roots first. `first`: the number of the first node in `left` and `right`.

    Raises FileError where there are more than `DEPTH` levels.
    """
    level, levels = tree_start[:-1][np.diff(tree_start) > 0].astype(np.int64), list[np.ndarray]()
    while len(level):
        if len(levels) == DEPTH:
            raise FileError(f"'left' or 'right' of a forest has trees of more than {DEPTH} levels")
        levels.append(level)
        children = np.stack([left[level], right[level]], axis=1).ravel().astype(np.int64)
        level = children[children >= 0] - first
    return levels
