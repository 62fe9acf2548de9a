"""A graph of ONNX operators, built one operator at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from automtl.errors import SettingsError

OPSET, ML_OPSET, IR_VERSION = 20, 5, 10  # ONNX 1.16 and later: texts are split, trees split by sets of values
ML = "ai.onnx.ml"
ONNX_MISSING = "ONNX cannot be loaded; run: pip install 'automtl[onnx]'"


def require_onnx() -> None:
    """Raise SettingsError where a package of ONNX is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise SettingsError(ONNX_MISSING) from None


class Graph:
    """Operators, constants, inputs and outputs of a model; each value is known by its name.

    Values inside have names of an operator, a slash and a number.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.inputs: dict[str, Any] = {}
        self.outputs: list[Any] = []
        self.known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.count = 0

    def inner(self, what: str) -> str:
        """Return a new name of a value."""
        self.count += 1
        return f"{what}/{self.count}"

    def op(self, kind: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        """Add an operator, and return the name of its first output."""
        from onnx import helper

        name = self.inner(kind)
        names = [name, *(f"{name}.{place}" for place in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, domain=domain, **attributes))
        return name

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant, once for equal ones; texts are arrays of objects."""
        from onnx import numpy_helper

        array = np.asarray(values, dtype)
        if array.dtype.kind == "U":
            array = array.astype(object)
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        key = (str(array.dtype), array.shape, content)
        if key not in self.known:
            self.known[key] = name = self.inner("constant")
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return self.known[key]

    def input(self, name: str, dtype: Any, shape: Sequence[str | int], meaning: str) -> str:
        """Add an input, once for each name; `dtype` is numpy's, `object` for texts."""
        from onnx import helper

        if name not in self.inputs:
            self.inputs[name] = helper.make_tensor_value_info(name, _type(dtype), list(shape), meaning)
        return name

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[str | int]) -> None:
        """Make a value an output of the model."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name], name=self.inner("output")))
        self.outputs.append(helper.make_tensor_value_info(name, _type(dtype), list(shape)))

    def cast(self, value: str, dtype: Any) -> str:
        """Cast to a type of numpy."""
        return self.op("Cast", value, to=_type(dtype))

    def mapped(self, value: str, keys: Any, values: np.ndarray, default: int) -> str:
        """Map whole numbers, floats or texts to whole numbers, and all that are no keys to `default`."""
        from onnx import numpy_helper

        keys = np.asarray(keys)
        if keys.dtype.kind in "UO":
            given: dict[str, Any] = {"keys_strings": [str(key) for key in keys], "values_int64s": values.tolist()}
            return self.op("LabelEncoder", value, domain=ML, default_int64=default, **given)
        return self.op(
            "LabelEncoder", value, domain=ML, keys_tensor=numpy_helper.from_array(keys),
            values_tensor=numpy_helper.from_array(values.astype(np.int64)),
            default_tensor=numpy_helper.from_array(np.array([default], np.int64)),
        )  # fmt: skip

    def either(self, condition: str, then: Callable[[], str], otherwise: str, dtype: Any) -> str:
        """Return what `then` adds where a condition () is true, else `otherwise`; only one of them is computed."""
        from onnx import helper

        outer, self.nodes = self.nodes, []
        try:
            name = then()
            inner = self.nodes
        finally:
            self.nodes = outer
        found, same = helper.make_tensor_value_info(name, _type(dtype), None), self.inner("same")
        kept = helper.make_node("Identity", [otherwise], [same])
        branches = {
            "then_branch": helper.make_graph(inner, "then", [], [found]),
            "else_branch": helper.make_graph(
                [kept], "else", [], [helper.make_tensor_value_info(same, _type(dtype), None)]
            ),
        }
        return self.op("If", condition, **branches)

    def embed(self, model: Any, prefix: str, inputs: Mapping[str, str]) -> list[str]:
        """Add all of another model, whose inputs are values of this graph by name; returns the names of its outputs."""
        from onnx import compose, helper

        inner = compose.add_prefix_graph(model.graph, prefix)
        for name, value in inputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [f"{prefix}{name}"], name=self.inner("given")))
        self.nodes.extend(inner.node)
        self.constants |= {one.name: one for one in inner.initializer}
        return [one.name for one in inner.output]

    def model(self, metadata: Mapping[str, str], description: str) -> Any:
        """Return the model, with texts by name."""
        from onnx import helper

        graph = helper.make_graph(
            self.nodes, "automtl", list(self.inputs.values()), self.outputs, list(self.constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, doc_string=description)
        made.producer_name = "automtl"
        helper.set_model_props(made, dict(metadata))
        return made


def _type(dtype: Any) -> int:
    from onnx import TensorProto, helper

    dtype = np.dtype(dtype)
    return int(TensorProto.STRING if dtype.hasobject else helper.np_dtype_to_tensor_dtype(dtype))
