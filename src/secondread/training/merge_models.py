"""One ONNX file out of several: each reads the same image, and the answer is the weighted sum of theirs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def merge_models(
    models: Sequence[bytes], *, sizes: Sequence[int], weights: Sequence[float], mapped: Sequence[bool]
) -> bytes:
    """The logit is the weighted sum of the members' logits, the map that of the `mapped` members' maps.

    models: as `export_onnx` gives them, for inputs of `sizes` pixels a side. The merged file takes images of the
    largest size and shrinks them for the others; its map has as many cells as the finest of the maps. The maps' weights
    are stretched to the sum of all, so that the map is on the scale of the logit.
    """
    from onnx import TensorProto, compose, helper, load_from_string

    parts = [compose.add_prefix(load_from_string(model), f"member{i}.") for i, model in enumerate(models)]
    size, cells = max(sizes), max(_cells(part) for part, counts in zip(parts, mapped, strict=True) if counts)
    stretch = sum(weights) / sum(weight for weight, counts in zip(weights, mapped, strict=True) if counts)
    graph = _Graph()
    logits, maps = [], []
    for i, (part, own, weight, counts) in enumerate(zip(parts, sizes, weights, mapped, strict=True)):
        own_image = part.graph.input[0].name
        if own == size:
            graph.add("Identity", ["image"], own_image)
        else:
            graph.shrink("image", own_image, own)
        graph.nodes += part.graph.node
        graph.tensors += part.graph.initializer
        logits.append(graph.add("Mul", [f"member{i}.logit", graph.constant(np.float32(weight))]))
        if counts:
            cam = f"member{i}.cam" if _cells(part) == cells else graph.enlarge_map(f"member{i}.cam", cells)
            maps.append(graph.add("Mul", [cam, graph.constant(np.float32(weight * stretch))]))
    graph.add("Sum", logits, "logit")
    graph.add("Sum", maps, "cam")
    channels = parts[0].graph.input[0].type.tensor_type.shape.dim[3].dim_value
    made = helper.make_graph(
        graph.nodes,
        "merged",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, channels])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["batch", cells, cells]),
        ],
        graph.tensors,
    )
    first = parts[0]
    return helper.make_model(made, opset_imports=first.opset_import, ir_version=first.ir_version).SerializeToString()


class _Graph:
    """Nodes and constants of the merged file, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

    def add(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """The name of what the node gives."""
        from onnx import helper

        output = output or f"merge.{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        """The name of the constant."""
        from onnx import numpy_helper

        name = f"merge.constant{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def shrink(self, image: str, output: str, size: int) -> None:
        """uint8 (batch, rows, columns, channels), smoothly, as `prepare` shrinks; channels stand first meanwhile."""
        from onnx import TensorProto

        first = self.add("Transpose", [image], perm=[0, 3, 1, 2])
        smaller = self._resize(self.add("Cast", [first], to=TensorProto.FLOAT), size, antialias=1)
        levels = self.add(
            "Clip", [self.add("Round", [smaller]), self.constant(np.float32(0)), self.constant(np.float32(255))]
        )
        self.add("Transpose", [self.add("Cast", [levels], to=TensorProto.UINT8)], output, perm=[0, 2, 3, 1])

    def enlarge_map(self, cam: str, cells: int) -> str:
        """float32 (batch, rows, columns) with more cells."""
        axis = self.constant(np.array([1], dtype=np.int64))
        return self.add("Squeeze", [self._resize(self.add("Unsqueeze", [cam, axis]), cells), axis])

    def _resize(self, values: str, side: int, **attributes: Any) -> str:
        """Of (batch, channels, rows, columns)."""
        sizes = self.constant(np.array([side, side], dtype=np.int64))
        return self.add("Resize", [values, "", "", sizes], mode="linear", axes=[2, 3], **attributes)


def _cells(model: "ModelProto") -> int:
    """Rows of the map."""
    (cam,) = (output for output in model.graph.output if output.name.endswith("cam"))
    return int(cam.type.tensor_type.shape.dim[1].dim_value)
