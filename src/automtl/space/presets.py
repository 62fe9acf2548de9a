"""The published search space (Table 1) and its settings."""

from __future__ import annotations

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.operations import Block, operation
from automtl.space.space import Choice, SearchSpace
from automtl.tables.schema import CONFIG

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
    """Candidates of each kind of block, counts, and the ablations as switches.

    `keep`: experts a task keeps; unset: 6 for up to two tasks, 4 for three, 3 for more.
    `expert_interaction`: an interaction block inside each expert, too (paper, 3.3.2).
    """

    interactions: tuple[str, ...] = INTERACTIONS
    poolings: tuple[str, ...] = POOLINGS
    expert_layers: tuple[str, ...] = LAYERS
    experts: int = Limit(default=8, ge=1)
    layers: int = Limit(default=3, ge=1)
    keep: int | None = Limit(default=None, ge=1)
    interaction: bool = True
    expert_interaction: bool = False
    homogeneous: bool = False
    selection: bool = True

    def keep_for(self, num_tasks: int) -> int:
        """K, at most the number of experts."""
        keep = self.keep if self.keep is not None else 6 if num_tasks <= 2 else 4 if num_tasks == 3 else 3
        return min(keep, self.experts) if self.selection else self.experts


def published_space(settings: SpaceSettings, num_tasks: int) -> SearchSpace:
    """The space of Table 1 as the settings change it. Raises SpaceError for a wrong candidate."""
    interactions = settings.interactions if settings.interaction else ("skip",)
    interaction = tuple(operation(text) for text in interactions)
    layer = tuple(operation(text) for text in settings.expert_layers)
    return SearchSpace(
        Choice(Block.INTERACTION, (interaction,)),
        Choice(Block.POOLING, (tuple(operation(text) for text in settings.poolings),) * settings.experts),
        (Choice(Block.LAYER, (layer,) * settings.experts),) * settings.layers,
        (tuple(range(settings.experts)),) * num_tasks,
        settings.keep_for(num_tasks),
        settings.homogeneous,
        not settings.selection,
        Choice(Block.INTERACTION, (interaction,) * settings.experts) if settings.expert_interaction else None,
    )
