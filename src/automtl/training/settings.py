"""Settings of a training, and the balancings by name. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.errors import SettingsError
from automtl.system.registry import Registry
from automtl.tables.entries import CONFIG

BALANCINGS: Registry[Callable[..., Any]] = Registry(
    "training.balancing",
    {
        name: f"automtl.training.balancing:{name.replace('-', '_')}"
        for name in ("equal", "uncertainty", "dwa", "famo", "pcgrad", "cagrad", "nash-mtl", "upgrad")
    },
    callable,
    "a function (model, weights, learning_rate) -> Balancing",
    SettingsError,
)


@settings_dataclass(frozen=True, config=CONFIG)
class TrainingSettings:
    """Adam with early stopping on validation rows; the best weights are restored."""

    epochs: int = Field(default=40, ge=1, le=1_000_000, description="Passes over the training rows, at most.")
    batch_size: int = Field(default=1024, ge=1, le=100_000_000, description="Rows of a step.")
    learning_rate: float = Field(default=1e-3, gt=0, le=10, description="Learning rate of Adam.")
    weight_decay: float = Field(default=1e-5, ge=0, le=1e3, description="L2 penalty of all weights but embeddings.")
    embedding_weight_decay: float = Field(default=1e-4, ge=0, le=1e3, description="L2 penalty of embedding tables.")
    patience: int = Field(
        default=2, ge=1, le=1_000_000_000, description="Evaluations without a better one that end the training."
    )
    evaluate_every: int = Field(
        default=1_000_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Rows between two evaluations; there is one after each epoch, too.",
    )
    gradient_clip: float = Field(
        default=10.0, gt=0, le=1e12, description="Largest norm of the gradient of all weights."
    )
    averaging: float = Field(
        default=0.99, ge=0, lt=1, description="Decay of the moving average of the weights, a step; 0: no average."
    )
    embedding_updates: Literal["auto", "dense", "row-wise"] = Field(
        default="auto", description="Whether a step moves whole embedding tables or the rows it meets; auto: by size."
    )
    shard_embeddings: bool = Field(
        default=False,
        description="Whether each of several workers keeps only its part of the rows of large embedding tables.",
    )
    row_shards: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="Contiguous parts of the training rows; each gives its share of every batch. With as many workers "
        "each reads the inputs of its own.",
    )
    balancing: str = Field(
        default="equal", description=f"How the losses of the tasks become one step: {BALANCINGS.choices}."
    )
    precision: Literal["auto", "full", "bf16"] = Field(
        default="auto", description="Precision of products; auto: bf16 where the machine has it, which is faster."
    )
    compile: bool = Field(default=False, description="Use torch.compile, which needs a C++ compiler and some minutes.")
    device: str = Field(default="auto", description="auto (a graphics card if there is one), cpu, cuda or cuda:N.")

    def __post_init__(self) -> None:
        BALANCINGS.path(self.balancing)
        if self.row_shards > self.batch_size:
            raise SettingsError(
                f"training.row_shards {self.row_shards}: each gives rows to every batch, which has "
                f"{self.batch_size}; set a larger training.batch_size, or fewer shards"
            )
        if self.shard_embeddings and (self.compile or self.embedding_updates == "dense"):
            wrong = "compile" if self.compile else "embedding_updates"
            raise SettingsError(
                f"training.shard_embeddings moves tables by rows, in a model that is not compiled; leave "
                f"training.{wrong} out"
            )
