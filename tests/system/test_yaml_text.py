"""YAML of somebody else: it stays small, or is refused."""

from __future__ import annotations

import pytest
import yaml

from automtl.system.yaml_text import MOST_VALUES, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 262,144"), (f"[{'a, ' * MOST_VALUES}]", "more than 262,144"), ("a: &a [*a]", "holds it"),
        ("[" * 101 + "]" * 101, "nested too deep"),
        ("- " * 5000, "nested too deep"),
        ("[" * 100_000, "nested too deep"),
        ("a: 2001-99-99", "month"),
        ("!!python/object/apply:os.system [ls]", "python/object"), ("*nothing", "not there"),
    ],
)  # fmt: skip
def test_what_is_too_much_or_no_yaml_is_refused(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError, match=said):
        read_yaml(text)


def test_aliases_and_merges_that_stay_small_are_read() -> None:
    text = "base: &base {kind: categorical}\nfields: [{<<: *base, name: user}, *base]\n"
    assert read_yaml(text)["fields"] == [{"kind": "categorical", "name": "user"}, {"kind": "categorical"}]
    assert read_yaml("a: &a 1\nb: [*a, *a]") == {"a": 1, "b": [1, 1]}
