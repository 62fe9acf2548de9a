"""deepctr-torch: its MMOE or SharedBottom, `fit` and `predict`.

On import the library asks a server for its newest version; here the question is refused.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import requests
import torch
from torch import nn

from peers.sizes import Sizes
from peers.worker import counted_flops, serve, threads


def refused(*_: Any, **__: Any) -> None:
    """No network at run time."""
    raise OSError("no network here")


requests.get = refused
from deepctr_torch.inputs import DenseFeat, SparseFeat  # noqa: E402
from deepctr_torch.models import MMOE, SharedBottom  # noqa: E402

PREDICT_ROWS = 1024  # a batch of prediction: the fastest of 256, 1024 and 8192


class Worker:
    """The model and its data."""

    def __init__(self, sizes: Sizes, rows: int) -> None:
        self.sizes = sizes
        ids, numeric, self.labels = sizes.data(rows)
        self.columns = {f"c{i}": ids[:, i].copy() for i in range(sizes.fields)}
        self.columns |= {f"n{i}": numeric[:, i].copy() for i in range(sizes.numeric)}
        self.model = self.build()
        self.model.compile("adam", loss=["binary_crossentropy"] * sizes.tasks, metrics=[])

    def build(self) -> nn.Module:
        sizes = self.sizes
        fields = [SparseFeat(f"c{i}", sizes.vocabulary, sizes.embedding) for i in range(sizes.fields)]
        features = [*fields, *(DenseFeat(f"n{i}", 1) for i in range(sizes.numeric))]
        names = [f"t{i}" for i in range(sizes.tasks)]
        common = {"task_types": ["binary"] * sizes.tasks, "task_names": names, "tower_dnn_hidden_units": sizes.tower}
        if sizes.experts:
            shape = {"expert_dnn_hidden_units": sizes.hidden, "gate_dnn_hidden_units": ()}
            return MMOE(features, num_experts=sizes.experts, **shape, **common)
        return SharedBottom(features, bottom_dnn_hidden_units=sizes.hidden, **common)

    def part(self, rows: int) -> dict[str, np.ndarray]:
        return {name: values[:rows] for name, values in self.columns.items()}

    def train(self, rows: int) -> None:
        self.model.fit(self.part(rows), self.labels[:rows], batch_size=self.sizes.batch, epochs=1, verbose=0)

    def predict(self, rows: int) -> None:
        self.model.predict(self.part(rows), batch_size=PREDICT_ROWS)

    def flops(self, _: int) -> float:
        rows = self.sizes.batch
        x = torch.from_numpy(np.stack(list(self.part(rows).values()), axis=1)).float()
        return counted_flops(lambda: self.model(x).sum(), rows)


if __name__ == "__main__":
    threads()
    worker = Worker(Sizes.read(sys.argv[1]), int(sys.argv[2]))
    serve({"train": worker.train, "predict": worker.predict, "flops": worker.flops})
