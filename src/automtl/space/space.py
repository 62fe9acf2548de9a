"""A search space: named choices over cells. An architecture is a space with one option left in every cell."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from automtl.errors import SpaceError
from automtl.operations import Operation
from automtl.space.architecture import Architecture, Selection
from automtl.space.names import INTERACTION, POOLING, block_of, check_names

Cell = tuple[Operation, ...]
Places = Mapping[str, Sequence[int]]  # for each choice, by name, some of its options, by place


@dataclass(frozen=True)
class Choice:
    """The options left in each cell: a cell for each expert, or one alone for the interaction that experts share."""

    cells: tuple[Cell, ...]

    @property
    def options(self) -> Cell:
        """The options of every cell, where all cells have the same."""
        assert len(set(self.cells)) == 1
        return self.cells[0]


@dataclass(frozen=True)
class SearchSpace:
    """Named choices; `selection`: for each task the experts it may use, of which it keeps `keep` (all, if fewer).

    "interaction" is shared by all experts, which go on with "expert_interaction" (paper, 3.3.2; not in the published
    space), "pooling", "layer_1", "layer_2" ... `homogeneous`: all experts decide alike (an ablation). `gated`: tasks
    gate all their experts by the input in the supernet too, nothing is selected. `fewest`: an architecture of a gated
    space has at least so many experts, the same for all tasks (None: all experts); a supernet has all of them.

    >>> import random
    >>> from automtl.space import SpaceSettings, published_space
    >>> space = published_space(SpaceSettings(experts=2, layers=1, keep=1), num_tasks=2)
    >>> isinstance(space, automtl.SearchSpace), space.size()
    (True, 140608)
    >>> space.narrow(space.sample(random.Random(0))).size()
    1
    """

    choices: Mapping[str, Choice]
    selection: Selection
    keep: int
    homogeneous: bool = False
    gated: bool = False
    fewest: int | None = None

    def __post_init__(self) -> None:
        check_names(self.choices)
        for name, choice in self.choices.items():
            _check(name, choice, 1 if name == INTERACTION else self.num_experts)
        for allowed in self.selection:
            if not allowed or not all(0 <= expert < self.num_experts for expert in allowed):
                raise SpaceError(f"a task's experts are {list(allowed)}; name some of 0 to {self.num_experts - 1}")
        if self.keep < 1:
            raise SpaceError(f"space.keep is {self.keep}; a task needs at least one expert")
        if self.fewest is not None and not (self.gated and 1 <= self.fewest <= self.num_experts):
            raise SpaceError(
                f"space.fewest_experts is {self.fewest}; give a number from 1 to space.experts ({self.num_experts}), "
                "and no space.selection"
            )

    def __getitem__(self, name: str) -> Choice:
        return self.choices[name]

    @property
    def num_experts(self) -> int:
        """The number of experts (E)."""
        return len(self.choices[POOLING].cells)

    @property
    def num_tasks(self) -> int:
        """The number of tasks (T)."""
        return len(self.selection)

    def size(self) -> int:
        """Count the architectures."""
        count = math.prod(math.comb(len(allowed), min(self.keep, len(allowed))) for allowed in self.selection)
        return count * sum(self._operations(number) for number in self.numbers_of_experts)

    @property
    def numbers_of_experts(self) -> range:
        """The numbers of experts that an architecture may have before idle ones are removed."""
        return range(self.num_experts if self.fewest is None else self.fewest, self.num_experts + 1)

    def _operations(self, num_experts: int) -> int:
        """Count the ways to choose the operations of the first experts."""
        count = 1
        for choice in self.choices.values():
            cells = choice.cells[:1] if self.homogeneous else choice.cells[:num_experts]
            count *= math.prod(len(cell) for cell in cells)
        return count

    def sample(self, rng: random.Random) -> Architecture:
        """Draw an architecture, and remove its idle experts; options, experts and their number are drawn uniformly."""
        choices = {name: self._draw(choice, rng) for name, choice in self.choices.items()}
        if self.fewest is None:
            selection = tuple(
                tuple(sorted(rng.sample(allowed, min(self.keep, len(allowed))))) for allowed in self.selection
            )
        else:
            selection = (tuple(range(rng.choice(self.numbers_of_experts))),) * self.num_tasks
        return Architecture(choices, selection).without_idle_experts()

    def _draw(self, choice: Choice, rng: random.Random) -> tuple[Operation, ...]:
        if self.homogeneous:
            return (rng.choice(choice.cells[0]),) * len(choice.cells)
        return tuple(rng.choice(cell) for cell in choice.cells)

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Change one decision, drawn uniformly: the operation of a cell, an expert that a task keeps, or their number.

        A task may take an expert that no task had, whose operations are drawn; experts that become idle are removed.
        What is returned equals the architecture where nothing is left to decide, or where the new expert is like the
        one that it replaces. Raises SpaceError if the architecture is not of this space.
        """
        full, count = self._with_idle_experts(architecture, rng), architecture.num_experts
        changes = [partial(self._exchange_operation, full, name, place, rng) for name, place in self._open_cells(count)]
        if self.fewest is None:
            changes += [partial(self._exchange_expert, full, task, rng) for task in self._open_tasks(full)]
        elif len(self.numbers_of_experts) > 1:
            changes.append(partial(self._change_number, full, count, rng))
        return rng.choice(changes)().without_idle_experts() if changes else architecture

    def _with_idle_experts(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Draw the experts that an architecture lacks, which no task uses."""
        choices = {}
        for name, choice in self.choices.items():
            if name not in architecture.choices or len(architecture[name]) > len(choice.cells):
                raise SpaceError(f"the architecture is not of this space: it differs in the cells of '{name}'")
            made = architecture[name]
            for option, cell in zip(made, choice.cells, strict=False):
                if option not in cell:
                    raise SpaceError(f"the architecture is not of this space: '{option}' is no candidate of '{name}'")
            choices[name] = (
                made[:1] * len(choice.cells) if self.homogeneous else made + self._draw(choice, rng)[len(made) :]
            )
        return Architecture(choices, architecture.selection)

    def _open_cells(self, num_experts: int) -> Iterator[tuple[str, int]]:
        """Yield the cells of these experts that have more than one option, by choice; homogeneous cells are one."""
        for name, choice in self.choices.items():
            count = 1 if name == INTERACTION or self.homogeneous else num_experts
            yield from ((name, place) for place in range(count) if len(choice.cells[place]) > 1)

    def _open_tasks(self, architecture: Architecture) -> Iterator[int]:
        """Yield the tasks that may use more experts than they keep."""
        for task, (chosen, allowed) in enumerate(zip(architecture.selection, self.selection, strict=True)):
            if set(allowed) - set(chosen):
                yield task

    def _exchange_operation(
        self, architecture: Architecture, name: str, place: int, rng: random.Random
    ) -> Architecture:
        """Replace the operation of a cell by another of its options, in all cells if these are homogeneous."""
        made = list(architecture[name])
        made[place] = rng.choice([option for option in self[name].cells[place] if option != made[place]])
        if self.homogeneous:
            made = [made[place]] * len(made)
        return Architecture({**architecture.choices, name: tuple(made)}, architecture.selection)

    def _change_number(self, architecture: Architecture, num_experts: int, rng: random.Random) -> Architecture:
        """Give all tasks one expert more, the first idle one, or one less."""
        experts, numbers = list(range(num_experts)), self.numbers_of_experts
        if num_experts + 1 in numbers and (num_experts - 1 not in numbers or rng.random() < 1 / 2):
            experts.append(num_experts)
        else:
            del experts[rng.randrange(num_experts)]
        return Architecture(architecture.choices, (tuple(experts),) * self.num_tasks)

    def _exchange_expert(self, architecture: Architecture, task: int, rng: random.Random) -> Architecture:
        """Replace one of a task's experts by another that it may use."""
        chosen = list(architecture.selection[task])
        chosen[rng.randrange(len(chosen))] = rng.choice(sorted(set(self.selection[task]) - set(chosen)))
        selection = list(architecture.selection)
        selection[task] = tuple(sorted(chosen))
        return Architecture(architecture.choices, tuple(selection))

    def narrow(self, architecture: Architecture) -> SearchSpace:
        """Keep this architecture as the only one. Raises SpaceError if it is for another number of tasks."""
        if len(architecture.selection) != self.num_tasks:
            raise SpaceError(
                f"the architecture is for {len(architecture.selection)} tasks, not {self.num_tasks}; search again"
            )
        narrow = SearchSpace.of(architecture)
        return replace(self, choices=narrow.choices, selection=narrow.selection, keep=narrow.keep, fewest=None)

    @staticmethod
    def of(architecture: Architecture) -> SearchSpace:
        """Make the space whose only member is this architecture."""
        choices = {name: Choice(tuple((option,) for option in made)) for name, made in architecture.choices.items()}
        return SearchSpace(choices, architecture.selection, max(map(len, architecture.selection)))

    def prune(self, kept: Places) -> SearchSpace:
        """Return the space in which every cell of a choice keeps the options at these places."""
        choices = {
            name: Choice(tuple(tuple(cell[place] for place in kept[name]) for cell in choice.cells))
            for name, choice in self.choices.items()
        }
        return replace(self, choices=choices)


def _check(name: str, choice: Choice, num_cells: int) -> None:
    if len(choice.cells) != num_cells:
        raise SpaceError(f"choice '{name}' has {len(choice.cells)} cells, not {num_cells}")
    for cell in choice.cells:
        if not cell:
            raise SpaceError(f"a {name} cell has no candidate left; name at least one")
        for option in cell:
            if block_of(name) not in option.blocks:
                raise SpaceError(f"operation '{option}' cannot stand in a {block_of(name)} block")
        if len(set(cell)) < len(cell):
            raise SpaceError(f"a {name} cell names a candidate twice")
