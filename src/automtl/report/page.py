"""Values to one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from automtl.report.style import COLOURS
from automtl.report.words import (
    METRIC_NAMES,
    amount,
    clean,
    main_metric,
    percent,
    reason,
    rounded,
    seconds,
    signed,
    size,
)

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package."""
    return _environment().get_template(template).render(values, colours=COLOURS)


@cache
def _environment() -> Environment:
    """Whatever is shown is escaped and cleaned, but for drawings, which are made of escaped text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return value if isinstance(value, Markup) else clean(value)

    environment = Environment(
        loader=PackageLoader("automtl.report"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {one.__name__: one for one in (amount, percent, reason, rounded, seconds, signed, size)}
    environment.filters["drawing"] = lambda picture: Markup(picture.inline())
    environment.globals |= {"metric_names": METRIC_NAMES, "main_metric": main_metric}
    return environment
