"""The reference of all settings, made from the classes: name, type, default, meaning."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from automtl.config import Settings
from automtl.search import STRATEGIES, SearchSettings
from automtl.tables.durations import Seconds


@dataclass(frozen=True)
class Setting:
    """One setting: its path as in a settings file with dots, and what the reference says of it."""

    path: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class Section:
    """The settings of one class, with the first paragraph of its docstring."""

    path: str
    title: str
    summary: str
    settings: tuple[Setting, ...]


def sections(kind: type = Settings, path: str = "") -> Iterator[Section]:
    """The settings of a class, then those of the classes in it. `path`: where the class stands in a settings file."""
    types = get_type_hints(kind)
    prefix = f"{path}." if path else ""
    yield _section(kind, path, path, [field for field in fields(kind) if not is_dataclass(types[field.name])])
    for field in fields(kind):
        for part in _classes(types[field.name]):
            yield from _search() if part is SearchSettings else sections(part, prefix + field.name)


def _search() -> Iterator[Section]:
    """Settings of searches: each class with the strategies that have it, only what it adds to the class before."""
    users: dict[type, list[str]] = {}
    for name, strategy in STRATEGIES.members().items():
        for kind in reversed(strategy.settings_class().__mro__):
            if is_dataclass(kind):
                users.setdefault(kind, []).append(name)
    for kind, names in users.items():
        inherited = {field.name for base in kind.__bases__ if is_dataclass(base) for field in fields(base)}
        own = [field for field in fields(kind) if field.name not in inherited]
        if own:
            every = "every strategy" if len(names) == len(STRATEGIES) else f"strategy {', '.join(names)}"
            yield _section(kind, "search", f"search ({every})", own)


def _section(kind: Any, path: str, title: str, own: Sequence[Any]) -> Section:
    types, exact = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    infos, prefix = kind.__pydantic_fields__, f"{path}." if path else ""
    settings = (
        Setting(
            prefix + field.name,
            _type(types[field.name], exact[field.name], field),
            _default(field),
            infos[field.name].description or "",
        )
        for field in own
    )
    return Section(path, title, (inspect.getdoc(kind) or "").split("\n\n")[0], tuple(settings))


def undescribed() -> list[str]:
    """Paths of the settings without a description."""
    return [setting.path for section in sections() for setting in section.settings if not setting.description]


def page() -> str:
    """The reference as Markdown."""
    parts = [
        "# Settings",
        "Each setting by its section of a settings file (`--config FILE`, TOML or YAML), with the default and what it "
        "does. This page is made from the code.",
    ]
    for section in sections():
        parts.append(f"## {section.title or 'top level'}\n\n{section.summary}")
        rows = [
            f"| `{setting.path}` | {_cell(setting.type)} | {_cell(setting.default)} | {_plain(setting.description)} |"
            for setting in section.settings
        ]
        parts.append("\n".join(["| setting | type | default | meaning |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _classes(hint: Any) -> list[type]:
    """The settings classes that a type names."""
    return (
        [hint]
        if isinstance(hint, type) and is_dataclass(hint)
        else [part for inner in get_args(hint) for part in _classes(inner)]
    )


def _type(hint: Any, exact: Any, field: Any) -> str:
    """The type of a setting and its bounds. `exact`: the type with the bounds of the entries of a list."""
    text = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    text = re.sub(r"(?:\w+\.)+(\w+)", r"\1", text)
    if text.startswith("Literal["):
        text = " | ".join(map(repr, get_args(hint)))
    if Seconds in (exact, *get_args(exact)):
        text = text.replace("float", "duration")
    each = [limit for entry in get_args(exact) for part in get_args(entry)[1:] for limit in _limits(part)]
    return ", ".join([text, *(f"each {limit}" for limit in each), *_limits(field.default)])


def _limits(default: Any) -> list[str]:
    """Bounds that pydantic checks, as written in mathematics."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "max_length": "entries <="}
    found = default.metadata if isinstance(default, FieldInfo) else ()
    return [f"{signs[name]} {value:g}" for limit in found for name, value in _bounds(limit).items() if name in signs]


def _bounds(limit: Any) -> dict[str, Any]:
    """The attributes of a bound, which has slots."""
    return {name: getattr(limit, name) for name in ("gt", "ge", "lt", "le", "max_length") if hasattr(limit, name)}


def _default(field: Any) -> str:
    value = field.default
    if isinstance(value, FieldInfo):
        value = value.get_default(call_default_factory=True, validated_data={})
        value = "required" if value is PydanticUndefined else value
    elif value is MISSING:
        value = field.default_factory() if field.default_factory is not MISSING else None
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if value is None:
        return "unset"
    return f"{value:.4g}" if isinstance(value, float) else getattr(value, "name", str(value))


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
