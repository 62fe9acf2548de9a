"""The network of any search space: wide, it is the supernet's body; narrowed, the derived model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from automtl.features.batch import Batch, Features, iterate
from automtl.features.layout import Layout
from automtl.models.block import CandidateWeights, ChoiceBlock, PlacedOperation
from automtl.models.settings import NetworkSettings
from automtl.nn.dropout import Dropout
from automtl.nn.embedding import FieldEmbedding
from automtl.nn.funnel import Funnel
from automtl.nn.gate import Gate
from automtl.nn.normalization import NORMALIZATIONS
from automtl.nn.shape import BlockShape
from automtl.nn.tower import Towers
from automtl.operations import Block
from automtl.space.architecture import Selection
from automtl.space.names import INTERACTION, block_of
from automtl.space.space import SearchSpace
from automtl.tables.schema import stages
from automtl.training.fit import SelfTrained


@dataclass(frozen=True)
class RelaxedArchitecture:
    """Weights in place of decisions: those of candidates by choice, and (T, E) those of experts (None: gates decide).

    `skips`: weight of a skip connection beside each block of a kind (Chu et al., DARTS-, eq. 3); none by default.
    """

    choices: Mapping[str, CandidateWeights]
    experts: Tensor | None
    skips: Mapping[Block, float] = field(default_factory=dict)


ONE_LEFT = RelaxedArchitecture({}, None)  # of a derived model
GATE_ROWS, GATE_BATCH = 65_536, 2_048  # rows that mean gate weights are taken over


class Network(nn.Module):
    """Embedding, interaction, experts (pooling and layers), gates or expert weights, towers -> logits (B, T).

    Members (K) share the experts between them and have gates and towers of their own, so that an ensemble costs about
    one training and one pass; each learns from its own loss, as in BatchEnsemble (Wen et al., ICLR 2020) and TabM
    (Gorishniy et al. 2024), and the logits are the members' mean.
    """

    def __init__(
        self, space: SearchSpace, layout: Layout, settings: NetworkSettings, *, gated: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(layout, settings.embedding_size, generator)
        self.shape = BlockShape(layout.num_fields, settings.embedding_size, settings.width)
        self.choices = nn.ModuleDict(
            {name: ChoiceBlock(block_of(name), choice, self.shape, generator) for name, choice in space.choices.items()}
        )
        self.members = settings.members
        allowed = member_selection(space.selection, settings.members)
        self.gate = Gate(self.embedding.width, space.num_experts, allowed, generator) if gated else None
        self.normalize = NORMALIZATIONS[settings.normalization](settings.width)
        self.dropout = Dropout(settings.dropout)
        self.funnel = Funnel(stages(layout.tasks))
        self.towers = Towers(len(allowed), settings.width, settings.towers, generator, settings.dropout)

    def forward(self, features: Features, relaxed: RelaxedArchitecture | None = None) -> Tensor:
        """Return logits; `relaxed` weighs candidates and experts (None: one candidate is left, gates weigh experts)."""
        if self.members > 1:
            return self.member_logits(features, relaxed).mean(dim=0)
        logits: Tensor = self.funnel(self._tower_logits(features, relaxed))
        return logits

    def member_logits(self, features: Features, relaxed: RelaxedArchitecture | None = None) -> Tensor:
        """Return the logits (K, B, T) of the K members, which learn from their own losses."""
        logits = self._tower_logits(features, relaxed).unflatten(1, (self.members, -1))  # (B, K, T)
        chained: Tensor = self.funnel(logits.flatten(0, 1))
        return chained.view_as(logits).transpose(0, 1)

    def _tower_logits(self, features: Features, relaxed: RelaxedArchitecture | None) -> Tensor:
        """Return the logits (B, K T) of the towers of all members."""
        relaxed = ONE_LEFT if relaxed is None else relaxed
        blocks = self.blocks
        x = refined = self._run(INTERACTION, blocks.pop(INTERACTION), self.embedding(features), relaxed)  # (B, F, D)
        for name, block in blocks.items():
            x = self._run(name, block, x, relaxed)  # (E, B, F, D) if experts have interactions, then (E, B, H)
        hidden = self.dropout(self.normalize(x))
        if relaxed.experts is not None:
            gathered = torch.einsum("te,ebh->tbh", relaxed.experts, hidden)
        else:
            assert self.gate is not None
            gathered = self.gate(refined.flatten(1), hidden)  # (K T, B, H)
        logits: Tensor = self.towers(gathered)
        return logits

    def _run(self, name: str, block: ChoiceBlock, x: Tensor, relaxed: RelaxedArchitecture) -> Tensor:
        out: Tensor = block(x, relaxed.choices.get(name))
        if block.block is Block.POOLING:
            return self.normalize(out)  # type: ignore[no-any-return]
        skip = relaxed.skips.get(block.block, 0.0)
        return torch.add(out, x, alpha=skip) if skip else out

    def refine(self, features: Features) -> Tensor:
        """Return what the gates of a derived model read: the fields (B, F, D) after the interaction of all experts."""
        return self._run(INTERACTION, self.blocks[INTERACTION], self.embedding(features), ONE_LEFT)

    @property
    def blocks(self) -> dict[str, ChoiceBlock]:
        """The block of each choice by name, in order."""
        return dict(self.choices.items())  # type: ignore[arg-type]

    @torch.no_grad()
    def copy_from(self, wide: Network, experts: list[int]) -> None:
        """Copy the parameters' values from a network of a wider space and one member; `experts`: those left, in order.

        Gates stay as they are where the wide network has none.
        """
        if self.gate is not None and wide.gate is not None:
            self.gate.copy_from(wide.gate, experts)
        self.embedding.load_state_dict(wide.embedding.state_dict())
        for towers, source in zip(self.towers.parameters(), wide.towers.parameters(), strict=True):
            towers.copy_(source.repeat(self.members, 1, 1))
        for name, block in self.blocks.items():
            block.copy_from(wide.blocks[name], [0] if name == INTERACTION else experts)

    def placed(self) -> list[PlacedOperation]:
        """List all candidates of the network with their places."""
        return [placed for name, block in self.blocks.items() for placed in block.placed(name)]


def member_selection(selection: Selection, members: int) -> Selection:
    """Deal each task's experts to members in turn: the experts of the tasks of the first member, of the second, ...

    Where there are more members than experts, some have the same expert.
    """
    dealt = [
        [chosen[member::members] or (chosen[member % len(chosen)],) for chosen in selection]
        for member in range(members)
    ]
    return tuple(chosen for of_member in dealt for chosen in of_member)


def build(space: SearchSpace, layout: Layout, settings: NetworkSettings, seed: int) -> Network:
    """Build the derived model of a narrowed space, with gates, initialised by `seed`."""
    return Network(space, layout, settings, gated=True, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def mean_gate_weights(model: nn.Module, batch: Batch) -> list[list[float]] | None:
    """Return the mean weights (T, E) of a derived network's gates over the first rows; None for other models.

    Of several members, it is the mean of their weights.
    """
    if not isinstance(model, Network) or model.gate is None:
        return None
    rows = batch.take(slice(0, GATE_ROWS))
    parts = iterate(rows, GATE_BATCH)
    total = sum(model.gate.shares(model.refine(part.features).flatten(1)).sum(0).double() for part in parts)
    mean = (total / len(rows)).unflatten(0, (model.members, -1)).mean(dim=0)  # type: ignore[union-attr]
    return [[round(value, 5) for value in row] for row in mean.tolist()]


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that a model learns."""
    trees = sum(module.num_parameters for module in model.modules() if isinstance(module, SelfTrained))
    return trees + sum(parameter.numel() for parameter in model.parameters())
