"""Random architectures as JSON, alone and as architecture.json of a saved model."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import polars as pl

from automtl.ensemble.spec import ModelSpec
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.models.settings import NetworkSettings
from automtl.predictor import Predictor
from automtl.space import Architecture, SearchSpace, SpaceSettings, make_space
from automtl.system.files import read_json
from automtl.system.manifest import MODEL, checksums
from automtl.system.trust import names_of_folder
from automtl.tables.columns import ColumnRoles, resolve_schema
from automtl.tables.synthetic import synthetic_log
from tests.faults.inputs.bent import as_json, bend, bend_text

TASKS = ("click", "buy")
SPACES = [
    make_space(SpaceSettings(preset=preset, experts=experts, layers=layers, expert_interaction=inner), len(TASKS))
    for preset in ("published", "wide")
    for experts, layers, inner in ((1, 1, False), (4, 2, False), (2, 3, True))
]
LARGE = re.compile(r"\d{4}")  # numbers that are right and cost memory: models of them are not built here
SHARE = 0.1  # of architectures, that are loaded within a model


def try_architecture(rng: Random, folder: Path) -> None:
    """Read an architecture; what is accepted is read back as it was and can be drawn."""
    if rng.random() < SHARE:
        try_model(rng)
        return
    text = bent_text(rng, rng.choice(SPACES).sample(rng).to_dict())
    with names_of_folder():
        found = Architecture.from_json(text)
        assert Architecture.from_json(found.to_json()) == found, "another one is read back"
        space = SearchSpace.of(found)
        assert space.sample(rng).num_experts <= found.num_experts
        SPACES[0].narrow(found)
        assert found.draw(TASKS)


def bent_text(rng: Random, values: dict[str, Any]) -> str:
    """Write plain values as JSON, with changes."""
    text = as_json(bend(rng, values))
    return bend_text(rng, text) if rng.random() < 0.3 else text


def try_model(rng: Random) -> None:
    """Load a saved model whose architecture.json is bent and whose checksums are right; what is accepted predicts."""
    folder, log, values = saved_model()
    text = bent_text(rng, values)
    if LARGE.search(text):
        return
    (folder / "architecture.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    MODEL.write(
        folder, {}, checksums(folder, (path.name for path in folder.glob("*.*") if path.name != "manifest.json"))
    )
    found = Predictor.load(folder)
    assert found.predict(log).height == log.height
    if found.spec.architecture is not None:
        assert found.spec.architecture.draw(found.schema.task_names)


@cache
def saved_model() -> tuple[Path, pl.DataFrame, dict[str, Any]]:
    """Save a model that nobody trained; return its folder, some rows, and its architecture.json."""
    log = synthetic_log(200, users=10, items=10, seed=0)
    schema = resolve_schema(log, TASKS, ColumnRoles(drop=("like", "cart"), history=False), None)
    encoder, _ = Encoder.fit(log, schema, EncoderSettings(), 0)
    spec = ModelSpec.of("automtl", NetworkSettings(embedding_size=4, width=8, towers=(8,)), SPACES[1].sample(Random(1)))
    folder = Path(mkdtemp())
    Predictor(schema, encoder, spec, spec.build(encoder, 0)).save(folder)
    return folder, log.head(20), read_json(folder / "architecture.json", "save it again")
