"""torch-rechub: its MMOE or SharedBottom, its MTLTrainer, the loader of its DataGenerator."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import MMOE, SharedBottom
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

from peers.sizes import Sizes
from peers.worker import counted_flops, serve, threads


class Worker:
    """The model and its data."""

    def __init__(self, sizes: Sizes, rows: int) -> None:
        self.sizes = sizes
        ids, numeric, self.labels = sizes.data(rows)
        self.columns = {f"c{i}": ids[:, i].copy() for i in range(sizes.fields)}
        self.columns |= {f"n{i}": numeric[:, i].copy() for i in range(sizes.numeric)}
        self.kinds = ["classification"] * sizes.tasks
        torch.manual_seed(0)
        self.model = self.build()
        self.trainer = MTLTrainer(self.model, task_types=self.kinds, device="cpu")

    def build(self) -> nn.Module:
        sizes = self.sizes
        fields = [SparseFeature(f"c{i}", sizes.vocabulary, sizes.embedding) for i in range(sizes.fields)]
        features = [*fields, *(DenseFeature(f"n{i}") for i in range(sizes.numeric))]
        towers = [{"dims": list(sizes.tower)} for _ in self.kinds]
        shared = {"dims": list(sizes.hidden)}
        if sizes.experts:
            return MMOE(features, self.kinds, sizes.experts, shared, towers)
        return SharedBottom(features, self.kinds, shared, towers)

    def part(self, rows: int) -> dict[str, np.ndarray]:
        return {name: values[:rows] for name, values in self.columns.items()}

    def train(self, rows: int) -> None:
        few = self.part(1)
        generator = DataGenerator(self.part(rows), self.labels[:rows])
        loader, _, _ = generator.generate_dataloader(
            few, self.labels[:1], few, self.labels[:1], batch_size=self.sizes.batch
        )
        self.trainer.train_one_epoch(loader)

    def flops(self, _: int) -> float:
        rows = self.sizes.batch
        batch = {name: torch.from_numpy(values) for name, values in self.part(rows).items()}
        return counted_flops(lambda: self.model(batch).sum(), rows)


if __name__ == "__main__":
    threads()
    worker = Worker(Sizes.read(sys.argv[1]), int(sys.argv[2]))
    serve({"train": worker.train, "flops": worker.flops})
