"""A saved model as one file of ONNX, from raw columns to scores, which is checked before it is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automtl._version import __version__
from automtl.ensemble.boosted_trees import BoostedTrees
from automtl.ensemble.ensemble import Ensemble
from automtl.errors import FileError, SettingsError
from automtl.features.encoder import Encoder
from automtl.features.layout import Layout
from automtl.predictor import Predictor
from automtl.serving.export.check import Agreement, check_inputs, check_scores
from automtl.serving.export.columns import ROWS, Columns, RawInput
from automtl.serving.export.features import Encoded, encoded, history_names
from automtl.serving.export.graph import Graph, require_onnx
from automtl.serving.export.network import CATEGORICAL, NUMERIC, Part, network_graph, parts_of, traced
from automtl.serving.export.scores import mixed, scores
from automtl.serving.export.trees import tree_logits
from automtl.system.files import require_place, write_whole
from automtl.system.manifest import MANIFEST, checksum

MOST_BYTES = 2**31 - 2**20  # of a file of ONNX, which is one message of protocol buffers


@dataclass(frozen=True)
class Exported:
    """The inputs of a written file, by name, its outputs, and how far its scores are from the predictor's."""

    inputs: tuple[RawInput, ...]
    outputs: tuple[str, ...]
    agreement: Agreement
    bytes: int

    @property
    def encoded(self) -> tuple[RawInput, ...]:
        """The inputs that are not raw columns, since ONNX cannot compute them."""
        return tuple(one for one in self.inputs if one.name != one.source or one.form in ("numbers", "events"))


def export_onnx(folder: Path | str, out: Path | str) -> Exported:
    """Write a saved model as a file of ONNX, after its scores of drawn rows were compared with the predictor's.

    Raises SettingsError for what ONNX cannot express, and FileError where the scores differ or the file is too large.
    """
    require_onnx()
    folder, out = Path(folder), Path(out)
    if out.suffix != ".onnx":
        raise FileError(f"'{out}': a model of ONNX is a file '.onnx'; choose another --out")
    require_place(out)
    predictor = Predictor.load(folder)
    model, columns = onnx_model(predictor, {"model_checksum": checksum(folder / MANIFEST)})
    content = serialized(model)
    check_inputs(serialized(encoder_model(predictor.encoder)[0]), predictor.encoder, columns)
    agreement = check_scores(content, predictor, columns)
    write_whole(out, content)
    outputs = tuple(one.name for one in model.graph.output)
    return Exported(tuple(columns.inputs.values()), outputs, agreement, len(content))


def onnx_model(predictor: Predictor, metadata: dict[str, str]) -> tuple[Any, Columns]:
    """Build the model of ONNX from raw columns to scores; `metadata` is added to its properties."""
    graph = Graph()
    columns = Columns(graph, predictor.encoder)
    logits = _logits(graph, predictor, encoded(columns))
    found = scores(graph, logits, predictor.schema.tasks)
    for name, value in found.items():
        if name in columns.inputs:
            raise SettingsError(f"task '{name}': an input has this name, too; rename the column of one of them")
        graph.output(name, value, np.float64, [ROWS])
    return graph.model(
        _properties(predictor, columns, tuple(found)) | metadata, "automtl: raw columns to scores"
    ), columns


def encoder_model(encoder: Encoder) -> tuple[Any, Columns]:
    """Build the model of ONNX from raw columns to encoded inputs: `categorical`, `numeric`, and `list.0` onwards."""
    graph = Graph()
    columns = Columns(graph, encoder)
    features = encoded(columns)
    graph.output(CATEGORICAL, features.categorical, np.int64, [ROWS, len(encoder.layout.categorical)])
    graph.output(NUMERIC, features.numeric, np.float32, [ROWS, encoder.layout.num_numeric])
    for place, name in enumerate(features.lists):
        graph.output(f"list.{place}", name, np.int64, [ROWS, f"length {place}"])
    return graph.model({}, "automtl: raw columns to encoded inputs"), columns


def scorer_model(predictor: Predictor) -> Any:
    """Build the model of ONNX from encoded inputs, named as `encoder_model` names its outputs, to scores."""
    graph, layout = Graph(), predictor.encoder.layout
    features = Encoded(
        graph.input(CATEGORICAL, np.int64, [ROWS, len(layout.categorical)], "ids"),
        graph.input(NUMERIC, np.float32, [ROWS, layout.num_numeric], "numbers"),
        tuple(
            graph.input(f"list.{place}", np.int64, [ROWS, f"length {place}"], "ids")
            for place in range(len(layout.lists))
        ),
    )
    for name, value in scores(graph, _logits(graph, predictor, features), predictor.schema.tasks).items():
        graph.output(name, value, np.float64, [ROWS])
    return graph.model({}, "automtl: encoded inputs to scores")


def _logits(graph: Graph, predictor: Predictor, features: Encoded) -> str:
    """Return the logits, (N, T), of the model or of the ensemble."""
    network, layout = predictor.network, predictor.encoder.layout
    parts = parts_of(network, layout)
    networks = [one for one in parts if not isinstance(one.model, BoostedTrees)]
    found = iter(_network_logits(graph, networks, layout, features) if networks else ())
    logits = [
        tree_logits(graph, one.model, features, one.numbers, one.lists)
        if isinstance(one.model, BoostedTrees)
        else next(found)
        for one in parts
    ]
    if not isinstance(network, Ensemble):
        return logits[0]
    return mixed(graph, logits, network.weights.numpy(), network.stages)


def _network_logits(graph: Graph, networks: list[Part], layout: Layout, features: Encoded) -> list[str]:
    """Return the logits, (N, T) each, of networks."""
    model = network_graph(traced(networks, layout))
    given = [one.name for one in model.graph.input]
    values = dict(zip(given, (features.categorical, features.numeric, *features.lists), strict=True))
    return graph.embed(model, "network/", values)


def serialized(model: Any) -> bytes:
    """Return the checked content of a file. Raises FileError where that is too large."""
    from onnx import checker

    if model.ByteSize() > MOST_BYTES:
        raise FileError(
            f"the model takes {model.ByteSize() / 2**30:.1f} GiB, a file of ONNX holds 2; export it with "
            "'--format torch', or fit with fewer known ids (encoder.max_ids)"
        )
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _properties(predictor: Predictor, columns: Columns, outputs: tuple[str, ...]) -> dict[str, str]:
    """Return what the file says of itself, as texts by name."""
    return {
        "automtl": __version__,
        "schema": predictor.schema.text(),
        "tasks": json.dumps(list(predictor.schema.task_names)),
        "inputs": json.dumps([asdict(one) for one in columns.inputs.values()]),
        "outputs": json.dumps(list(outputs)),
        "histories": json.dumps(history_names(predictor.encoder)),
    }
