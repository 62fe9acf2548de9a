"""Random settings files, read as `fit --config` reads them."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

from automtl.config import Settings, make_settings, read_settings
from automtl.experiment.fit import check_settings
from automtl.search import STRATEGIES
from automtl.space import make_space
from automtl.system.files import json_bytes
from tests.faults.inputs.bent import BOMB, as_json, as_yaml, bend, bend_text, write_bent

PLAIN: dict[str, Any] = json.loads(json_bytes(Settings().to_dict()))
SEARCHES: dict[str, dict[str, Any]] = {
    name: {
        one.name: getattr(STRATEGIES.find(name).settings_class()(), one.name)
        for one in fields(STRATEGIES.find(name).settings_class())
    }
    for name in STRATEGIES
}


def try_settings(rng: Random, folder: Path) -> None:
    """Read a settings file; what is accepted is read back from what a run records of it, and can be used."""
    path = folder / rng.choice(("settings.yaml", "settings.yaml", "settings.toml", "settings.json"))
    write_bent(rng, path, drawn_text(rng, path.suffix))
    settings = read_settings(path, rng.choice(({}, {}, {"model": "mmoe"}, {"budget": {"preset": "fast"}})))
    assert make_settings(json.loads(json_bytes(settings.to_dict()))) == settings, "another one is read back"
    if rng.random() < 0.3:
        check_settings(settings)
        settings.with_published_search()
    if settings.space.experts * settings.space.layers <= 64:
        make_space(settings.searched_space, rng.randint(1, 5)).size()


def drawn_text(rng: Random, suffix: str) -> str:
    """Draw the text of a file."""
    values = bend(rng, drawn(rng))
    if suffix == ".toml":
        text = as_toml(values)
    else:
        text = as_json(values) if suffix == ".json" or rng.random() < 0.3 else as_yaml(values)
    if rng.random() < 0.01:
        text = f"{BOMB}{text}"
    return bend_text(rng, text) if rng.random() < 0.35 else text


def drawn(rng: Random) -> dict[str, Any]:
    """Draw settings that are right: some of the defaults."""
    strategy = rng.choice(list(SEARCHES))
    whole = PLAIN | {"strategy": strategy, "search": SEARCHES[strategy]}
    names = rng.sample(list(whole), rng.randint(1, 5))
    return {name: some(rng, whole[name]) for name in names} | ({"strategy": strategy} if "search" in names else {})


def some(rng: Random, value: Any) -> Any:
    """Return some entries of a section."""
    if not isinstance(value, dict) or not value:
        return list(value) if isinstance(value, tuple) else value
    return {name: some(rng, value[name]) for name in rng.sample(list(value), rng.randint(1, min(4, len(value))))}


def as_toml(values: Any) -> str:
    """Write plain values as TOML, inline but for the first level."""
    if not isinstance(values, dict):
        return _inline(values)
    return "".join(
        f"{json.dumps(str(name))} = {_inline(value)}\n" for name, value in values.items() if value is not None
    )


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(name))} = {_inline(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, default=str)
