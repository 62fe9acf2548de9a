"""What all candidates of a comparison share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from automtl.config import Settings
from automtl.experiment.source import ColumnRoles
from automtl.tables.schema import Schema


@dataclass(frozen=True)
class ComparisonSettings:
    """`seeds`: that many from 0 on, or these. `trials`: hyperparameters tried for each candidate.

    `jobs`: processes, one a core if None. `overwrite`: discard results of an earlier comparison in the folder.

    >>> automtl.ComparisonSettings(seeds=2, trials=1, jobs=2).seeds
    2
    """

    roles: ColumnRoles = field(default_factory=ColumnRoles)
    schema: Schema | None = None
    settings: Settings = field(default_factory=Settings)
    seeds: int | Sequence[int] = 5
    trials: int = 6
    jobs: int | None = None
    split_seed: int = 0
    overwrite: bool = False
