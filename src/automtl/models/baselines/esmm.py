"""Entire space multi-task model (Ma et al., SIGIR 2018, eq. 1-3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automtl.errors import SettingsError
from automtl.features.layout import Layout
from automtl.models.baselines.base import Baseline, make_experts
from automtl.models.settings import NetworkSettings
from automtl.nn.funnel import Funnel
from automtl.tables.schema import Condition, Task, TaskKind, stages


class ESMM(Baseline):
    """A network for each task on a shared embedding; tasks are a chain in the order given, over all rows.

    Task 1 is p_1 = sigmoid(z_1), task k is p_k = p_(k-1) sigmoid(z_k): each step's probability given the one before is
    learned through the product alone (eq. 3), and p_k never exceeds p_(k-1). The paper has two tasks, click and click
    & conversion. Labels that do not imply the label before fit it badly. A schema's funnel is taken as the chain.
    """

    def __init__(self, layout: Layout, settings: NetworkSettings, generator: torch.Generator) -> None:
        self.check(layout.tasks)
        super().__init__(layout, settings, generator)
        self.funnel = Funnel(stages(layout.tasks) or range(layout.num_tasks))
        self.bottoms = make_experts(layout.num_tasks, self.embedding.width, settings.width, generator)

    @staticmethod
    def check(tasks: Sequence[Task]) -> None:
        names = {task.name for task in tasks}
        for task in tasks:
            if task.kind is not TaskKind.BINARY:
                raise SettingsError(f"model 'esmm' chains probabilities, task '{task.name}' is a regression; drop it")
            if task.condition is not None and Condition.parse(task.condition).column in names:
                raise SettingsError(
                    f"model 'esmm' learns task '{task.name}' on all rows, as a step after the task before it; "
                    f"remove its condition '{task.condition}' or choose another model"
                )

    def gather(self, x: Tensor) -> Tensor:
        out: Tensor = self.finish(self.bottoms(x))
        return out
