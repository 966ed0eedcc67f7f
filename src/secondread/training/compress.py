"""An ONNX file's weights, kept in fewer bytes than they are computed with: ONNX Runtime widens them at its start."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.errors import TrainingError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_SMALL_TENSOR = 256  # values; of these nothing is gained
_FEW = 60_000  # values of a tensor: smaller ones hold a sixth of the weights together, and int8 would gain little
_STEPS = 127  # of int8, on either side of zero
_HALF, _INT8, _SCALE, _WIDE = ".half", ".int8", ".scale", ".wide"


def in_half(model: bytes) -> bytes:
    """The same network with its weights kept as float16 and computed with in float32: half as large, no slower.

    Small tensors stay as they are. Raises TrainingError for a weight that float16 cannot hold.
    """
    return _rewritten(model, _halved)


def in_int8(model: bytes) -> bytes:
    """The same network with its weights kept in 255 steps: little more than a quarter as large, no slower.

    Every output channel of a convolution or linear layer has a scale of its own, so that the largest of its weights
    takes the last step (Jacob et al. 2018, here of the weights alone). Weights kept as float16 are taken as they are.
    Depthwise and small layers stay float16: they hold a sixth of the weights and make most of the difference (of a
    shipped bundle's logits: 0.02 instead of 0.21, root mean square).
    """
    return _rewritten(model, _stepped)


def _halved(values: np.ndarray, name: str) -> "tuple[list[TensorProto], list[NodeProto]]":
    from onnx import TensorProto, helper, numpy_helper

    if np.abs(values).max() > np.finfo(np.float16).max:
        raise TrainingError(f"the weights '{name}' are too large for float16; keep them in float32")
    kept = numpy_helper.from_array(values.astype(np.float16), name + _HALF)
    return [kept], [helper.make_node("Cast", [kept.name], [name], to=TensorProto.FLOAT)]


def _stepped(values: np.ndarray, name: str) -> "tuple[list[TensorProto], list[NodeProto]]":
    from onnx import TensorProto, helper, numpy_helper

    if values.ndim < 2 or values.size < _FEW or _is_depthwise(values):
        return _halved(values, name)
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scale = np.where(largest > 0, largest / _STEPS, 1).astype(np.float32)
    kept = numpy_helper.from_array(np.round(values / scale).astype(np.int8), name + _INT8)
    scales = numpy_helper.from_array(scale, name + _SCALE)
    # A cast and a product of constants are folded when a session starts; a DequantizeLinear would run with every image.
    cast = helper.make_node("Cast", [kept.name], [name + _WIDE], to=TensorProto.FLOAT)
    return [kept, scales], [cast, helper.make_node("Mul", [name + _WIDE, scales.name], [name])]


def _is_depthwise(values: np.ndarray) -> bool:
    return values.ndim == 4 and values.shape[1] == 1


def _rewritten(model: bytes, keep: Callable[[np.ndarray, str], Any]) -> bytes:
    """Every large float tensor replaced by what `keep` makes of it: the tensors kept, and the nodes that widen them."""
    import onnx
    from onnx import numpy_helper

    parsed = onnx.load_from_string(model)
    _widen(parsed)
    tensors, nodes = [], []
    for tensor in parsed.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _SMALL_TENSOR:
            tensors.append(tensor)
            continue
        kept, widening = keep(numpy_helper.to_array(tensor), tensor.name)
        tensors.extend(kept)
        nodes.extend(widening)
    _replace(parsed.graph.initializer, tensors)
    _replace(parsed.graph.node, [*nodes, *parsed.graph.node])
    return parsed.SerializeToString()


def _widen(model: "ModelProto") -> None:
    """Weights kept as float16 become float32 again, and their casts go."""
    from onnx import numpy_helper

    graph = model.graph
    halves = {tensor.name for tensor in graph.initializer if tensor.name.endswith(_HALF)}
    casts = {node.input[0]: node.output[0] for node in graph.node if node.input and node.input[0] in halves}
    for tensor in graph.initializer:
        if tensor.name in casts:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, casts[tensor.name]))
    _replace(graph.node, [node for node in graph.node if not (node.input and node.input[0] in casts)])


def _replace(field: Any, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)
