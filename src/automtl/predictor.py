"""A predictor scores tables with a schema, encoder and network, which are saved in one folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cached_property, reduce
from itertools import chain
from operator import or_
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
import torch
from safetensors import numpy as safe_numpy
from safetensors import torch as safe_torch
from torch import nn

from automtl.dataset.prepared import PreparedFolder, is_prepared
from automtl.dataset.settings import DataLoaderSettings
from automtl.dataset.store import data_loader
from automtl.ensemble.ensemble import Ensemble, Member, trees_of
from automtl.ensemble.one_row import OneRow
from automtl.errors import AutomtlError, FileError, SettingsError, SpaceError
from automtl.features.batch import Batch
from automtl.features.column_selection import EVERY_GROUP, InputGroups
from automtl.features.coverage import Coverage
from automtl.features.encoder import Encoder
from automtl.features.gaps import Gap, find_gaps, require_known_keys, warn_of_gaps
from automtl.features.histories import Histories
from automtl.features.row_encoder import RowEncoder
from automtl.models.network import build
from automtl.models.registry import EVERY_MODEL, new_model
from automtl.models.settings import NetworkSettings
from automtl.nn.allocation_limit import AllocationLimit
from automtl.space import Architecture, SearchSpace
from automtl.system.files import folder_written_whole, json_bytes, read_json
from automtl.system.hardware import device_of
from automtl.system.manifest import MODEL, checksums
from automtl.system.progress import Callback, Progress, ignore
from automtl.system.signature import requiring, warn_unsigned
from automtl.system.trust import allowing, names_of_folder
from automtl.tables.schema import Schema, stage_names
from automtl.tables.table import read_table
from automtl.training.evaluation import predict_logits, scores_of
from automtl.training.metrics import (
    Scores,
    Undefined,
    Value,
    check_metrics,
    evaluate,
    evaluate_stages,
    mtl_loss,
    stage_scores,
)
from automtl.training.profile import Profile

Precision = Literal["full", "auto"]
PARTS = ("schema.yaml", "encoder.json", "encoder.safetensors", "architecture.json", "coverage.json")
WEIGHTS = "weights.safetensors"
PROFILE = "profile.json"
REASON = 300  # most characters of an error that is quoted, since torch's lists all weights


@dataclass(frozen=True)
class MemberSpec:
    """All that is needed to rebuild one model: its name or import path, sizes and, for 'automtl', the architecture.

    `name`: what it is called beside others.
    """

    name: str
    model: str
    network: NetworkSettings
    architecture: Architecture | None = None
    inputs: InputGroups = EVERY_GROUP

    def encoder(self, encoder: Encoder) -> Encoder:
        """Return the encoder of its inputs alone, which are the first numeric columns and lists of all."""
        return self.inputs.select(encoder)

    def build(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build a new model for its inputs. Raises SettingsError where it cannot be imported or made."""
        layout = self.encoder(encoder).layout
        if self.architecture is None:
            return new_model(self.model, layout, self.network, seed)
        if len(self.architecture.selection) != layout.num_tasks:
            raise SpaceError(
                f"the architecture is for {len(self.architecture.selection)} tasks, the schema has {layout.num_tasks}"
            )
        return build(SearchSpace.of(self.architecture), layout, self.network, seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values. Models have names by which a new process finds them."""
        architecture = None if self.architecture is None else self.architecture.to_dict()
        return asdict(self) | {
            "model": EVERY_MODEL.name_of(EVERY_MODEL.find(self.model)), "architecture": architecture,
        }  # fmt: skip

    @staticmethod
    def from_dict(values: dict[str, Any]) -> MemberSpec:
        """Read the values that `to_dict` returned. Raises an AutomtlError for a name that cannot be imported."""
        EVERY_MODEL.find(values["model"])
        found = values["architecture"]
        architecture = None if found is None else Architecture.from_dict(found)
        network, inputs = NetworkSettings(**values["network"]), InputGroups(**values["inputs"])
        if type(values["name"]) is not str or not all(type(one) is bool for one in astuple(inputs)):
            raise ValueError(f"the name or inputs of a member are {values['name']!r}, {inputs}"[:REASON])
        return MemberSpec(**values | {"network": network, "architecture": architecture, "inputs": inputs})

    @property
    def is_own_code(self) -> bool:
        """Tell whether the model, or an operation of it, is code of the user's, which may do as it likes."""
        made = () if self.architecture is None else chain.from_iterable(self.architecture.choices.values())
        return any(":" in str(one) for one in (self.model, *made))


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to rebuild a model, which is one alone or an ensemble of members."""

    members: tuple[MemberSpec, ...]

    @staticmethod
    def of(model: str, network: NetworkSettings, architecture: Architecture | None = None) -> ModelSpec:
        """Specify one model of all inputs, which bears the name of its kind."""
        return ModelSpec((MemberSpec(model, model, network, architecture),))

    @property
    def model(self) -> str:
        """The model by itself, or the first member's."""
        return self.members[0].model

    @property
    def architecture(self) -> Architecture | None:
        """The architecture of the first member that has one."""
        return next((member.architecture for member in self.members if member.architecture is not None), None)

    def encoder(self, encoder: Encoder) -> Encoder:
        """Return the encoder of the inputs that some member has."""
        return reduce(or_, (one.inputs for one in self.members)).select(encoder)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for `architecture.json`."""
        return {"members": [member.to_dict() for member in self.members]}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> ModelSpec:
        """Read the values that `to_dict` returned. Raises SpaceError for an operation that cannot be imported."""
        members = tuple(map(MemberSpec.from_dict, values["members"]))
        if not members:
            raise SpaceError("architecture.json names no model; fit again")
        return ModelSpec(members)

    def build_saved(self, encoder: Encoder, weights_bytes: int) -> nn.Module:
        """Build the model whose weights a file of so many bytes holds. Raises FileError where it is larger than that.

        Code of the user's may make what it likes.
        """
        with nullcontext() if self.is_own_code else AllocationLimit(weights_bytes):
            return self.build(encoder, 0)

    @property
    def is_own_code(self) -> bool:
        """Tell whether some member is code of the user's."""
        return any(member.is_own_code for member in self.members)

    def build(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build a new model. Raises SettingsError where a model cannot be imported or made."""
        models = [member.build(encoder, seed) for member in self.members]
        return models[0] if len(models) == 1 else self.joined(models, encoder)

    def joined(self, models: Sequence[nn.Module], encoder: Encoder) -> Ensemble:
        """Make an ensemble of the members' models."""
        layouts = (member.encoder(encoder).layout for member in self.members)
        names = (member.name for member in self.members)
        return Ensemble([Member(*one) for one in zip(names, models, layouts, strict=True)], encoder.schema.tasks)


@dataclass(frozen=True)
class Predictor:
    """Scores tables with a trained model.

    `precision`: of matrix products; 'auto' is bf16 where the machine has it. All else has full precision. `at_fit`: the
    coverage of the rows at fit, by part, with which that of other rows is compared. `profile`: how inputs and scores of
    the rows that were held out at fit are distributed; None of models that were not saved with one.

    >>> log = automtl.synthetic_log(rows=500, seed=0)
    >>> quick = {"model": "mmoe", "presets": [], "training": {"epochs": 1}}
    >>> run = automtl.fit_table(log, ["click"], settings=automtl.read_settings(None, quick), out="runs/predictor")
    >>> automtl.Predictor.load("runs/predictor").predict(log).equals(run.predictor.predict(log))
    True
    """

    schema: Schema
    encoder: Encoder
    spec: ModelSpec
    network: nn.Module
    precision: Precision = "full"
    at_fit: dict[str, Coverage] = field(default_factory=dict)
    profile: Profile | None = None

    def __post_init__(self) -> None:
        """Check the precision. Raises SettingsError."""
        if self.precision not in get_args(Precision):
            known = " and ".join(f"'{name}'" for name in get_args(Precision))
            raise SettingsError(f"precision '{self.precision}' is unknown; there are {known}")

    def __repr__(self) -> str:
        """Name the tasks and the models; the parts are long."""
        members = [member.name for member in self.spec.members]
        return f"Predictor(tasks={list(self.schema.task_names)}, models={members})"

    def predict(self, source: Any, *, history: Any = None, allow_unknown: bool = False) -> pl.DataFrame:
        """Score a table: one column for each task, in row order, of probabilities (binary) or values (regression).

        For a funnel, columns of CTR, CVR and CTCVR follow. `history`: a log, from which all histories come, point in
        time, so that past rows are scored as they would have been then; without it, histories continue the model's
        state, with the table's own earlier rows where it has labels. Warns of columns that were known at fit and are
        unknown or missing in most rows; raises EncodingError where no id of a key column is known, unless
        `allow_unknown` is set, and for rows older than the state.
        """
        table = read_table(source)
        batch = self.encode(table, history, labels=False)
        self.compare_coverage(table, batch, allow_unknown)
        return pl.DataFrame(self.columns(batch))

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], *, allow_unknown: bool = False) -> dict[str, np.ndarray]:
        """Score some rows, such as those of a request: the columns of `predict` by name, (B,) float64 each.

        Each row is a mapping from the names of columns to values of Python. Scores, warnings and errors are those of
        `predict` for these rows, in less time.

        >>> predictor = automtl.Predictor.load("runs/predictor")
        >>> rows = automtl.synthetic_log(rows=2, seed=0).to_dicts()
        >>> predictor.predict_rows(rows)["click"].tolist() == predictor.predict(rows)["click"].to_list()
        True
        """
        batch = self.encode_rows(rows)
        self.compare_coverage(rows, batch, allow_unknown)
        return self.columns(batch)

    def warm_up(self) -> None:
        """Do now what the first single rows would wait for; it takes seconds.

        Networks are traced for one row, which otherwise begins in another thread once 32 single rows were scored.
        """
        batch = self.encode_rows([dict.fromkeys(self.row_encoder.used)])
        if self._is_plain:
            self.one_row.trace(batch.features)

    @property
    def _is_plain(self) -> bool:
        """Tell whether the network runs as it stands: in full precision, on the processor, for prediction."""
        plain = self.precision == "full" and not self.network.training and not torch.is_autocast_enabled("cpu")
        return plain and device_of(self.network).type == "cpu"

    @cached_property
    def one_row(self) -> OneRow:
        """The network for single rows."""
        return OneRow(self.network)

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Encode rows for `predict_rows`; the batch counts missing and unknown values as its `coverage`."""
        return self.row_encoder.encode(rows)

    @cached_property
    def row_encoder(self) -> RowEncoder:
        """The encoder of `encode_rows`, which remembers what single values mean."""
        return RowEncoder(self.encoder)

    def with_histories(self, histories: Histories) -> Predictor:
        """Return the predictor with the same histories after other events; what it made for single rows stays."""
        encoder = replace(self.encoder, histories=histories)
        found = replace(self, encoder=encoder)
        found.__dict__.update(row_encoder=self.row_encoder.of(encoder), one_row=self.one_row)
        return found

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names of the columns of scores: the tasks, then the stages of a funnel."""
        return (*self.schema.task_names, *stage_names(self.schema.tasks))

    def columns(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of `predict` for encoded rows, (N,) each: tasks, then the stages of a funnel."""
        scores = self._scores_of_row(batch) if len(batch) == 1 and self._is_plain else self.scores(batch)
        tasks = {task.name: scores(index) for index, task in enumerate(self.schema.tasks)}
        return tasks | stage_scores(scores, self.schema.tasks)

    def encode(self, table: pl.DataFrame, history: Any = None, *, labels: bool = True) -> Batch:
        """Encode a table, with the histories that `predict` describes. Raises SettingsError where there are none."""
        if history is None:
            return self.encoder.encode(table, labels=labels)
        if self.encoder.histories is None:
            raise SettingsError("the model was fitted without histories; leave the log of histories out")
        known = self.encoder.histories.replayed(table, read_table(history), self.encoder.vocabularies)
        return self.encoder.encode(table, labels=labels, history=known)

    def coverage(self, source: Any, history: Any = None) -> Coverage:
        """Count the missing and unknown values of each field in a table."""
        return self.encode(read_table(source), history, labels=False).coverage or Coverage()

    def compare_coverage(self, source: Any, batch: Batch, allow_unknown: bool) -> tuple[Gap, ...]:
        """Warn of columns of new rows that are less known than at fit, and return them; see `predict` for errors."""
        coverage = batch.coverage or Coverage()
        gaps = find_gaps(self.schema, coverage, self.at_fit)
        if gaps and not allow_unknown:
            require_known_keys(gaps, self.encoder, coverage, read_table(source))
        warn_of_gaps(gaps)
        return gaps

    def _scores_of_row(self, batch: Batch) -> Scores:
        """Compute what `scores` does of one row, in less time."""
        with torch.inference_mode():
            return self._finite(scores_of(self.one_row(batch.features).float(), self.schema.tasks))

    def _finite(self, scores: Scores) -> Scores:
        """Return scores that raise FileError, with the task's name, where they are no finite numbers."""

        def checked(index: int) -> np.ndarray:
            found = scores(index)
            if not np.isfinite(found).all():
                raise FileError(
                    f"the model's scores of task '{self.schema.tasks[index].name}' are no finite numbers for some "
                    f"rows: its weights are damaged; {MODEL.remedy}"
                )
            return found

        return checked

    def evaluate(
        self, source: Any, *, history: Any = None, allow_unknown: bool = False, callback: Callback = ignore
    ) -> dict[str, Any]:
        """Return metrics by task and the MTL-Loss on a labelled table, or on the test rows of a prepared one.

        `history` is that of `predict`. Columns that `predict` warns of are listed as `gaps`. Raises FileError if the
        prepared table was encoded by another encoder, and EncodingError as `predict` does.
        """
        if is_prepared(source):
            folder = PreparedFolder.open(source)
            folder.require_encoder(self.encoder)
            with data_loader(DataLoaderSettings()) as loader:
                return self.evaluate_batch(folder.rows_of(self.encoder, "test", loader))
        callback(Progress("evaluating: reading the table", 0, 3))
        table = read_table(source)
        callback(Progress("evaluating: encoding", 1, 3))
        batch = self.encode(table, history)
        gaps = [asdict(gap) for gap in self.compare_coverage(table, batch, allow_unknown)]
        callback(Progress("evaluating: scoring", 2, 3))
        return self.evaluate_batch(batch) | ({"gaps": gaps} if gaps else {})

    def scores(self, batch: Batch) -> Scores:
        """Compute probabilities or values of encoded rows; they raise FileError where they are not finite."""
        return self._finite(scores_of(predict_logits(self.network, batch, self.precision), self.schema.tasks))

    def evaluate_batch(self, batch: Batch, scores: Scores | None = None) -> dict[str, Any]:
        """Return metrics on encoded rows, like `evaluate`. `scores`: those of the rows, if they are known."""
        scores, tasks = scores or self.scores(batch), self.schema.tasks
        found = evaluate(scores, batch, tasks)
        metrics = {"tasks": _plain_tasks(found), "mtl_loss": plain(mtl_loss(found, tasks))}
        stages = evaluate_stages(scores, batch, tasks)
        return metrics | {"funnel": _plain_tasks(stages)} if stages else metrics

    def profiled(self, train: Batch, held_out: Sequence[Batch], scores: Sequence[Scores] | None = None) -> Predictor:
        """Return the predictor with the profile of held-out rows; `scores`: those of the rows, if they are known."""
        layout = self.encoder.layout
        rows = [one.for_layout(layout) for one in held_out]
        known = scores or [self.scores(one) for one in rows]
        found = Profile.fit(self.encoder, train.for_layout(layout), list(zip(rows, known, strict=True)))
        return replace(self, profile=found)

    def save(
        self,
        folder: Path | str,
        extras: dict[str, Any] | None = None,
        *,
        overwrite: bool = False,
        texts: dict[str, str] | None = None,
    ) -> None:
        """Write the folder completely or not at all. `extras`: values of JSON files; `texts`: texts of files, by name.

        Raises FileError if the folder is not empty, unless `overwrite` is set and it holds a saved model. Warns where
        that was signed.
        """
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
        folder = Path(folder)
        MODEL.require_free(folder, overwrite)
        warn_unsigned(folder, folder)
        with folder_written_whole(folder, overwrite=overwrite) as fresh:
            for name, content in files.items():
                (fresh / name).write_bytes(content)
            MODEL.write(fresh, {}, checksums(fresh, files))

    @staticmethod
    def load(
        folder: Path | str,
        precision: Precision = "full",
        *,
        allow: Collection[str] = (),
        key: Path | str | None = None,
    ) -> Predictor:
        """Read and verify a folder, which is data: it imports no code but that of the packages in `allow`.

        `key`: a key file, by which the folder must be signed (`automtl sign`). Raises FileError that says what is wrong
        with the folder, SettingsError for `precision` or a file that holds no key.
        """
        with allowing(allow), requiring(key), names_of_folder():
            return Predictor._read(Path(folder), precision)

    @staticmethod
    def _read(folder: Path, precision: Precision) -> Predictor:
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
        return Predictor(schema, encoder, spec, network.eval(), precision, at_fit, profile)


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


def _plain_tasks(found: dict[str, dict[str, Value]]) -> dict[str, Any]:
    return {task: {name: plain(value) for name, value in values.items()} for task, values in found.items()}


def plain(value: Value) -> float | dict[str, str]:
    """Return a metric as a plain value: a number, or why it is undefined."""
    return {"undefined": value.reason} if isinstance(value, Undefined) else value


def read_part(folder: Path | str, name: str) -> Any:
    """Read one of the folder's JSON files. Raises FileError."""
    return read_json(Path(folder) / f"{name}.json", MODEL.remedy)
