"""Members are found by a short name or an import path, and a mistake says what to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from automtl.errors import AutomtlError, SettingsError
from automtl.system.registry import Registry, instance_of, subclass_of

ERRORS: Registry[type] = Registry(
    "error",
    {"settings": "automtl.errors:SettingsError", "family": "automtl.errors:AutomtlError"},
    subclass_of("automtl.errors:AutomtlError"),
    "a subclass of AutomtlError",
    SettingsError,
)
FAULTY = "value = 1\nraise ZeroDivisionError('by zero')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a user's modules, which is not searched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_errors.py").write_text("from automtl.errors import AutomtlError\nclass Own(AutomtlError): ...\n")
    (tmp_path / "their_faulty.py").write_text(FAULTY)
    (tmp_path / "their_needy.py").write_text("import nowhere_to_be_found\n")
    yield tmp_path  # type: ignore[misc]
    for name in ("their_errors", "their_faulty", "their_needy"):
        sys.modules.pop(name, None)


def test_a_member_is_found_by_either_name_and_named_again() -> None:
    assert ERRORS.find("settings") is ERRORS.find("automtl.errors:SettingsError") is SettingsError
    assert ERRORS.name_of(SettingsError) == "settings"
    assert ERRORS.name_of(ERRORS.find("automtl.errors:TableError")) == "automtl.errors:TableError"
    assert list(ERRORS) == list(ERRORS.members()) == ["settings", "family"]
    assert ERRORS.choices == 'settings, family, or "package.module:Name" for one of your own'


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("setings", "error 'setings' is unknown; did you mean 'settings'\\?; known: settings, family, or \"package"),
        ("nowhere_to_be_found:Own", "No module named .*; install the package, or put its folder on PYTHONPATH"),
        ("automtl.errors:Own", "has no attribute 'Own'; correct the path or the module"),
        ("automtl.nowhere:Own", "No module named 'automtl.nowhere'; correct the path or the module"),
        (":Own", "cannot be imported"),
        ("pathlib:Path", "error 'pathlib:Path' is not a subclass of AutomtlError"),
        ("their_errors:Own", "the working directory is only searched if you say so: PYTHONPATH=. automtl"),
    ],
)
def test_a_mistake_names_the_member_and_the_remedy(name: str, message: str, here: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        ERRORS.find(name)


def test_a_module_on_the_path_is_found_and_its_faults_are_told_by_file_and_line(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    assert issubclass(ERRORS.find("their_errors:Own"), AutomtlError)
    with pytest.raises(SettingsError, match=r"ZeroDivisionError: by zero \('.*their_faulty\.py', line 2\); correct"):
        ERRORS.find("their_faulty:Own")
    with pytest.raises(SettingsError, match="No module named 'nowhere_to_be_found'; correct the path or the module"):
        ERRORS.find("their_needy:Own")


def test_a_member_that_needs_an_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needy = replace(ERRORS, aliases={"own": "automtl.nowhere:Own"}, extras={"own": "tensorboard"})
    with pytest.raises(SettingsError, match=r"error 'own' cannot .*; pip install 'automtl\[tensorboard\]'"):
        needy.find("own")


def test_what_is_accepted_is_asked_of_a_class_that_is_imported_then() -> None:
    assert instance_of("pathlib:Path")(Path()) and not instance_of("pathlib:Path")(Path)
    assert subclass_of("pathlib:PurePath")(Path) and not subclass_of("pathlib:PurePath")(Path())
