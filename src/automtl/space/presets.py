"""The published search space (Table 1) and its settings."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.operations import operation
from automtl.space.names import EXPERT_INTERACTION, INTERACTION, POOLING, layer_name
from automtl.space.space import Cell, Choice, SearchSpace
from automtl.tables.entries import CONFIG

INTERACTIONS = (
    "skip", "inner-product", "outer-product", "bit-gate", "vector-gate",
    "cross-1", "cross-2", "cross-3", "cross-4", "attention-1", "attention-2", "attention-4", "attention-8",
)  # fmt: skip
POOLINGS = ("sum", "average", "attentive", "linear")
LAYERS = (
    "skip", "hidden-gate", "mlp-16", "mlp-32", "mlp-64", "mlp-128", "mlp-256", "mlp-512", "mlp-1024",
    "conv-1", "conv-3", "conv-5", "conv-7",
)  # fmt: skip


@settings_dataclass(frozen=True, config=CONFIG)
class SpaceSettings:
    """The candidates of each kind of block, the number of experts and layers, and switches for ablations."""

    interactions: tuple[str, ...] = Limit(default=INTERACTIONS, description="Candidates of feature interaction.")
    poolings: tuple[str, ...] = Limit(default=POOLINGS, description="Candidates of each expert's pooling.")
    expert_layers: tuple[str, ...] = Limit(default=LAYERS, description="Candidates of each layer of an expert.")
    experts: int = Limit(default=8, ge=1, description="Number of experts (E).")
    layers: int = Limit(default=3, ge=1, description="Layers of an expert.")
    keep: int | None = Limit(
        default=None, ge=1, description="Experts a task keeps (K); unset: 6 for up to two tasks, 4 for three, else 3."
    )
    interaction: bool = Limit(default=True, description="Whether there is a block of feature interaction.")
    expert_interaction: bool = Limit(
        default=False, description="Whether each expert has an interaction block, too (paper, 3.3.2)."
    )
    homogeneous: bool = Limit(default=False, description="Whether all experts have the same architecture.")
    selection: bool = Limit(
        default=True, description="Whether a task keeps some of the experts; otherwise it keeps all."
    )

    def keep_for(self, num_tasks: int) -> int:
        """Return how many experts a task keeps (K)."""
        keep = self.keep if self.keep is not None else 6 if num_tasks <= 2 else 4 if num_tasks == 3 else 3
        return min(keep, self.experts) if self.selection else self.experts


def published_space(settings: SpaceSettings, num_tasks: int) -> SearchSpace:
    """Make the space of Table 1 with the changes of the settings. Raises SpaceError for a wrong candidate."""
    interactions = _cell(settings.interactions if settings.interaction else ("skip",))
    experts = settings.experts
    choices = {INTERACTION: Choice((interactions,))}
    if settings.expert_interaction:
        choices[EXPERT_INTERACTION] = Choice((interactions,) * experts)
    choices[POOLING] = Choice((_cell(settings.poolings),) * experts)
    for depth in range(settings.layers):
        choices[layer_name(depth)] = Choice((_cell(settings.expert_layers),) * experts)
    return SearchSpace(
        choices,
        selection=(tuple(range(experts)),) * num_tasks,
        keep=settings.keep_for(num_tasks),
        homogeneous=settings.homogeneous,
        gated=not settings.selection,
    )


def _cell(texts: tuple[str, ...]) -> Cell:
    return tuple(map(operation, texts))
