"""The published supernet as a plain loop of ordinary `torch.nn` layers: the reference of `supernet_step.py`.

Every task runs the experts anew, every expert every candidate as a module of its own, and the outputs are weighed and
added one by one. Parameters are copied from a supernet of ours, so that outputs and gradients can be compared.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automtl.features.batch import Features
from automtl.models.block import MixedBlock
from automtl.models.supernet import Supernet
from automtl.operations import OPERATIONS, Operation
from automtl.operations.pooling import AveragePooling


class InnerProduct(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)  # (F, D)

    def forward(self, x: Tensor) -> Tensor:
        return x + (x @ x.transpose(1, 2)) @ self.weight


class OuterProduct(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.map = linear(weight)

    def forward(self, x: Tensor) -> Tensor:
        total = x.sum(dim=1)
        outer = total.unsqueeze(2) * total.unsqueeze(1)  # (B, D, D)
        mapped: Tensor = self.map(x @ outer)
        return x + mapped


class BitGate(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.gates = nn.ModuleList(linear(matrix) for matrix in weight)  # one a field

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, i] * torch.sigmoid(gate(x[:, i])) for i, gate in enumerate(self.gates)], dim=1)


class VectorGate(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid((x * self.weight).sum(dim=2, keepdim=True))


class Cross(nn.Module):
    def __init__(self, parts: list[Tensor]) -> None:
        super().__init__()
        self.down = nn.ModuleList(linear(down) for down in parts[0::3])
        self.up = nn.ModuleList(linear(up, bias) for up, bias in zip(parts[1::3], parts[2::3], strict=True))

    def forward(self, x: Tensor) -> Tensor:
        start = state = x.flatten(1)
        for down, up in zip(self.down, self.up, strict=True):
            state = start * up(down(state)) + state
        return state.reshape(x.shape)


class Attention(nn.Module):
    def __init__(self, heads: int, project: Tensor, out: Tensor, residual: Tensor) -> None:
        super().__init__()
        self.heads = heads
        query, key, value = project.chunk(3, dim=1)
        self.query, self.key, self.value = linear(query), linear(key), linear(value)
        self.out, self.residual = linear(out), linear(residual)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # (B, heads, F, size)
        share = (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(dim=3)
        mapped: Tensor = self.out((share @ value).transpose(1, 2).flatten(2)) + self.residual(x)
        return torch.relu(mapped)


class Pooled(nn.Module):
    def __init__(self, attention: nn.Module | None, average: bool) -> None:
        super().__init__()
        self.attention, self.average = attention, average

    def forward(self, x: Tensor) -> Tensor:
        if self.attention is not None:
            return (self.attention(x).softmax(dim=1) * x).sum(dim=1)
        return x.mean(dim=1) if self.average else x.sum(dim=1)


class HiddenGate(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.map = linear(weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.map(x))


class Convolution(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.map = nn.Conv1d(1, 1, weight.numel(), padding="same")
        self.map.weight.data.copy_(weight.reshape(1, 1, -1))
        self.map.bias.data.copy_(bias.flatten())  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        mapped: Tensor = self.map(x.unsqueeze(1))
        return mapped.squeeze(1)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """weight: (in, out), bias: any shape of `out` numbers."""
    made = nn.Linear(*weight.shape, bias=bias is not None)
    made.weight.data.copy_(weight.T)
    if bias is not None:
        made.bias.data.copy_(bias.flatten())
    return made


def plain(option: Operation, own: list[Tensor]) -> nn.Module:
    """The candidate as ordinary layers. `own`: its parameters of one copy, in the order of `parameters_of`."""
    match OPERATIONS.name_of(type(option)):
        case "skip":
            return nn.Identity()
        case "inner-product":
            return InnerProduct(*own)
        case "outer-product":
            return OuterProduct(*own)
        case "bit-gate":
            return BitGate(*own)
        case "vector-gate":
            return VectorGate(*own)
        case "cross":
            return Cross(own)
        case "attention":
            return Attention(option.numbers[0], *own)
        case "sum" | "average":
            return Pooled(None, isinstance(option, AveragePooling))
        case "attentive":
            return Pooled(nn.Sequential(linear(own[0], own[1]), nn.Tanh(), linear(own[2])), False)
        case "linear":
            return nn.Sequential(nn.Flatten(), linear(own[0], own[1]))
        case "hidden-gate":
            return HiddenGate(*own)
        case "mlp":
            return nn.Sequential(linear(own[0], own[1]), nn.ReLU(), linear(own[2], own[3]))
        case "conv":
            return Convolution(*own)
    raise ValueError(f"no plain form of {option}")


class PlainSupernet(nn.Module):
    """For a width equal to the embedding size, where poolings need no map."""

    def __init__(self, wide: Supernet) -> None:
        super().__init__()
        self.space, self.normalize = wide.space, wide.network.normalize
        self.embeddings = nn.ModuleList(
            nn.Embedding.from_pretrained(part.clone(), freeze=False)
            for part in wide.network.embedding.table.detach().tensor_split(wide.network.embedding.offsets[1:].long())
        )
        self.alpha = nn.ParameterList(nn.Parameter(alpha.detach().clone()) for alpha in wide.logits.alpha.values())
        self.beta = nn.Parameter(wide.selection.beta.detach().clone())
        self.cells = nn.ModuleList(
            nn.ModuleList(candidates(block, cell) for cell in range(block.stack))
            for (block,) in (choice.blocks for choice in wide.network.blocks.values())
        )
        self.towers = nn.ModuleList(tower(wide, task) for task in range(wide.space.num_tasks))

    def forward(self, features: Features) -> Tensor:
        fields = [table(features.categorical[:, i]) for i, table in enumerate(self.embeddings)]
        refined = self.mixed(torch.stack(fields, dim=1), 0, 0)
        logits = []
        for task, tower_of_task in enumerate(self.towers):
            shares, gathered = self.beta[task].softmax(dim=0), torch.zeros(())
            for expert in range(self.space.num_experts):
                hidden = self.normalize(self.mixed(refined, 1, expert))
                for layer in range(2, len(self.cells)):
                    hidden = self.mixed(hidden, layer, expert)
                gathered = gathered + shares[expert] * self.normalize(hidden)
            logits.append(tower_of_task(gathered))
        return torch.cat(logits, dim=1)

    def mixed(self, x: Tensor, choice: int, cell: int) -> Tensor:
        shares, total = self.alpha[choice][cell].softmax(dim=0), torch.zeros(())
        for place, candidate in enumerate(self.cells[choice][cell]):
            total = total + shares[place] * candidate(x)
        return total


def candidates(block: MixedBlock, cell: int) -> nn.ModuleList:
    """All candidates of one cell."""
    return nn.ModuleList(
        plain(option, [parameter.detach()[cell].clone() for parameter in block.parameters_of(place)])
        for place, option in enumerate(block.options)
    )


def tower(wide: Supernet, task: int) -> nn.Sequential:
    """A task's tower."""
    layers: list[nn.Module] = []
    for layer in wide.network.towers.layers.layers:
        layers += [linear(layer.weight.detach()[task], layer.bias.detach()[task]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
