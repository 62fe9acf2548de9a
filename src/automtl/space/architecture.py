"""One option for every cell of a search space."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from automtl.errors import SpaceError
from automtl.operations import Identity, Operation, operation, text_of

SKIP = Identity()


@dataclass(frozen=True)
class ExpertArchitecture:
    """A pooling and the layers after it. `interaction`: the expert's own, before its pooling (paper, 3.3.2)."""

    pooling: Operation
    layers: tuple[Operation, ...]
    interaction: Operation = SKIP

    @property
    def blocks(self) -> tuple[Operation, ...]:
        """All operations in their order; the interaction only where it does something."""
        own = () if self.interaction.skip else (self.interaction,)
        return (*own, self.pooling, *self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the inverse of `from_dict`."""
        own = {} if self.interaction.skip else {"interaction": text_of(self.interaction)}
        return own | {"pooling": text_of(self.pooling), "layers": [text_of(layer) for layer in self.layers]}

    @staticmethod
    def from_dict(values: Any) -> ExpertArchitecture:
        """Raises SpaceError, KeyError or TypeError if the values are no expert."""
        own = operation(values.get("interaction", Identity.name))
        return ExpertArchitecture(operation(values["pooling"]), tuple(map(operation, values["layers"])), own)


@dataclass(frozen=True)
class Architecture:
    """`selection`: for each task the experts that it uses. Immutable, hashable, readable as JSON."""

    interaction: Operation
    experts: tuple[ExpertArchitecture, ...]
    selection: tuple[tuple[int, ...], ...]

    @property
    def num_skips(self) -> int:
        """Skip connections over the interaction block and all expert layers."""
        return sum(made.skip for made in (self.interaction, *(o for expert in self.experts for o in expert.layers)))

    def without_idle_experts(self) -> Architecture:
        """The same function with the experts gone that no task chose; the others are numbered anew."""
        used = sorted({expert for chosen in self.selection for expert in chosen})
        number = {old: new for new, old in enumerate(used)}
        selection = tuple(tuple(number[expert] for expert in chosen) for chosen in self.selection)
        return Architecture(self.interaction, tuple(self.experts[expert] for expert in used), selection)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the inverse of `from_dict`."""
        return {
            "interaction": text_of(self.interaction),
            "experts": [expert.to_dict() for expert in self.experts],
            "selection": [list(chosen) for chosen in self.selection],
        }

    def to_json(self) -> str:
        """The architecture as a JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @staticmethod
    def from_dict(values: Any) -> Architecture:
        """Raises SpaceError if the values are no architecture."""
        try:
            experts = tuple(ExpertArchitecture.from_dict(expert) for expert in values["experts"])
            selection = tuple(tuple(int(expert) for expert in chosen) for chosen in values["selection"])
            interaction = operation(values["interaction"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SpaceError(f"not an architecture: {error!r}; expected interaction, experts and selection") from None
        if any(not 0 <= expert < len(experts) for chosen in selection for expert in chosen):
            raise SpaceError(f"not an architecture: selection names an expert beyond the {len(experts)} there are")
        return Architecture(interaction, experts, selection)

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The inverse of `to_json`."""
        try:
            return Architecture.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise SpaceError(f"not an architecture: {error}") from None

    def draw(self, tasks: Sequence[str]) -> str:
        """The architecture as lines of text."""
        lines = ["fields", f"  └─ {self.interaction}  (feature interaction, shared)"]
        for index, expert in enumerate(self.experts):
            users = [task for task, chosen in zip(tasks, self.selection, strict=True) if index in chosen]
            chain = " → ".join(map(str, expert.blocks))
            lines.append(f"      ├─ expert {index}: {chain}   → {', '.join(users)}")
        for task, chosen in zip(tasks, self.selection, strict=True):
            lines.append(f"  {task}: gate over experts {', '.join(map(str, chosen))} → tower")
        return "\n".join(lines)
