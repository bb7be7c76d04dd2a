"""TensorFlow functions as ONNX models, by tf2onnx (extra `onnx`)."""

from __future__ import annotations

import importlib
import json
from importlib import metadata
from typing import Any

import numpy as np

from lossylab.core import extras
from lossylab.core.errors import ExportError, UsageError
from lossylab.inference.conversion.functions import Function

SUFFIX = ".onnx"
_PACKAGES = ("tf2onnx", "onnx")
_OPSET = 17


def versions() -> dict[str, str]:
    """Of what converts; raises UsageError if it is not installed."""
    _packages()
    return {name: metadata.version(name) for name in _PACKAGES}


def convert(function: Function, name: str, card: dict) -> bytes:
    """An ONNX model whose inputs and outputs have the function's names; the card is its metadata.

    Raises:
      UsageError: if tf2onnx or onnx is not installed.
      ExportError: if the function has an operation that ONNX has not.
    """
    del name
    tf2onnx, onnx = _packages()
    handlers = {
        "FloorDiv": (_floor, []),
        "FloorMod": (_floor, []),
        "BlockLSTM": (_lstm, []),
    }
    model, _ = tf2onnx.convert.from_function(
        function, function.input_signature, opset=_OPSET, custom_op_handlers=handlers
    )
    for node in model.graph.node:
        _pad_dilated(node, onnx.helper.make_attribute)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"cannot be converted: {str(error).splitlines()[0]}") from error
    onnx.helper.set_model_props(model, {"lossylab": json.dumps(card, sort_keys=True)})
    return model.SerializeToString()


def _packages() -> tuple[Any, Any]:
    try:
        tf2onnx, onnx = (importlib.import_module(name) for name in _PACKAGES)
    except ImportError as error:
        raise UsageError(f"ONNX needs {error.name}: {extras.cure('onnx')}") from error
    return tf2onnx, onnx


def _floor(ctx: Any, node: Any, name: str, arguments: list) -> None:
    """Division and remainder towards minus infinity; tf2onnx's are towards 0 for integers."""
    del name, arguments
    (a, b), output = node.input, node.output[0]
    whole, kind = node.type == "FloorDiv", ctx.get_dtype(node.input[0])
    known = {"shapes": node.output_shapes, "dtypes": node.output_dtypes}
    ctx.remove_node(node.name)

    def make(operation: str, *inputs: str, last: bool = False) -> str:
        named = {"outputs": [output]} if last else {}
        return ctx.make_node(operation, list(inputs), **named, **known).output[0]

    if np.issubdtype(_packages()[1].helper.tensor_dtype_to_np_dtype(kind), np.integer):
        rest = make("Mod", a, b, last=not whole)
        if whole:
            make("Div", make("Sub", a, rest), b, last=True)
    elif whole:
        make("Floor", make("Div", a, b), last=True)
    else:
        make("Sub", a, make("Mul", make("Floor", make("Div", a, b)), b), last=True)


def _lstm(ctx: Any, node: Any, name: str, arguments: list) -> None:
    """BlockLSTM without peepholes from a state of zeros, as `layers.attention.LSTM` has it."""
    del name, arguments
    kernel, bias = (node.inputs[i].get_tensor_value(as_list=False) for i in (4, 8))
    units = bias.size // 4
    cell = np.split(np.concatenate([kernel, bias[None]]), 4, axis=1)  # gates i, c, f, o
    weights = np.concatenate([cell[gate] for gate in (0, 3, 2, 1)], 1).T  # ONNX: i, o, f, c
    split = kernel.shape[0] - units
    own = {
        "w": weights[:, :split],
        "r": weights[:, split:-1],
        "b": np.concatenate([weights[:, -1], np.zeros(4 * units, weights.dtype)]),
    }
    inputs = [node.input[1]]
    base, output, shape, kind = node.name, node.output[6], node.output_shapes[6], [1]
    inputs += [
        ctx.make_const(f"{base}/{key}", np.ascontiguousarray(each[None])).output[0]
        for key, each in own.items()
    ]
    ctx.remove_node(base)
    states = ctx.make_node("LSTM", inputs, attr={"hidden_size": units}, dtypes=kind).output[0]
    axes = ctx.make_const(f"{base}/axes", np.array([1], np.int64)).output[0]
    ctx.make_node("Squeeze", [states, axes], outputs=[output], shapes=[shape], dtypes=kind)


def _pad_dilated(node: Any, make_attribute: Any) -> None:
    """Says what a dilated convolution pads, which onnxruntime does not find out by itself."""
    known = {each.name: each for each in node.attribute}
    dilations = list(known["dilations"].ints) if "dilations" in known else []
    if node.op_type != "Conv" or "auto_pad" not in known or max(dilations, default=1) == 1:
        return
    if known["auto_pad"].s != b"SAME_UPPER" or set(known["strides"].ints) != {1}:
        raise ExportError("cannot be converted: a dilated convolution with a stride")
    around = [d * (k - 1) for d, k in zip(dilations, known["kernel_shape"].ints)]
    node.attribute.remove(known["auto_pad"])
    pads = [*(n // 2 for n in around), *(n - n // 2 for n in around)]
    node.attribute.append(make_attribute("pads", pads))
