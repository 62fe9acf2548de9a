"""Render values as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from automtl.report import words
from automtl.report.style import COLOURS

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = ("amount", "percent", "reason", "rounded", "seconds", "signed", "size")  # functions that templates use


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package."""
    return _environment().get_template(template).render(values, colours=COLOURS)


@cache
def _environment() -> Environment:
    """Make an environment that escapes and cleans all values but drawings, which are made of escaped text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return value if isinstance(value, Markup) else words.clean(value)

    environment = Environment(
        loader=PackageLoader("automtl.report"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {name: getattr(words, name) for name in FILTERS}
    environment.filters["drawing"] = lambda picture: Markup(picture.inline())
    environment.globals |= {"metric_names": words.METRIC_NAMES, "main_metric": words.main_metric}
    return environment
