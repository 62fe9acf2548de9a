"""Signed folders: whoever changes anything without the key is refused, by the folder's or the file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automtl.errors import FileError, SettingsError
from automtl.system import manifest as manifests
from automtl.system.manifest import COMPARISON, MANIFEST, MODEL, PREPARED, checksums
from automtl.system.signature import SIGNATURE, is_required, read_key, requiring, write_new_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_new_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def folder(tmp_path: Path, key: Path) -> Path:
    """A signed folder."""
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"weights")
    (folder / "inner" / "more.bin").write_bytes(b"more")
    MODEL.write(folder, {}, checksums(folder, ["weights.bin", "inner/more.bin"]))
    MODEL.sign(folder, read_key(key))
    return folder


def test_a_new_key_is_random_and_for_its_owner_alone(key: Path, tmp_path: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(read_key(key)) == 64
    with pytest.raises(FileError, match="a key is never overwritten"):
        write_new_key(key)
    write_new_key(tmp_path / "other")
    assert read_key(tmp_path / "other") != read_key(key)


@pytest.mark.parametrize(("content", "said"), [(b"short", "of 5 bytes; one of 32 to"), (b"x" * 100_000, "--new-key")])
def test_what_is_no_key_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        read_key(tmp_path / "key")
    with pytest.raises(SettingsError, match="check the path"):
        read_key(tmp_path / "nowhere")


def test_a_signed_folder_is_read_with_its_key_and_without_any(folder: Path, key: Path) -> None:
    assert not is_required()
    MODEL.verify(folder)
    with requiring(key):
        assert is_required()
        MODEL.verify(folder)
    assert not is_required()


def test_a_swapped_file_with_a_checksum_that_fits_is_refused(folder: Path, key: Path) -> None:
    (folder / "weights.bin").write_bytes(b"others!")
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"] |= checksums(folder, ["weights.bin"])
    (folder / MANIFEST).write_text(json.dumps(manifest))
    MODEL.verify(folder)
    with requiring(key), pytest.raises(FileError, match="model' is not signed by this key, or 'model' was changed"):
        MODEL.verify(folder)


def test_a_folder_without_a_signature_or_with_that_of_another_key_is_refused(
    folder: Path, key: Path, tmp_path: Path
) -> None:
    write_new_key(tmp_path / "other")
    with requiring(tmp_path / "other"), pytest.raises(FileError, match="not signed by this key"):
        MODEL.read(folder)
    for content in (b"", b"nothing", b"\xff" * 100_000, (folder / SIGNATURE).read_bytes() + b"x"):
        (folder / SIGNATURE).write_bytes(content)
        with requiring(key), pytest.raises(FileError, match="is not signed"):
            MODEL.read(folder)
    (folder / SIGNATURE).unlink()
    with requiring(key), pytest.raises(FileError, match="is not signed, and a signature was asked for"):
        MODEL.read(folder)


def test_nothing_is_parsed_before_the_signature_is_right(
    folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / MANIFEST).write_text("{}")
    monkeypatch.setattr(manifests, "parse_json", lambda *given: pytest.fail("parsed"))
    with requiring(key), pytest.raises(FileError, match="not signed by this key"):
        MODEL.verify(folder)


@pytest.mark.parametrize("name", ["refits.json", "inner/extra.json", "trees.0.safetensors"])
def test_files_beside_those_of_the_manifest_are_not_covered(name: str, folder: Path, key: Path) -> None:
    (folder / name).write_text("[]")
    MODEL.verify(folder)
    with requiring(key), pytest.raises(FileError, match=f"{name}' is not covered by the signature"):
        MODEL.verify(folder)
    with pytest.raises(FileError, match="not covered"):
        MODEL.sign(folder, read_key(key))


def test_links_are_not_covered(folder: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"weights")
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with requiring(key), pytest.raises(FileError, match="weights.bin' is not covered"):
        MODEL.verify(folder)


def test_a_damaged_folder_is_not_signed(folder: Path, key: Path) -> None:
    (folder / "weights.bin").write_bytes(b"damaged")
    with pytest.raises(FileError, match="weights.bin' was changed or damaged"):
        MODEL.sign(folder, read_key(key))


def test_a_comparison_must_be_signed_and_a_prepared_table_need_not(tmp_path: Path, key: Path) -> None:
    for name, kind in {"comparison": COMPARISON, "prepared": PREPARED}.items():
        (tmp_path / name).mkdir()
        kind.write(tmp_path / name, {})
    with requiring(key):
        PREPARED.read(tmp_path / "prepared")
        with pytest.raises(FileError, match="is not signed"):
            COMPARISON.read(tmp_path / "comparison")
