"""A manifest tells one kind of folder from another, and damage by the name of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from automtl.errors import FileError
from automtl.system.manifest import KINDS, MANIFEST, FolderKind, checksums, kind_of

EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture
def folder(kind: FolderKind, tmp_path: Path) -> Path:
    (tmp_path / "rows.bin").write_bytes(b"content")
    kind.write(tmp_path, {"rows": 3}, checksums(tmp_path, ["rows.bin"]))
    return tmp_path


def change(folder: Path, **values: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@EVERY
def test_a_manifest_gives_back_its_values_and_is_of_its_kind_alone(kind: FolderKind, folder: Path) -> None:
    assert kind.verify(folder, ["rows.bin"])["rows"] == 3
    assert [other for other in KINDS if other.matches(folder)] == [kind]
    for other in KINDS:
        if other is not kind:
            with pytest.raises(FileError, match=f"is a {kind.name}; expected a {other.name}"):
                other.read(folder)


@EVERY
def test_another_format_is_refused_with_the_version_that_reads_it(kind: FolderKind, folder: Path) -> None:
    change(folder, format=99)
    with pytest.raises(FileError, match=f"has format 99, .* reads {kind.format}; {kind.remedy}"):
        kind.read(folder)
    change(folder, automtl="9.9")
    with pytest.raises(FileError, match=f"use automtl 9.9 or {kind.remedy}"):
        kind.read(folder)


@EVERY
def test_another_byte_order_is_refused_where_it_matters(kind: FolderKind, folder: Path) -> None:
    change(folder, byte_order="middle")
    if kind.native:
        with pytest.raises(FileError, match="another byte order"):
            kind.read(folder)
    else:
        kind.read(folder)


@EVERY
def test_damaged_files_are_named(kind: FolderKind, folder: Path) -> None:
    (folder / "rows.bin").write_bytes(b"contenT")
    with pytest.raises(FileError, match=rf"rows\.bin' was changed or damaged .*{kind.remedy}"):
        kind.verify(folder)
    (folder / "rows.bin").unlink()
    with pytest.raises(FileError, match=rf"rows\.bin' is missing; restore it or {kind.remedy}"):
        kind.verify(folder)


@pytest.mark.parametrize("kind", KINDS[:1])
@pytest.mark.parametrize("files", [[], {}, {"../rows.bin": "0"}, {"/etc/passwd": "0", "rows.bin": "0"}])
def test_a_list_of_files_that_is_wrong_or_leads_out_of_the_folder_is_refused(
    kind: FolderKind, folder: Path, files: Any
) -> None:
    change(folder, files=files)
    with pytest.raises(FileError, match=r"is damaged \(its list of files\)"):
        kind.verify(folder, ["rows.bin"])


@pytest.mark.parametrize("kind", KINDS[:1])
def test_what_is_no_folder_of_the_kind_is_told_and_never_overwritten(kind: FolderKind, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist; check the path"):
        kind.read(tmp_path / "nowhere")
    (tmp_path / ".gone.replaced").mkdir()
    with pytest.raises(FileError, match="an interrupted overwrite left it as '.*gone.replaced', move it back"):
        kind.read(tmp_path / "gone")
    with pytest.raises(FileError, match=f"has no {MANIFEST}; it is no {kind.name}, or writing it was interrupted"):
        kind.read(tmp_path)
    with pytest.raises(FileError, match=f"holds no {kind.name}, it is not overwritten"):
        kind.require_free(tmp_path, overwrite=True)
    for text in ("{", "[]", '{"kind": "else"}', '{"kind": ["list"]}'):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(FileError, match="cannot be read" if text == "{" else "is not written by automtl"):
            kind.read(tmp_path)
        assert kind_of(tmp_path) not in [one.name for one in KINDS]
    with pytest.raises(FileError, match="not empty"):
        kind.require_free(tmp_path, overwrite=False)


@pytest.mark.parametrize("kind", KINDS[:1])
def test_a_file_without_permission_is_named(kind: FolderKind, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("automtl.system.manifest.checksum", refused)
    with pytest.raises(FileError, match=r"rows.bin' cannot be read: Permission denied; see to its permission"):
        kind.verify(folder)
