"""A saved model: one folder of checked files that hold data alone, and how it is written, read and rewritten."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import numpy as safe_numpy
from safetensors import torch as safe_torch
from torch import nn

from automtl.ensemble.ensemble import trees_of
from automtl.ensemble.spec import REASON, ModelSpec
from automtl.errors import AutomtlError, FileError
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.system.files import folder_written_whole, json_bytes, read_json
from automtl.system.manifest import MODEL, checksums
from automtl.system.signature import warn_unsigned
from automtl.tables.schema import Schema
from automtl.training.metrics import check_metrics
from automtl.training.profile import Profile

PARTS = ("schema.yaml", "encoder.json", "encoder.safetensors", "architecture.json", "coverage.json")
WEIGHTS = "weights.safetensors"
PROFILE = "profile.json"


@dataclass(frozen=True)
class SavedModel:
    """The content of a saved model's folder.

    `at_fit`: the coverage of the rows at fit, by part. `profile`: of rows that were held out at fit, if it is known.
    """

    schema: Schema
    encoder: Encoder
    spec: ModelSpec
    network: nn.Module
    at_fit: dict[str, Coverage] = field(default_factory=dict)
    profile: Profile | None = None

    def write(
        self,
        folder: Path,
        extras: Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Write the folder completely or not at all; see `Predictor.save`."""
        values, arrays = self.encoder.to_state()
        files = {
            "schema.yaml": self.schema.text().encode(),
            "encoder.json": json_bytes(values),
            "encoder.safetensors": safe_numpy.save(arrays),
            "architecture.json": json_bytes(self.spec.to_dict()),
            "coverage.json": json_bytes({part: one.to_dict() for part, one in self.at_fit.items()}),
            **({} if self.profile is None else {PROFILE: json_bytes(self.profile.to_dict(), compact=True)}),
            **_learned(self.network),
            **{f"{name}.json": json_bytes(content) for name, content in (extras or {}).items()},
            **{name: text.encode() for name, text in (texts or {}).items()},
        }
        MODEL.require_free(folder, overwrite)
        warn_unsigned(folder, folder)
        with folder_written_whole(folder, overwrite=overwrite) as fresh:
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            MODEL.write(fresh, {}, checksums(fresh, files))

    @staticmethod
    def read(folder: Path) -> SavedModel:
        """Read and verify a folder. Raises FileError that says what is wrong with it."""
        manifest = MODEL.verify(folder, PARTS)
        foreign = f"it was written by automtl {manifest.get('automtl')}; use that one, or fit again"
        with _naming(folder, "schema.yaml", foreign):
            schema = Schema.read(folder / "schema.yaml").with_scales()
            check_metrics(schema.tasks)
        with _naming(folder, "encoder.json", foreign):
            arrays = safe_numpy.load_file(folder / "encoder.safetensors")
            encoder = Encoder.from_state(schema, read_part(folder, "encoder"), arrays)
        with _naming(folder, "architecture.json", foreign):
            spec = ModelSpec.from_dict(read_part(folder, "architecture"))
            network = spec.build_saved(encoder, _size(folder / WEIGHTS))
        with _naming(folder, "coverage.json", foreign):
            at_fit = {part: Coverage.from_dict(counts) for part, counts in read_part(folder, "coverage").items()}
        profile = None
        if PROFILE in manifest["files"]:
            with _naming(folder, PROFILE, foreign):
                profile = Profile.from_dict(read_part(folder, "profile"))
                profile.require_fit(encoder, schema.tasks)
        with _naming(folder, WEIGHTS, f"has the code of model '{spec.model}' changed? restore it, or fit again"):
            _restore(network, folder, manifest["files"])
            if not spec.is_own_code:
                _require_finite(network)
        return SavedModel(schema, encoder, spec, network.eval(), at_fit, profile)


def rewrite_encoder(folder: Path, encoder: Encoder, out: Path) -> None:
    """Write a saved model again with another encoder of the same inputs; `out` may be the folder itself.

    Raises FileError if `out` is another folder that is not empty.
    """
    names = MODEL.verify(folder, PARTS)["files"]
    warn_unsigned(folder, out)
    values, arrays = encoder.to_state()
    changed = {"encoder.json": json_bytes(values), "encoder.safetensors": safe_numpy.save(arrays)}
    same = out.resolve() == folder.resolve()
    if not same and out.is_dir() and any(out.iterdir()):
        raise FileError(f"'{out}' exists and is not empty; choose another --out, or none to change the model itself")
    MODEL.require_free(out, overwrite=same)
    with folder_written_whole(out, overwrite=same) as fresh:
        for name in names:
            (fresh / name).write_bytes(changed.get(name) or (folder / name).read_bytes())
        MODEL.write(fresh, {}, checksums(fresh, names))


@contextmanager
def _naming(folder: Path, part: str, remedy: str) -> Iterator[None]:
    """Turn any error of the block into a FileError that names the folder, its part and the remedy."""
    try:
        yield
    except AutomtlError as error:  # a missing package, model or operation: the message has its own remedy
        raise FileError(f"saved model '{folder}' cannot be loaded: {error}") from None
    except Exception as error:  # a user's own model may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:REASON]
        raise FileError(f"saved model '{folder}' cannot be loaded: {part} does not fit ({reason}); {remedy}") from None


def _learned(network: nn.Module) -> dict[str, bytes]:
    """Return the files that hold the parameters and trees of a model, by name."""
    weights = network.state_dict()
    files = {f"trees.{place}.safetensors": trees.to_bytes() for place, trees in enumerate(trees_of(network))}
    if weights:
        files[WEIGHTS] = safe_torch.save({name: value.contiguous() for name, value in weights.items()})
    return files


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _restore(network: nn.Module, folder: Path, listed: Collection[str]) -> None:
    """Load the files that `_learned` made into a model. `listed`: the names of files whose checksums fit."""
    for place, trees in enumerate(trees_of(network)):
        with _blaming(f"trees.{place}.safetensors") as name:
            _require_listed(name, listed)
            trees.restore((folder / name).read_bytes())
    if network.state_dict():
        _require_listed(WEIGHTS, listed)
        network.load_state_dict(safe_torch.load_file(folder / WEIGHTS))


def _require_listed(name: str, listed: Collection[str]) -> None:
    if name not in listed:
        raise FileError(f"'{name}' is not among the files of its manifest")


def _require_finite(network: nn.Module) -> None:
    """Raise FileError that names weights which are not finite numbers."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
            raise FileError(f"'{WEIGHTS}': '{name}' holds values that are no finite numbers; {MODEL.remedy}")


@contextmanager
def _blaming(name: str) -> Iterator[str]:
    """Name the file that an error of the block is about."""
    try:
        yield name
    except FileError as error:
        raise FileError(f"'{name}' cannot be used: {error}; {MODEL.remedy}") from None


def read_part(folder: Path | str, name: str) -> Any:
    """Read one of the folder's JSON files. Raises FileError."""
    return read_json(Path(folder) / f"{name}.json", MODEL.remedy)
