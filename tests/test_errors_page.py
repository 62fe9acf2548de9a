"""The page of errors: it has every message of the source, and the record of tests tells which were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from automtl.errors import AutomtlError, RowError, SchemaError
from automtl.tables.schema import Condition
from errors import PAGE, Site, notes, row_of, sites, unreached, written
from tests.recorded_errors import record_errors


@pytest.fixture(scope="module")
def places() -> list[Site]:
    return sites()


def test_the_page_has_every_message_of_the_source(places: list[Site]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(places, notes(page)), "run: python tools/errors.py"
    assert len(places) > 300


def test_every_message_has_a_remedy_or_a_note_beside_it(places: list[Site]) -> None:
    known = notes(PAGE.read_text(encoding="utf-8"))
    bare = {one.message for one in places if "; " not in one.message.replace("{; did you mean ...?}", "")}
    assert not [message for message in bare if not known.get(row_of(message), "").strip()]


def test_what_is_written_beside_a_message_stays(places: list[Site]) -> None:
    known = {row_of(places[0].message): "Mine."}
    assert notes(written(places, known))[row_of(places[0].message)] == "Mine."


def test_a_record_tells_which_messages_no_test_made(
    places: list[Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AutomtlError, "__init__", AutomtlError.__init__)  # to be restored
    record_errors(tmp_path / "record")
    for _ in range(2):
        with pytest.raises(SchemaError):
            Condition.parse("click")
    assert str(RowError(0, "a", "b").at(Path("x"), 1)) == "'x', row 1: a; correct the row or leave it out"
    lines = (tmp_path / "record").read_text()
    assert len(lines.splitlines()) == 3
    reached = {site.message for site in places} - {site.message for site in unreached(places, lines)}
    assert reached == {
        "condition '{text}': expected 'column operator value', for instance 'click = 1'",
        "'{file}', row {first}: {what}; correct the row or leave it out",
    }
