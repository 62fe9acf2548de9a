"""The search spaces that settings name: the published one (Table 1) and a wide one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from pydantic import Field as Limit
from pydantic.dataclasses import dataclass as settings_dataclass

from automtl.operations import operation
from automtl.space.names import EXPERT_INTERACTION, INTERACTION, POOLING, layer_name
from automtl.space.space import Cell, Choice, SearchSpace
from automtl.tables.entries import CONFIG

T = TypeVar("T")
INTERACTIONS = (
    "skip", "inner-product", "outer-product", "bit-gate", "vector-gate",
    "cross-1", "cross-2", "cross-3", "cross-4", "attention-1", "attention-2", "attention-4", "attention-8",
)  # fmt: skip
POOLINGS = ("sum", "average", "attentive", "linear")
LAYERS = (
    "skip", "hidden-gate", "mlp-16", "mlp-32", "mlp-64", "mlp-128", "mlp-256", "mlp-512", "mlp-1024",
    "conv-1", "conv-3", "conv-5", "conv-7",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """The values that settings of a space leave unset: candidates of each kind of block, and what is chosen at all.

    `fewest`: the least number of experts that an architecture may have (None: all).
    """

    interactions: tuple[str, ...]
    poolings: tuple[str, ...]
    layers: tuple[str, ...]
    selection: bool = True
    fewest: int | None = None


PRESETS = {
    "published": Preset(INTERACTIONS, POOLINGS, LAYERS),
    "wide": Preset(
        ("skip", "scaled-inner-product", "bit-gate", "vector-gate", "cross-1", "attention-2"),
        ("linear", "multi-head-2", "multi-head-4", "multi-head-8", "bilinear"),
        ("skip", "hidden-gate", "mlp-64", "mlp-256", "glu-64"),
        selection=False,
        fewest=4,
    ),
}


@settings_dataclass(frozen=True, config=CONFIG)
class SpaceSettings:
    """The candidates of each kind of block, the number of experts and layers, and switches for ablations."""

    preset: Literal["published", "wide"] | None = Limit(
        default=None,
        description="What is chosen where nothing else is set: the paper's space, or a wider one; unset: wide where a "
        "search trains networks, else published.",
    )
    interactions: tuple[str, ...] | None = Limit(
        default=None, description="Candidates of feature interaction; unset: those of the preset."
    )
    poolings: tuple[str, ...] | None = Limit(
        default=None, description="Candidates of each expert's pooling; unset: those of the preset."
    )
    expert_layers: tuple[str, ...] | None = Limit(
        default=None, description="Candidates of each layer of an expert; unset: those of the preset."
    )
    experts: int = Limit(
        default=8, ge=1, le=1_024, description="Number of experts (E), the greatest where it is chosen."
    )
    fewest_experts: int | None = Limit(
        default=None, ge=1, le=1_024, description="Least number of experts; unset: that of the preset, or all."
    )
    layers: int = Limit(default=3, ge=1, le=64, description="Layers of an expert.")
    keep: int | None = Limit(
        default=None,
        ge=1,
        le=1_024,
        description="Experts a task keeps (K); unset: 6 for up to two tasks, 4 for three, else 3.",
    )
    interaction: bool = Limit(default=True, description="Whether there is a block of feature interaction.")
    expert_interaction: bool = Limit(
        default=False, description="Whether each expert has an interaction block, too (paper, 3.3.2)."
    )
    homogeneous: bool = Limit(default=False, description="Whether all experts have the same architecture.")
    selection: bool | None = Limit(
        default=None,
        description="Whether a task keeps some of the experts, not all; unset: as the preset has it.",
    )

    @property
    def filled(self) -> Preset:
        """The values of the preset, the published one if none is named."""
        return PRESETS[self.preset or "published"]

    @property
    def selects(self) -> bool:
        """Whether a task keeps some of the experts."""
        return _first_given(self.selection, self.filled.selection)

    @property
    def fewest(self) -> int | None:
        """The least number of experts that an architecture may have, or None for all."""
        if self.fewest_experts is not None:
            return self.fewest_experts
        fewest = self.filled.fewest
        return min(fewest, self.experts) if fewest is not None and not self.selects else None

    def keep_for(self, num_tasks: int) -> int:
        """Return how many experts a task keeps (K)."""
        keep = self.keep if self.keep is not None else 6 if num_tasks <= 2 else 4 if num_tasks == 3 else 3
        return min(keep, self.experts) if self.selects else self.experts


def make_space(settings: SpaceSettings, num_tasks: int) -> SearchSpace:
    """Make the space of the preset with the changes of the settings. Raises SpaceError for a wrong candidate.

    >>> from automtl.space import SpaceSettings, make_space
    >>> list(make_space(SpaceSettings(preset="wide", layers=1), num_tasks=2).choices)
    ['interaction', 'pooling', 'layer_1']
    """
    preset, experts = settings.filled, settings.experts
    interactions = _first_given(settings.interactions, preset.interactions) if settings.interaction else ("skip",)
    choices = {INTERACTION: Choice((_cell(interactions),))}
    if settings.expert_interaction:
        choices[EXPERT_INTERACTION] = Choice((_cell(interactions),) * experts)
    choices[POOLING] = Choice((_cell(_first_given(settings.poolings, preset.poolings)),) * experts)
    for depth in range(settings.layers):
        choices[layer_name(depth)] = Choice((_cell(_first_given(settings.expert_layers, preset.layers)),) * experts)
    return SearchSpace(
        choices,
        selection=(tuple(range(experts)),) * num_tasks,
        keep=settings.keep_for(num_tasks),
        homogeneous=settings.homogeneous,
        gated=not settings.selects,
        fewest=settings.fewest,
    )


def published_space(settings: SpaceSettings, num_tasks: int) -> SearchSpace:
    """Make the space of Table 1 with the changes of the settings. Raises SpaceError for a wrong candidate."""
    return make_space(replace(settings, preset="published"), num_tasks)


def _first_given(setting: T | None, preset: T) -> T:
    """Return the setting, or what the preset has where it is unset."""
    return preset if setting is None else setting


def _cell(texts: tuple[str, ...]) -> Cell:
    return tuple(map(operation, texts))
