"""One option for every cell of a search space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from automtl.errors import SpaceError
from automtl.operations import Identity, Operation, operation
from automtl.space.names import INTERACTION, POOLING, check_names
from automtl.system.plain import plain_values

Selection = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Architecture:
    """An operation for every cell of each choice, and for each task the experts that it uses.

    `choices`: by name, one operation for each expert, and one alone for "interaction", which all experts share.
    Immutable, hashable, readable as JSON.

    >>> from automtl.operations import operation
    >>> texts = {"interaction": "skip", "pooling": "sum", "layer_1": "mlp-64"}
    >>> choices = {name: (operation(text),) for name, text in texts.items()}
    >>> found = automtl.Architecture(choices, selection=((0,),))
    >>> automtl.Architecture.from_json(found.to_json()) == found
    True
    """

    choices: Mapping[str, tuple[Operation, ...]]
    selection: Selection

    def __post_init__(self) -> None:
        check_names(self.choices)
        for name, made in self.choices.items():
            if len(made) != (1 if name == INTERACTION else self.num_experts):
                raise SpaceError(f"not an architecture: '{name}' has {len(made)} operations")
        if not self.selection or not all(self.selection):
            raise SpaceError("not an architecture: a task's selection is empty; name at least one expert for each task")
        if any(not 0 <= expert < self.num_experts for chosen in self.selection for expert in chosen):
            raise SpaceError(
                f"not an architecture: selection names an expert that is none of 0 to {self.num_experts - 1}; "
                "correct it"
            )

    def __hash__(self) -> int:
        return hash((tuple(self.choices.items()), self.selection))

    def __getitem__(self, name: str) -> tuple[Operation, ...]:
        return self.choices[name]

    @property
    def num_experts(self) -> int:
        """The number of experts (E)."""
        return len(self.choices[POOLING])

    @property
    def num_skips(self) -> int:
        """The number of skip connections in all blocks."""
        return sum(made == Identity() for cells in self.choices.values() for made in cells)

    def expert(self, index: int) -> tuple[Operation, ...]:
        """Return an expert's operations in their order."""
        return tuple(made[index] for name, made in self.choices.items() if name != INTERACTION)

    def without_idle_experts(self) -> Architecture:
        """Remove the experts that no task chose, which changes no output; the others are numbered anew."""
        used = sorted({expert for chosen in self.selection for expert in chosen})
        choices = {
            name: made if name == INTERACTION else tuple(made[expert] for expert in used)
            for name, made in self.choices.items()
        }
        return Architecture(choices, tuple(tuple(map(used.index, chosen)) for chosen in self.selection))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, which `from_dict` reads."""
        choices = {name: list(map(str, made)) for name, made in self.choices.items()}
        return {"choices": choices, "selection": [list(chosen) for chosen in self.selection]}

    def to_json(self) -> str:
        """Return the architecture as a JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @staticmethod
    def from_dict(values: Any) -> Architecture:
        """Read plain values. Raises SpaceError if they are no architecture."""
        try:
            choices = {name: tuple(map(operation, made)) for name, made in values["choices"].items()}
            selection = tuple(tuple(int(expert) for expert in chosen) for chosen in values["selection"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise SpaceError(f"not an architecture: {error!r}; expected choices and selection") from None
        return Architecture(choices, selection)

    @staticmethod
    def from_json(text: str) -> Architecture:
        """Read a JSON text. Raises SpaceError if it is no architecture."""
        try:
            values = plain_values(text, json.loads)
        except ValueError as error:
            raise SpaceError(f"not an architecture: {error}; give the text that 'to_json' returned") from None
        return Architecture.from_dict(values)

    def draw(self, tasks: Sequence[str]) -> str:
        """Draw the architecture as lines of text."""
        lines = ["fields", f"  └─ {self[INTERACTION][0]}  (feature interaction, shared)"]
        for index in range(self.num_experts):
            users = [task for task, chosen in zip(tasks, self.selection, strict=True) if index in chosen]
            lines.append(f"      ├─ E{index}: {' → '.join(map(str, self.expert(index)))}   → {', '.join(users)}")
        for task, chosen in zip(tasks, self.selection, strict=True):
            lines.append(f"  {task}: gate over {', '.join(f'E{expert}' for expert in chosen)} → tower")
        return "\n".join(lines)
