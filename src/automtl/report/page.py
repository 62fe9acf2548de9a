"""Render values as one HTML page that needs no other file."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from automtl.report import words
from automtl.report.style import COLOURS
from automtl.report.style_sheet import StyleSheet
from automtl.system.content_policy import content_policy

if TYPE_CHECKING:
    from jinja2 import Environment

_sheet: ContextVar[StyleSheet] = ContextVar("sheet")  # of the page that is made
# Functions that templates use.
FILTERS = ("amount", "milliseconds", "percent", "reason", "rounded", "seconds", "signed", "size")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package. The page's policy allows its one style element and nothing else."""
    from automtl.report.glossary import Glossary

    sheet, mark = StyleSheet(), secrets.token_hex()  # which nobody can put into a name
    token = _sheet.set(sheet)
    try:
        page = _environment().get_template(template).render(values, colours=COLOURS, mark=mark, glossary=Glossary())
    finally:
        _sheet.reset(token)
    page = page.replace(f"/*{mark}*/", f"\n{sheet.text()}", 1)
    style = page.partition("<style>")[2].partition("</style>")[0]
    return page.replace(mark, content_policy(style), 1)


@cache
def _environment() -> Environment:
    """Make an environment that escapes and cleans all values but drawings, which are made of escaped text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return value if isinstance(value, Markup) else words.clean(value)

    environment = Environment(
        loader=PackageLoader("automtl.report"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {name: getattr(words, name) for name in FILTERS}
    environment.filters["drawing"] = lambda picture: Markup(picture.inline(_sheet.get()))
    environment.filters["term"] = pass_context(lambda page, text: page["glossary"].mark(text))
    environment.globals |= {"metric_names": words.METRIC_NAMES, "main_metric": words.main_metric}
    return environment
