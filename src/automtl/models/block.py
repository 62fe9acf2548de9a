"""Choice blocks of a network: cells of equal options are stacked and run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automtl.errors import SpaceError
from automtl.nn.mixture import Mixture, SeparateCandidates, check_mixture
from automtl.nn.shape import BlockShape
from automtl.nn.stacked import chosen
from automtl.operations import Block, Operation
from automtl.space.space import Choice

MOVED = 1e-3  # largest change of an output when other candidates are pruned, as a share of the largest output


class MixedBlock(nn.Module):
    """Runs all candidates of `stack` equal cells, a mixture for each family, and sums their outputs by weight.

    Raises SpaceError for a mixture with a parameter of which it does not say whose it is.
    """

    def __init__(
        self, options: tuple[Operation, ...], stack: int, shape: BlockShape, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.options, self.stack = options, stack
        families: dict[object, list[int]] = {}
        for place, option in enumerate(options):
            families.setdefault(option.mixture, []).append(place)
        self.members = tuple(map(tuple, families.values()))  # places of each family's candidates among the options
        self.mixtures = nn.ModuleList()
        self.candidates: dict[int, tuple[Mixture, int]] = {}  # of an option's place: its mixture, its number there
        for members in self.members:
            family = [options[place] for place in members]
            built = family[0].mixture(family, stack, shape, generator)
            if not isinstance(built, Mixture) and len(built) != len(family):
                raise SpaceError(f"operation '{family[0]}': {len(built)} modules for {len(family)} candidates")
            mixture = built if isinstance(built, Mixture) else SeparateCandidates(built)
            check_mixture(mixture, family, stack)
            self.mixtures.append(mixture)
            self.candidates |= {place: (mixture, number) for number, place in enumerate(members)}

    def forward(self, x: Tensor, weights: Tensor | None, active: tuple[int, ...] | None = None) -> Tensor:
        """Run the options `active` of each cell (None: all), weighed by `weights` (S, len(active)).

        Without weights there is one option, which weighs 1.
        """
        active = tuple(range(len(self.options))) if active is None else active
        if weights is None:
            mixture, number = self.candidates[active[0]]
            return mixture.single(x, number)
        total: Tensor | None = None
        for members, family in zip(self.members, self.mixtures, strict=True):
            places = [place for place, option in enumerate(active) if option in members]
            if not places:
                continue
            share = chosen(weights, places, 1)
            out = family(x, share, tuple(members.index(active[place]) for place in places))
            total = out if total is None else total + out
        assert total is not None
        return total

    def parameters_of(self, place: int) -> tuple[nn.Parameter, ...]:
        """Return the parameters that are one option's alone, each (S, ...)."""
        mixture, number = self.candidates[place]
        return tuple(mixture.parameters_of(number))

    @torch.no_grad()
    def copy_from(self, wide: MixedBlock, cells: Sequence[int] | None = None) -> None:
        """Copy the parameters' values from a block that has at least these options; `cells`: its copies to take."""
        for source, target in self._pairs(wide):
            target.copy_(source if cells is None else source[list(cells)])

    def reuse(self, wide: MixedBlock) -> None:
        """Use the parameters of a block that has at least these options, so that an optimizer still knows them."""
        sources = {id(target): source for source, target in self._pairs(wide)}
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, sources[id(parameter)])

    def _pairs(self, wide: MixedBlock) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """Pair parameters of `wide` with those here. Raises SpaceError where they differ in number or shape."""
        for place, option in enumerate(self.options):
            origin = wide.options.index(option)
            yield from _matched(option, wide.parameters_of(origin), self.parameters_of(place))
            mixture, number = self.candidates[place]
            if number == 0:
                shared = wide.candidates[origin][0].shared_parameters()
                yield from _matched(option, shared, mixture.shared_parameters())


def _matched(
    option: Operation, sources: Sequence[nn.Parameter], targets: Sequence[nn.Parameter]
) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    found, wanted = ([tuple(one.shape[1:]) for one in parameters] for parameters in (sources, targets))
    if found != wanted:
        raise SpaceError(
            f"operation '{option}': its parameters have shapes {found} beside other candidates and {wanted} without "
            "them (without the dimension of copies); a candidate's parameters must not depend on other candidates"
        )
    yield from zip(sources, targets, strict=True)


def example_inputs(kind: Block, shape: BlockShape, stack: int, rows: int) -> Tensor:
    """Draw inputs of a block of this kind, the same at every call."""
    size = (stack, rows, shape.width) if kind is Block.LAYER else (rows, shape.fields, shape.dim)
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def _stack(copies: Sequence[Tensor], cells: Sequence[int]) -> Tensor:
    """Stack some copies, which come from `unbind`."""
    return copies[cells[0]].unsqueeze(0) if len(cells) == 1 else torch.stack([copies[cell] for cell in cells])


@dataclass(frozen=True)
class CandidateWeights:
    """Weights of the candidates in each cell: (cells, len(active)) over the options `active` (None: over all).

    A cell's weights sum to one, so that a candidate alone weighs 1.
    """

    weights: Tensor
    active: tuple[int, ...] | None = None

    def of(self, cells: tuple[int, ...]) -> CandidateWeights:
        """Return the weights of some cells."""
        return CandidateWeights(chosen(self.weights, cells), self.active)


@dataclass(frozen=True)
class PlacedOperation:
    """A candidate in its place in a network: its choice, the cells of its S copies, its parameters (each (S, ...))."""

    choice: str
    cells: tuple[int, ...]
    operation: Operation
    parameters: tuple[nn.Parameter, ...]


class ChoiceBlock(nn.Module):
    """Runs the cells of one choice; cells of equal options are stacked, except interactions.

    Interactions keep the shape of fields, (B, F, D), or (E, B, F, D) where each expert has its own. Poolings map fields
    to (E, B, H), and layers keep that shape.
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
        """Run all cells; `weights` of their options, which are the same in all cells (None: one option is left)."""
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
        """Rebuild all blocks with the options at these places alone, which keep their parameters.

        Raises SpaceError if that changes what an operation computes.
        """
        for index, block in enumerate(self.mixed_blocks):
            options = tuple(block.options[place] for place in places)
            narrow = MixedBlock(options, block.stack, self.shape, torch.Generator())
            narrow.reuse(block)
            device = next((parameter.device for parameter in narrow.parameters()), torch.device("cpu"))
            self.blocks[index] = narrow.to(device)
            x = example_inputs(self.block, self.shape, block.stack, 2).to(device)
            check_pruned(block, narrow, x, tuple(places))

    def copy_from(self, wide: ChoiceBlock, cells: Sequence[int]) -> None:
        """Copy the parameters' values from a choice with more options; `cells`: its cells that are left, in order."""
        for members, block in zip(self.groups, self.mixed_blocks, strict=True):
            wanted = [cells[cell] for cell in members]
            group = next(index for index, others in enumerate(wide.groups) if wanted[0] in others)
            block.copy_from(wide.mixed_blocks[group], [wide.groups[group].index(cell) for cell in wanted])

    @property
    def mixed_blocks(self) -> list[MixedBlock]:
        """The blocks, one a group of cells."""
        return [block for block in self.blocks if isinstance(block, MixedBlock)]

    def placed(self, name: str) -> Iterator[PlacedOperation]:
        """Yield all candidates with their places in the choice of this name, family by family."""
        for cells, block in zip(self.groups, self.mixed_blocks, strict=True):
            for place in block.candidates:
                yield PlacedOperation(name, cells, block.options[place], block.parameters_of(place))


@torch.no_grad()
def check_pruned(wide: MixedBlock, narrow: MixedBlock, x: Tensor, places: tuple[int, ...]) -> None:
    """Raise SpaceError if an option of `narrow` gives another output than in `wide`, where it has these places."""
    training = wide.training
    for place, origin in enumerate(places):
        before, after = wide.eval()(x, None, (origin,)), narrow.eval()(x, None, (place,))
        if (after - before).abs().max() > MOVED * before.abs().max():
            raise SpaceError(
                f"operation '{narrow.options[place]}' computes something else once other candidates are pruned; "
                "parameters_of must name all parameters of a candidate"
            )
    narrow.train(training)


def _run(block: nn.Module, x: Tensor, weights: CandidateWeights | None) -> Tensor:
    out: Tensor
    if weights is None:
        out = block(x, None)
    else:
        out = block(x, weights.weights if weights.weights.shape[1] > 1 else None, weights.active)
    return out
