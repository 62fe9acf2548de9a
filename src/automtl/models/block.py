"""Choice blocks of a network: cells of equal options are stacked and run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.nn.mixture import Mixture
from automtl.nn.shape import BlockShape
from automtl.operations import Block, Operation
from automtl.space.space import Choice


class MixedBlock(nn.Module):
    """All candidates of `stack` like cells, a mixture for each family: the sum of their weighted outputs."""

    def __init__(
        self, options: tuple[Operation, ...], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> None:
        super().__init__()
        families: dict[object, list[int]] = {}
        for position, option in enumerate(options):
            families.setdefault(option.mixture, []).append(position)
        self.positions = tuple(tuple(members) for members in families.values())
        places = [(family, place) for family, members in enumerate(self.positions) for place in range(len(members))]
        flat = [option for members in self.positions for option in members]
        self.places = tuple(places[flat.index(option)] for option in range(len(options)))  # family, candidate in it
        self.options, self.stack = options, stack
        self.mixtures = nn.ModuleList(
            options[members[0]].mixture([options[i] for i in members], stack, shape, generator)
            for members in self.positions
        )
        self.families = tuple(self.mixtures)  # the same, which a list of modules looks up by name every time

    def forward(self, x: Tensor, weights: Tensor | None, active: tuple[int, ...] | None = None) -> Tensor:
        """weights: (S, len(active)) over the options `active` of a cell (None: all of them); others are not run.

        No weights: there is one option, which weighs 1.
        """
        active = tuple(range(len(self.options))) if active is None else active
        if weights is None:
            return self._lone(x, *active)
        total: Tensor | None = None
        for members, mixture in zip(self.positions, self.mixtures, strict=True):
            places = [place for place, option in enumerate(active) if option in members]
            if not places:
                continue
            share = weights if len(places) == len(active) else weights[:, places]
            out = mixture(x, share, tuple(members.index(active[place]) for place in places))
            total = out if total is None else total + out
        assert total is not None
        return total

    def _lone(self, x: Tensor, option: int) -> Tensor:
        family, candidate = self.places[option]
        mixture = self.families[family]
        assert isinstance(mixture, Mixture)
        return mixture.lone(x, candidate)


def candidate_parameters(wide: MixedBlock, narrow: MixedBlock) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Parameters of `wide` and what they are in `narrow`, whose options are some of wide's.

    What candidates own goes one by one; what a family shares, by name.
    """
    for members, mixture in zip(narrow.positions, narrow.mixtures, strict=True):
        wanted = [wide.options.index(narrow.options[index]) for index in members]
        family = next(i for i, positions in enumerate(wide.positions) if wanted[0] in positions)
        origin, owned = wide.mixtures[family], set()
        assert isinstance(origin, Mixture) and isinstance(mixture, Mixture)
        for candidate, place in enumerate(wanted):
            sources = origin.owned(wide.positions[family].index(place))
            for source, target in zip(sources, mixture.owned(candidate), strict=True):
                owned.add(id(target))
                yield source, target
        shared = dict(origin.named_parameters())
        for name, parameter in mixture.named_parameters():
            if id(parameter) not in owned:
                yield shared[name], parameter


def adopt_candidates(wide: MixedBlock, narrow: MixedBlock) -> None:
    """Make `narrow` hold the very parameters of `wide`, so that an optimizer that knows them still does."""
    sources = {id(target): source for source, target in candidate_parameters(wide, narrow)}
    for module in narrow.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, sources[id(parameter)])


def _stack(copies: Sequence[Tensor], cells: Sequence[int]) -> Tensor:
    """Some copies as one tensor. Copies come from `unbind`, whose gradient is one stack; that of an index is slow."""
    return copies[cells[0]].unsqueeze(0) if len(cells) == 1 else torch.stack([copies[cell] for cell in cells])


@dataclass(frozen=True)
class CandidateWeights:
    """What the candidates of cells weigh: (cells, len(active)) over the options `active` (None: over all).

    A cell's weights sum to one, so that a candidate alone weighs 1.
    """

    weights: Tensor
    active: tuple[int, ...] | None = None

    @property
    def options(self) -> slice | list[int]:
        """What picks the entries of these options among all."""
        return slice(None) if self.active is None else list(self.active)

    def of(self, cells: tuple[int, ...]) -> CandidateWeights:
        """The weights of some cells."""
        return CandidateWeights(_stack(self.weights.unbind(0), cells), self.active)


@dataclass(frozen=True)
class PlacedOperation:
    """A candidate in its place in a network: its choice, the cells of its S copies, its parameters (each (S, ...))."""

    choice: str
    cells: tuple[int, ...]
    operation: Operation
    parameters: tuple[nn.Parameter, ...]


class ChoiceBlock(nn.Module):
    """Runs the cells of one choice; cells of equal options are stacked, except interactions.

    Interactions: (B, F, D) -> the same, or of each expert's own (E, B, F, D). Poolings: either of these -> (E, B, H).
    Layers: (E, B, H) -> (E, B, H).
    """

    def __init__(self, block: Block, choice: Choice, shape: BlockShape, generator: torch.Generator) -> None:
        super().__init__()
        self.block, self.shape = block, shape
        groups: dict[object, list[int]] = {}
        for cell, options in enumerate(choice.cells):
            groups.setdefault(cell if block is Block.INTERACTION else options, []).append(cell)
        self.groups = tuple(tuple(cells) for cells in groups.values())
        self.blocks = nn.ModuleList(
            MixedBlock(choice.cells[cells[0]], len(cells), shape, generator) for cells in self.groups
        )
        flat = [cell for cells in self.groups for cell in cells]
        self.order = [flat.index(cell) for cell in range(len(flat))]

    def forward(self, x: Tensor, weights: CandidateWeights | None) -> Tensor:
        """weights: of each cell's options, where all cells have the same; None where one option is left."""
        if len(self.groups) == 1:
            (block,) = self.blocks
            return _run(block, x, weights)
        stacked = self.block is Block.LAYER or x.dim() == 4  # x has a copy for each cell
        copies = x.unbind(0) if stacked else ()
        parts = [
            _run(block, _stack(copies, cells) if stacked else x, None if weights is None else weights.of(cells))
            for block, cells in zip(self.blocks, self.groups, strict=True)
        ]
        if self.block is Block.INTERACTION:
            return torch.stack(parts)
        outs = [copy for part in parts for copy in part.unbind(0)]
        return torch.stack([outs[place] for place in self.order])

    def prune(self, places: Sequence[int]) -> None:
        """Build all blocks anew with the options at these places alone; their parameters are taken over."""
        for index, block in enumerate(self.blocks):
            assert isinstance(block, MixedBlock)
            options = tuple(block.options[place] for place in places)
            narrow = MixedBlock(options, block.stack, self.shape, torch.Generator())
            adopt_candidates(block, narrow)
            self.blocks[index] = narrow

    def placed(self, name: str) -> Iterator[PlacedOperation]:
        """All candidates with their places in the choice of this name."""
        for cells, block in zip(self.groups, self.blocks, strict=True):
            assert isinstance(block, MixedBlock)
            for positions, mixture in zip(block.positions, block.mixtures, strict=True):
                assert isinstance(mixture, Mixture)
                for candidate, position in enumerate(positions):
                    parameters = tuple(mixture.owned(candidate))
                    yield PlacedOperation(name, cells, block.options[position], parameters)


def _run(block: nn.Module, x: Tensor, weights: CandidateWeights | None) -> Tensor:
    out: Tensor
    if weights is None:
        out = block(x, None)
    else:
        out = block(x, weights.weights if weights.weights.shape[1] > 1 else None, weights.active)
    return out
