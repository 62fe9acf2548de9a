"""The specification of a model: all that is needed to build it anew for rows that an encoder has encoded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from torch import nn

from automtl.ensemble.ensemble import Ensemble, Member
from automtl.errors import SpaceError
from automtl.features.column_selection import EVERY_GROUP, InputGroups
from automtl.features.encoder import Encoder
from automtl.models.network import build
from automtl.models.registry import EVERY_MODEL, new_model
from automtl.models.settings import NetworkSettings
from automtl.nn.allocation_limit import AllocationLimit
from automtl.space import Architecture, SearchSpace

REASON = 300  # most characters of values or errors that are quoted, since torch's list all weights


@dataclass(frozen=True)
class MemberSpec:
    """All that is needed to rebuild one model: its name or import path, sizes and, for 'automtl', the architecture.

    `name`: what it is called beside others.
    """

    name: str
    model: str
    network: NetworkSettings
    architecture: Architecture | None = None
    inputs: InputGroups = EVERY_GROUP

    def encoder(self, encoder: Encoder) -> Encoder:
        """Return the encoder of its inputs alone, which are the first numeric columns and lists of all."""
        return self.inputs.select(encoder)

    def build(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build a new model for its inputs. Raises SettingsError where it cannot be imported or made."""
        layout = self.encoder(encoder).layout
        if self.architecture is None:
            return new_model(self.model, layout, self.network, seed)
        if len(self.architecture.selection) != layout.num_tasks:
            raise SpaceError(
                f"the architecture is for {len(self.architecture.selection)} tasks, the schema has {layout.num_tasks}"
            )
        return build(SearchSpace.of(self.architecture), layout, self.network, seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values. Models have names by which a new process finds them."""
        architecture = None if self.architecture is None else self.architecture.to_dict()
        return asdict(self) | {
            "model": EVERY_MODEL.name_of(EVERY_MODEL.find(self.model)), "architecture": architecture,
        }  # fmt: skip

    @staticmethod
    def from_dict(values: dict[str, Any]) -> MemberSpec:
        """Read the values that `to_dict` returned. Raises an AutomtlError for a name that cannot be imported."""
        EVERY_MODEL.find(values["model"])
        found = values["architecture"]
        architecture = None if found is None else Architecture.from_dict(found)
        network, inputs = NetworkSettings(**values["network"]), InputGroups(**values["inputs"])
        if type(values["name"]) is not str or not all(type(one) is bool for one in astuple(inputs)):
            raise ValueError(f"the name or inputs of a member are {values['name']!r}, {inputs}"[:REASON])
        return MemberSpec(**values | {"network": network, "architecture": architecture, "inputs": inputs})

    @property
    def is_own_code(self) -> bool:
        """Tell whether the model, or an operation of it, is code of the user's, which may do as it likes."""
        made = () if self.architecture is None else chain.from_iterable(self.architecture.choices.values())
        return any(":" in str(one) for one in (self.model, *made))


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to rebuild a model, which is one alone or an ensemble of members."""

    members: tuple[MemberSpec, ...]

    @staticmethod
    def of(model: str, network: NetworkSettings, architecture: Architecture | None = None) -> ModelSpec:
        """Specify one model of all inputs, which bears the name of its kind."""
        return ModelSpec((MemberSpec(model, model, network, architecture),))

    @property
    def model(self) -> str:
        """The model by itself, or the first member's."""
        return self.members[0].model

    @property
    def architecture(self) -> Architecture | None:
        """The architecture of the first member that has one."""
        return next((member.architecture for member in self.members if member.architecture is not None), None)

    def encoder(self, encoder: Encoder) -> Encoder:
        """Return the encoder of the inputs that some member has."""
        return reduce(or_, (one.inputs for one in self.members)).select(encoder)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for `architecture.json`."""
        return {"members": [member.to_dict() for member in self.members]}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ModelSpec:
        """Read the values that `to_dict` returned. Raises SpaceError for an operation that cannot be imported."""
        members = tuple(map(MemberSpec.from_dict, values["members"]))
        if not members:
            raise SpaceError("architecture.json names no model; fit again")
        return ModelSpec(members)

    def build_saved(self, encoder: Encoder, weights_bytes: int) -> nn.Module:
        """Build the model whose weights a file of so many bytes holds. Raises FileError where it is larger than that.

        Code of the user's may make what it likes.
        """
        with nullcontext() if self.is_own_code else AllocationLimit(weights_bytes):
            return self.build(encoder, 0)

    @property
    def is_own_code(self) -> bool:
        """Tell whether some member is code of the user's."""
        return any(member.is_own_code for member in self.members)

    def build(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build a new model. Raises SettingsError where a model cannot be imported or made."""
        models = [member.build(encoder, seed) for member in self.members]
        return models[0] if len(models) == 1 else self.joined(models, encoder)

    def joined(self, models: Sequence[nn.Module], encoder: Encoder) -> Ensemble:
        """Make an ensemble of the members' models."""
        layouts = (member.encoder(encoder).layout for member in self.members)
        names = (member.name for member in self.members)
        return Ensemble([Member(*one) for one in zip(names, models, layouts, strict=True)], encoder.schema.tasks)
