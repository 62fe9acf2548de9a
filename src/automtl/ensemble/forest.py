"""Boosted trees of all tasks as flat arrays, which are checked when they are read. Plain numpy; no library of trees.

N trees, M nodes, L = M + N leaves, S sets, C columns, T tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from automtl.ensemble.forest_checks import require_sound
from automtl.errors import FileError

SET_BYTES = 32  # of a set of ids below 256, one bit each
ZERO = np.float32(1e-35)  # a number that is not farther from 0 than this is zero


class Missing(IntEnum):
    """Which values of a column are missing at a node; they go the node's default way."""

    NONE = 0  # NaN is read as 0
    ZERO = 1  # NaN, and what is not farther from 0 than `ZERO`
    NAN = 2


@dataclass(frozen=True, eq=False)
class Forest:
    """Boosted trees of all tasks. A row's score for a task is its bias plus the leaves that the row reaches, in double.

    The trees of a task follow one another, and their leaves are added in that order. Nodes and leaves are numbered
    through all trees; tree i has the nodes from `tree_start[i]` to `tree_start[i + 1]`, its root first, and one leaf
    more than nodes, from `tree_start[i] + i`. Inputs are float32 numbers, (B, C).

    A node without a set sends a value that is at most its threshold to the left, all else to the right. A node with a
    set reads the value as an id, its digits after the point cut off: ids of the set go left; all else goes right, such
    as NaN, ids below 0 and those from 256 on.

    - `columns`: C, as (1,) int32
    - `bias`: (T,) float64
    - `tree_task`: (N,) int32, ascending
    - `tree_start`: (N + 1,) int32, from 0 to M
    - `column`: (M,) int32, the column that a node reads
    - `threshold`: (M,) float32, infinite where only missing values go right; 0 for nodes with a set
    - `missing`: (M,) uint8, a `Missing`; `NONE` for nodes with a set
    - `default_left`: (M,) bool, the way of missing values
    - `node_set`: (M,) int32, the set of a node; -1 for none
    - `left`, `right`: (M,) int32, the child: another node if it is 0 or more, which has a larger number than its
      parent, else leaf `-1 - child`
    - `sets`: (S, 32) uint8, a bit for each id from 0, the lowest bit of a byte first
    - `leaf`: (L,) float64
    """

    columns: np.ndarray
    bias: np.ndarray
    tree_task: np.ndarray
    tree_start: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    missing: np.ndarray
    default_left: np.ndarray
    node_set: np.ndarray
    left: np.ndarray
    right: np.ndarray
    sets: np.ndarray
    leaf: np.ndarray

    def __post_init__(self) -> None:
        """Check everything that the class promises. Raises FileError that names the array."""
        require_sound(self.arrays())

    @property
    def num_columns(self) -> int:
        """Number of columns of the inputs."""
        return int(self.columns[0])

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.bias)

    @property
    def num_trees(self) -> int:
        """Number of trees of all tasks."""
        return len(self.tree_task)

    @property
    def num_parameters(self) -> int:
        """Number of thresholds or sets, and of leaves."""
        return len(self.column) + len(self.leaf)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Forest:
        """Make a forest of arrays by name. Raises FileError where some are missing or wrong."""
        names = [one.name for one in fields(Forest)]
        if set(arrays) != set(names):
            raise FileError(f"a forest has the arrays {', '.join(names)}; found {', '.join(sorted(arrays)) or 'none'}")
        return Forest(**arrays)


def to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the content of a safetensors file of arrays by name."""
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def from_bytes(content: bytes) -> dict[str, np.ndarray]:
    """Read what `to_bytes` returned, or what a stranger has made. Raises FileError where it is something else."""
    try:
        return load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # a type that numpy does not have, too
        raise FileError(f"no safetensors file of arrays ({error})") from None
