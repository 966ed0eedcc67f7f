"""A network's ONNX file run by torch, step by step: what eager and compiled torch take for the very same weights."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

_TYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64, onnx.TensorProto.BOOL: torch.bool}


class Steps(nn.Module):
    """The graph of a folded ONNX file, as torch's own functions; of the operators that our networks are made of."""

    def __init__(self, model: onnx.ModelProto):
        super().__init__()
        self._weights = {one.name: _tensor(numpy_helper.to_array(one)) for one in model.graph.initializer}
        self._wanted = [one.name for one in model.graph.output]
        self._steps: list[tuple[Callable[..., Any], list[str], list[str], dict[str, Any]]] = []
        for node in model.graph.node:
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            if node.op_type == "Constant":
                self._weights[node.output[0]] = _tensor(numpy_helper.to_array(attributes["value"]))
                continue
            self._steps.append((_OPERATORS[node.op_type], list(node.input), list(node.output), attributes))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 (1, height, width, channels)."""
        known = {**self._weights, "image": image}
        for work, inputs, outputs, attributes in self._steps:
            known[outputs[0]] = work([known.get(name) for name in inputs], attributes)
        return tuple(known[name] for name in self._wanted)


def _tensor(array: np.ndarray) -> Any:
    """Whole numbers are sizes, axes and places, and single values are bounds: torch's compiler wants them as such."""
    if array.dtype.kind == "i" or array.ndim == 0:
        return array.tolist()
    return torch.from_numpy(np.array(array))


def _conv(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    image, even = x[0], (top, left) == (bottom, right)
    if not even:
        image = functional.pad(image, (left, right, top, bottom))
    return functional.conv2d(
        image,
        x[1],
        x[2] if len(x) > 2 else None,
        stride=a.get("strides", [1, 1]),
        padding=(top, left) if even else 0,
        dilation=a.get("dilations", [1, 1]),
        groups=a.get("group", 1),
    )


def _norm(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    return functional.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=a.get("epsilon", 1e-5))


def _gemm(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    left = x[0].T if a.get("transA") else x[0]
    right = x[1].T if a.get("transB") else x[1]
    product = a.get("alpha", 1.0) * (left @ right)
    return product if len(x) < 3 else product + a.get("beta", 1.0) * x[2]


def _reduced(name: str) -> Callable[..., Tensor]:
    def work(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
        axes = x[1] if len(x) > 1 else list(a["axes"])
        return getattr(torch, name)(x[0], dim=axes, keepdim=bool(a.get("keepdims", 1)))

    return work


def _slice(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    found = x[0]
    for start, end, axis, step in zip(*x[1:5], strict=True):
        n = found.shape[axis]
        if step < 0:
            assert start in (-1, n - 1), "a slice backwards begins at the end"
            assert end < -n, "and turns the whole axis round"
            found = found.flip(axis)
        else:
            found = found.narrow(axis, start if start >= 0 else n + start, min(end, n) - start)
    return found


def _resize(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    mode = a["mode"].decode()
    return functional.interpolate(x[0], size=x[3][2:], mode="nearest" if mode == "nearest" else "bilinear")


def _reshape(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    return x[0].reshape([x[0].shape[i] if side == 0 else side for i, side in enumerate(x[1])])


def _unsqueeze(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    for axis in sorted(x[1]):
        x = [x[0].unsqueeze(axis)]
    return x[0]


def _gather(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    axis, index = a.get("axis", 0), x[1]
    return x[0].select(axis, index) if isinstance(index, int) else x[0].index_select(axis, torch.tensor(index))


def _clip(x: Sequence[Any], a: dict[str, Any]) -> Tensor:
    low, high = (*x[1:], None, None)[:2]
    return torch.clamp(x[0], low, high)


def _concat(x: Sequence[Any], a: dict[str, Any]) -> Any:
    return list(chain(*x)) if isinstance(x[0], list) else torch.cat(list(x), dim=a["axis"])


_OPERATORS: dict[str, Callable[..., Any]] = {
    "Conv": _conv,
    "BatchNormalization": _norm,
    "Gemm": _gemm,
    "MatMul": lambda x, a: x[0] @ x[1],
    "Clip": _clip,
    "Relu": lambda x, a: torch.relu(x[0]),
    "Tanh": lambda x, a: torch.tanh(x[0]),
    "Sqrt": lambda x, a: torch.sqrt(x[0]),
    "Add": lambda x, a: x[0] + x[1],
    "Sum": lambda x, a: sum(x[1:], x[0]),
    "Sub": lambda x, a: x[0] - x[1],
    "Mul": lambda x, a: x[0] * x[1],
    "Div": lambda x, a: x[0] / x[1],
    "Greater": lambda x, a: x[0] > x[1],
    "Cast": lambda x, a: x[0].to(_TYPES[a["to"]]),
    "Identity": lambda x, a: x[0],
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Shape": lambda x, a: list(x[0].shape[a.get("start", 0) : a.get("end")]),
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Resize": _resize,
    "Reshape": _reshape,
    "Flatten": lambda x, a: x[0].flatten(a.get("axis", 1)),
    "Unsqueeze": _unsqueeze,
    "ReduceMean": _reduced("mean"),
    "ReduceSum": _reduced("sum"),
    "ReduceMax": _reduced("amax"),
    "ReduceMin": _reduced("amin"),
    "ReduceLogSumExp": _reduced("logsumexp"),
}
