"""YAML texts of bounded size become plain values; a text may come from somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

MOST_VALUES = 1 << 18  # names and values, with those that aliases stand for
DEEPEST = 100  # levels of lists and mappings
TOO_DEEP = "it is nested too deep"


def read_yaml(text: str) -> Any:
    """Read a YAML text. Raises YAMLError where it is none, is nested too deeply, or stands for too many values.

    >>> from automtl.system.yaml_text import read_yaml
    >>> read_yaml("tasks: [{name: click}]")
    {'tasks': [{'name': 'click'}]}
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, it takes an eighth of the time
    try:
        _require_small(yaml.parse(text, loader))
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        deep = "depth" in str(getattr(error, "problem", None) or getattr(error, "context", ""))
        raise (yaml.YAMLError(TOO_DEEP) if deep else error) from None
    except (ValueError, OverflowError, RecursionError, AttributeError) as error:  # of a date or number that is none
        raise yaml.YAMLError(str(error) or type(error).__name__) from None


def _require_small(events: Iterable[Any]) -> None:
    """Count values before any of them is made, an alias as all that it stands for, and levels. Raises YAMLError."""
    count, sizes = 0, dict[str, int]()
    open_: list[tuple[str | None, int]] = []  # the anchors of what is open, and the count before
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise yaml.YAMLError(f"'*{event.anchor}' stands for something that holds it, or that is not there")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_) == DEEPEST:
                raise yaml.YAMLError(TOO_DEEP)
            open_.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        if count > MOST_VALUES:
            raise yaml.YAMLError(f"it holds more than {MOST_VALUES:,} names and values")
