"""Ensemble selection: which trained models make the final scores, with which weights. N rows, T tasks, M members.

Greedy selection with replacement from a library of models, bagged over the models against chance (Caruana et al., ICML
2004, sections 2.1 to 2.3), for each task by its loss on validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass
from torch import Tensor

from automtl.features.batch import Batch
from automtl.tables.entries import CONFIG
from automtl.tables.schema import Task
from automtl.training.losses import MultiTaskLoss
