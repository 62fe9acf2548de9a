"""A search space: named choices over cells. An architecture is a space with one option left in every cell."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from automtl.errors import SpaceError
from automtl.operations import Block, Identity, Operation
from automtl.space.architecture import Architecture, ExpertArchitecture


@dataclass(frozen=True)
class Choice:
    """`cells`: for each cell (an expert, or the one interaction block) the options left."""

    block: Block
    cells: tuple[tuple[Operation, ...], ...]

    def __post_init__(self) -> None:
        for cell in self.cells:
            if not cell:
                raise SpaceError(f"a {self.block} cell has no candidate left; name at least one")
            for option in cell:
                if self.block not in option.blocks:
                    raise SpaceError(f"operation '{option}' cannot stand in a {self.block} block")
            if len(set(cell)) < len(cell):
                raise SpaceError(f"a {self.block} cell names a candidate twice")

    @property
    def is_uniform(self) -> bool:
        """Whether all cells have the same options, in the same order."""
        return len(set(self.cells)) == 1

    @property
    def options(self) -> tuple[Operation, ...]:
        """The options of every cell of a uniform choice."""
        assert self.is_uniform
        return self.cells[0]


@dataclass(frozen=True)
class SearchSpace:
    """`selection`: for each task the experts it may use, of which it keeps `keep` (all, if there are fewer).

    `own`: an interaction inside each expert, before its pooling (paper, 3.3.2); usually there is none.
    `homogeneous`: all experts decide alike (an ablation). `gated`: tasks gate all their experts by the input
    in the supernet too, nothing is selected (an ablation).
    """

    interaction: Choice
    pooling: Choice
    layers: tuple[Choice, ...]
    selection: tuple[tuple[int, ...], ...]
    keep: int
    homogeneous: bool = False
    gated: bool = False
    own: Choice | None = None

    def __post_init__(self) -> None:
        for choice in self.choices[1:]:
            if len(choice.cells) != self.num_experts:
                raise SpaceError(
                    f"a {choice.block} choice has {len(choice.cells)} cells for {self.num_experts} experts"
                )
        for allowed in self.selection:
            if not allowed or not all(0 <= expert < self.num_experts for expert in allowed):
                raise SpaceError("a task's experts must be some of those that exist")
        if self.keep < 1:
            raise SpaceError(f"space.keep is {self.keep}; a task needs at least one expert")

    @property
    def num_experts(self) -> int:
        """E."""
        return len(self.pooling.cells)

    @property
    def num_tasks(self) -> int:
        """T."""
        return len(self.selection)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Interaction, the experts' own interactions if there are any, pooling, then the layers."""
        own = () if self.own is None else (self.own,)
        return (self.interaction, *own, self.pooling, *self.layers)

    def size(self) -> int:
        """Number of architectures."""
        count = math.prod(math.comb(len(allowed), min(self.keep, len(allowed))) for allowed in self.selection)
        for choice in self.choices:
            cells = choice.cells[:1] if self.homogeneous else choice.cells
            count *= math.prod(len(cell) for cell in cells)
        return count

    def sample(self, rng: random.Random) -> Architecture:
        """A uniformly drawn architecture, idle experts removed."""
        picks = [self._draw(choice, rng) for choice in self.choices]
        selection = tuple(
            tuple(sorted(rng.sample(allowed, min(self.keep, len(allowed))))) for allowed in self.selection
        )
        return self.assemble(picks, selection)

    def _draw(self, choice: Choice, rng: random.Random) -> list[Operation]:
        if self.homogeneous:
            return [rng.choice(choice.cells[0])] * len(choice.cells)
        return [rng.choice(cell) for cell in choice.cells]

    def narrow(self, architecture: Architecture) -> SearchSpace:
        """The space that holds this architecture alone."""
        if len(architecture.selection) != self.num_tasks:
            raise SpaceError(f"the architecture is for {len(architecture.selection)} tasks, not {self.num_tasks}")
        experts = architecture.experts
        has_own = any(not expert.interaction.skip for expert in experts)
        return replace(
            self,
            own=Choice(Block.INTERACTION, tuple((e.interaction,) for e in experts)) if has_own else None,
            interaction=Choice(Block.INTERACTION, ((architecture.interaction,),)),
            pooling=Choice(Block.POOLING, tuple((expert.pooling,) for expert in experts)),
            layers=tuple(
                Choice(Block.LAYER, tuple((expert.layers[depth],) for expert in experts))
                for depth in range(len(experts[0].layers))
            ),
            selection=architecture.selection,
            keep=max(len(chosen) for chosen in architecture.selection),
        )

    def restrict(self, kept: Sequence[Sequence[int]]) -> SearchSpace:
        """The space in which every cell of a choice keeps the options at these places."""
        limited = [
            replace(choice, cells=tuple(tuple(cell[place] for place in places) for cell in choice.cells))
            for choice, places in zip(self.choices, kept, strict=True)
        ]
        interaction, *rest = limited
        own = None if self.own is None else rest.pop(0)
        pooling, *layers = rest
        return replace(self, interaction=interaction, own=own, pooling=pooling, layers=tuple(layers))

    def assemble(self, picks: Sequence[Sequence[Operation]], selection: tuple[tuple[int, ...], ...]) -> Architecture:
        """The architecture of one pick a cell, in the order of `choices`; experts that no task chose are gone."""
        (interaction,), *rest = picks
        own = [Identity()] * self.num_experts if self.own is None else rest.pop(0)
        poolings, *layers = rest
        experts = tuple(
            ExpertArchitecture(poolings[index], tuple(layer[index] for layer in layers), own[index])
            for index in range(self.num_experts)
        )
        return Architecture(interaction, experts, selection).without_idle_experts()
