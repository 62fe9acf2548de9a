"""A prepared table: encoded rows of its three parts and the encoder that made them, in one folder (docs/prepare.md).

`manifest.json`, written last, says how the rows were made and holds the checksums of the small files; each part has a
manifest of its own with the checksums of its arrays. No file holds a time or a path: equal rows make equal folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors import numpy as safe_numpy

from automtl.dataset.store import DataLoader, Store, with_buffer
from automtl.dataset.stored import PARTS, SMALL, STORES, fetched
from automtl.errors import AutomtlError, FileError
from automtl.features.batch import Batch
from automtl.features.column_selection import select_inputs, select_task_rows
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.settings import EncoderSettings
from automtl.system.address import is_address, joined, shown, without_file
from automtl.system.arrays import write_arrays
from automtl.system.files import folder_written_whole, json_bytes, move_whole, require_free, write_whole, written_whole
from automtl.system.manifest import MANIFEST, PREPARED, ROWS, checksum, checksums
from automtl.tables.quality import Finding
from automtl.tables.reading.paths import names_files
from automtl.tables.schema import Schema
from automtl.tables.split import SplitSettings


@dataclass(frozen=True)
class Origin:
    """The origin of the rows: `source` in plain values (names and sizes of files, no folders, no times).

    `seed` decided the split, the folds of target encoding and the sampled negatives. A split column overrules `split`.
    """

    source: dict[str, Any]
    split: SplitSettings
    seed: int


@dataclass(frozen=True)
class PreparedFolder:
    """A complete folder; its small files have been verified. `report`: plain values about the preparation.

    `place`: where it is, as messages have it: a path, or the address from which it was fetched into `folder`.

    Training rows are ready for training: target encoding out of fold, negatives sampled where the schema says so.
    `digest` depends on every byte of the folder.
    """

    folder: Path
    encoder: Encoder
    stores: dict[str, Store]
    origin: Origin
    report: dict[str, Any]
    digest: str
    place: str

    @staticmethod
    def open(folder: Path | str) -> PreparedFolder:
        """Open a folder, which is fetched if it is an address.

        Raises FileError that names a file that is missing, changed or of another kind or version, and StorageError.
        """
        place = shown(str(folder)) if is_address(folder) else str(without_file(folder))
        folder = fetched(str(folder)) if is_address(folder) else Path(place)
        manifest = PREPARED.verify(folder, (*SMALL, *STORES))
        digest = checksum(folder / MANIFEST)
        try:
            schema = Schema.read(folder / "schema.yaml")
            values, report = (json.loads((folder / name).read_bytes()) for name in ("encoder.json", "report.json"))
            encoder = Encoder.from_state(schema, values, safe_numpy.load_file(folder / "encoder.safetensors"))
            TypeAdapter(tuple[Finding, ...]).validate_python(report.get("findings", ()))
            origin = Origin(manifest["source"], SplitSettings(**manifest["split"]), manifest["seed"])
        except (KeyError, TypeError, ValueError, AttributeError, OSError, SafetensorError, AutomtlError) as error:
            raise FileError(f"'{folder}' is damaged ({str(error).splitlines()[0]}); prepare the table again") from None
        stores = {part: Store.open(folder / part) for part in PARTS}
        _require_layout(stores, encoder)
        return PreparedFolder(folder, encoder, stores, origin, report, digest, place)

    @property
    def schema(self) -> Schema:
        """The schema, which says what the columns mean."""
        return self.encoder.schema

    @property
    def num_rows(self) -> dict[str, int]:
        """The number of rows of each part."""
        return {part: store.num_rows for part, store in self.stores.items()}

    @cached_property
    def coverage(self) -> dict[str, Coverage]:
        """The coverage of the rows of each part; empty where it was not counted."""
        return {part: Coverage.from_dict(values) for part, values in self.report.get("coverage", {}).items()}

    def rows(self, part: str, memory_bytes: int | None = None, settings: EncoderSettings | None = None) -> Batch:
        """Map the rows of 'train', 'valid' or 'test' into memory: they are read when they are used.

        If they are larger than `memory_bytes`, they are shuffled by blocks. Where the `settings` leave out target
        encodings or histories, the rows are views without their columns.
        """
        rows = replace(self.stores[part].rows(), coverage=self.coverage.get(part))
        layout = select_inputs(self.encoder, self.schema, settings or self.encoder.settings).layout
        return with_buffer(rows.for_layout(layout), memory_bytes)

    def rows_of(self, encoder: Encoder, part: str, loader: DataLoader) -> Batch:
        """Return rows as `encoder` encodes them, which `select_inputs` has made from the encoder of this folder.

        They are mapped if it has all tasks; else labels and target encodings are copied, by the loader.
        """
        rows = self.rows(part, loader.settings.budget_bytes, encoder.settings)
        if encoder.schema.task_names == self.schema.task_names:
            return rows
        whole = select_inputs(self.encoder, self.schema, encoder.settings)
        return loader.hold(rows, encoder.layout, lambda some: select_task_rows(some, whole, encoder.schema))

    def require_encoder(self, encoder: Encoder) -> None:
        """Raise FileError unless `encoder` is the encoder of this folder, perhaps with fewer inputs or tasks."""
        names = set(self.schema.task_names)
        if names.issuperset(encoder.schema.task_names):
            schema = replace(self.schema.of_tasks(encoder.schema.task_names), funnel=())
            own = select_inputs(self.encoder, schema, encoder.settings)
            if _state(own) == _state(encoder):
                return
        raise FileError(
            f"the rows of '{self.place}' were encoded by another encoder than the model's; "
            "give the table itself, or a model that was fitted on this folder"
        )

    def verify(self) -> None:
        """Read every file. Raises FileError that names a file whose content is not what was written."""
        for store in self.stores.values():
            store.verify()


def is_prepared(path: Any) -> bool:
    """Tell whether a path or address is that of a prepared table, complete or not. Raises StorageError."""
    path = without_file(path)
    if is_address(path):
        return not names_files(path) and (PREPARED.matches(path) or ROWS.matches(joined(path, PARTS[0])))
    if not isinstance(path, str | Path):
        return False
    return PREPARED.matches(path) or any(ROWS.matches(Path(path) / part) for part in PARTS)


def write_prepared(
    folder: Path | str, encoder: Encoder, parts: Mapping[str, Iterable[Batch]], origin: Origin, report: dict[str, Any]
) -> PreparedFolder:
    """Write the rows of 'train', 'valid' and 'test', a batch at a time; the folder appears whole or not at all.

    Raises FileError if the folder exists or cannot be written. What `parts` raise passes through.
    """
    folder = Path(folder)
    with folder_written_whole(folder) as fresh:
        for part in PARTS:
            Store.write(fresh / part, parts[part], encoder.layout)
        _write_small(fresh, encoder, origin, report)
    return PreparedFolder.open(folder)


def finish_prepared(
    working: Path, folder: Path, encoder: Encoder, origin: Origin, report: dict[str, Any], *, overwrite: bool = False
) -> PreparedFolder:
    """Turn a working folder that holds just the stores 'train', 'valid' and 'test' into a prepared table.

    It writes the other files (those of the encoder only if `write_encoder` has not), the manifest last, and renames the
    folder to `folder`, on the same file system. A killed call may be repeated. Raises FileError if `folder` exists, a
    part has no rows, or nothing can be written.
    """
    require_free(folder, overwrite)
    _write_small(working, encoder, origin, report)
    move_whole(working, folder, overwrite=overwrite)
    stores, plain = {part: Store.open(folder / part) for part in PARTS}, json.loads(json_bytes(report))
    return PreparedFolder(folder, encoder, stores, origin, plain, checksum(folder / MANIFEST), str(folder))


def write_encoder(folder: Path, encoder: Encoder) -> None:
    """Write the files of the encoder, each of them whole, unless they are there."""
    names = ("encoder.json", "encoder.safetensors")
    if all((folder / name).is_file() for name in names):
        return
    values, arrays = encoder.to_state()
    write_whole(folder / names[0], json_bytes(values))
    with written_whole(folder / names[1]) as part:
        write_arrays(part, arrays)


def _write_small(folder: Path, encoder: Encoder, origin: Origin, report: dict[str, Any]) -> None:
    """Write all files but the rows, the manifest last."""
    stores = {part: Store.open(folder / part) for part in PARTS}
    _require_layout(stores, encoder)
    for part, store in stores.items():
        if store.num_rows == 0:
            raise FileError(f"the split leaves no {part} rows; use a larger table or other shares")
    write_encoder(folder, encoder)
    schema = encoder.schema
    shares = [schema.negative_share, *(task.negative_share for task in schema.tasks)]
    write_whole(folder / "schema.yaml", schema.text())
    write_whole(folder / "report.json", json_bytes(report))
    values = {
        "rows": {part: store.num_rows for part, store in stores.items()},
        "source": origin.source,
        "split": asdict(origin.split),
        "split_column": schema.split,
        "seed": origin.seed,
        "encoder": asdict(encoder.settings),
        "negatives_sampled": any(share is not None for share in shares),
    }
    PREPARED.write(folder, values, checksums(folder, (*SMALL, *STORES)))


def _state(encoder: Encoder) -> tuple[str, dict[str, bytes]]:
    values, arrays = encoder.to_state()
    return json.dumps(values), {name: array.tobytes() for name, array in arrays.items()}


def _require_layout(stores: dict[str, Store], encoder: Encoder) -> None:
    for store in stores.values():
        if store.layout != encoder.layout:
            raise FileError(f"'{store.folder}' was written by another encoder; prepare the table again")
