"""A page for each model and each operation, from the registries: what it computes, paper, settings, size."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.features.layout import CategoricalLayout, Layout
from automtl.models.block import MixedBlock
from automtl.models.cost import multiply_adds
from automtl.models.registry import EVERY_MODEL, MODELS
from automtl.models.settings import NetworkSettings
from automtl.nn.mixture import SeparateCandidates
from automtl.nn.shape import BlockShape
from automtl.operations import OPERATIONS, Block, Operation, operation
from automtl.space.presets import PRESETS, Preset
from automtl.tables.schema import Task

SHAPE = BlockShape(fields=20, dim=16, width=64)
PLACES = {  # of a block: the setting that names its candidates, and its shapes
    Block.INTERACTION: ("space.interactions", "feature interaction, (B, F, D) to (B, F, D)"),
    Block.POOLING: ("space.poolings", "pooling of an expert, (B, F, D) to (S, B, H)"),
    Block.LAYER: ("space.expert_layers", "layer of an expert, (S, B, H) to (S, B, H)"),
}
IDS, VALUES = 20, 1_000  # of the layout on which models are measured


class ReadSettings:
    """Settings that remember which of them were read."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings, self.read = settings, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self.settings, name)


def pages() -> dict[str, str]:
    """Return the text of each page by its path in the site: an index and a page for each member of both kinds."""
    models = {name: EVERY_MODEL.find(name) for name in EVERY_MODEL}
    operations = OPERATIONS.members()
    made = {
        "models/index.md": _index(
            "Models", "What `--model` trains, and `--models` of `automtl compare` names; `automtl` is searched.", models
        ),
        "operations/index.md": _index(
            "Operations", "Candidates of the search; letters: B rows, F fields, D embedding, H width, S experts.",
            operations,
        ),
    }  # fmt: skip
    made |= {f"models/{name}.md": _model(name, model) for name, model in models.items()}
    return made | {f"operations/{name}.md": _operation(name, family) for name, family in operations.items()}


def _index(title: str, said: str, members: dict[str, Any]) -> str:
    rows = [f"| [{name}]({name}.md) | {_summary(member)} |" for name, member in members.items()]
    return "\n".join([f"# {title}", "", said, "", "| name | what it is |", "|---|---|", *rows, ""])


def _model(name: str, model: type[nn.Module]) -> str:
    """Describe a model: what it is, how it is trained, the settings that it reads, and its size."""
    task = "" if name in MODELS.aliases else " (the default)"
    rows = {"train it": f"`automtl fit TABLE --task click --task buy --model {name}`{task}"}
    if issubclass(model, BoostedTrees):
        rows["settings"] = "the section `trees`"
    elif name in MODELS:
        given = ReadSettings(NetworkSettings())
        layout = Layout(
            tuple(CategoricalLayout(f"c{place}", VALUES) for place in range(IDS)), (), (), (Task("click"), Task("buy"))
        )
        made = model(layout, given, torch.Generator().manual_seed(0))
        rows["settings"] = ", ".join(f"`network.{one}`" for one in sorted(given.read)) + "; `training`"
        table = IDS * VALUES * given.settings.embedding_size
        size = sum(parameter.numel() for parameter in made.parameters())
        rows["size"] = (
            f"{size:,} parameters for {IDS} ids of {VALUES:,} values and two tasks, one embedding has {table:,}"
        )
    else:
        rows["settings"] = "the sections `space`, `search`, `network`, `training`"
        rows["is made of"] = "[operations](../operations/index.md)"
    return _page(name, model, [], rows)


def _operation(name: str, family: type[Operation]) -> str:
    """Describe an operation: what it computes, where it may stand, where presets have it, and its size."""
    numbers = [field.name for field in fields(family)]
    form = f"{name}-N" if numbers else name
    candidates = {preset: _texts(family, of) for preset, of in PRESETS.items()}
    example = operation(next((text for texts in candidates.values() for text in texts), name))
    built = [_built(example, block) for block in family.blocks]
    rows = {
        "named": f"`{form}`" + (f", N: {numbers[0]}" if numbers else ""),
        "stands in": "; ".join(f"{PLACES[block][1]} (`{PLACES[block][0]}`)" for block in family.blocks),
    }
    for preset, texts in candidates.items():
        rows[f"in the space `{preset}`"] = ", ".join(f"`{text}`" for text in texts) or "no"
    rows["size"] = f"`{example}` with F = 20, D = 16, H = 64, one expert: " + "; ".join(
        f"{sum(p.numel() for p in block.parameters()):,} parameters, {multiply_adds(block, kind, SHAPE, 0):,.0f} "
        f"multiply-adds a row{f' ({kind.value})' if len(built) > 1 else ''}"
        for block, kind in zip(built, family.blocks, strict=True)
    )
    return _page(name, family, _computed(built), rows)


def _texts(family: type[Operation], of: Preset) -> list[str]:
    """The candidates of a preset that are of a family."""
    every = dict.fromkeys((*of.interactions, *of.poolings, *of.layers))
    return [text for text in every if type(operation(text)) is family]


def _built(example: Operation, block: Block) -> MixedBlock:
    return MixedBlock((example,), 1, SHAPE, torch.Generator().manual_seed(0))


def _computed(built: list[MixedBlock]) -> list[str]:
    """Return the docstrings of the modules that run an operation, which have the equation."""
    modules: dict[type, None] = {}
    for block in built:
        for mixture in block.mixtures:
            runs = mixture.candidates if isinstance(mixture, SeparateCandidates) else [mixture]
            modules |= {type(module): None for module in runs}
    return [_said(module) for module in modules if module.__module__.startswith("automtl.")]


def _page(name: str, member: Any, more: list[str], rows: dict[str, str]) -> str:
    path = f"{member.__module__}.{member.__qualname__}"
    rows["code"] = f"[`{path}`][{path}]"
    table = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    said = dict.fromkeys(text for text in (_said(inspect.getmodule(member)), _said(member), *more) if text)
    parts = [f"# {name}", *said, "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _said(thing: Any) -> str:
    """The docstring, without the examples."""
    return (inspect.getdoc(thing) or "").split("\n\n>>>")[0]


def _summary(member: Any) -> str:
    return " ".join(_said(member).split("\n\n")[0].split()).replace("|", "\\|")
