"""Several networks as one ONNX file, whose answer is the weighted sum of theirs: nodes put beside and behind them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def merge_models(
    models: Sequence[bytes],
    *,
    sizes: Sequence[int],
    weights: Sequence[float],
    mapped: Sequence[bool],
    boxed: Sequence[bool] = (),
    views: Sequence[int] = (),
) -> bytes:
    """The logit is the weighted sum of the members' logits, the map that of the `mapped` members' maps.

    boxed: which of them find boxes, all with as many cells. Then their scores, cell by cell, are summed, what the
    others say of the image is added to all alike, and the logit is the greatest: an image stays positive exactly where
    one of its boxes is. A box is the mean of the members', each as sure as its own cell.

    models: as `export_onnx` gives them, for inputs of `sizes` pixels a side. The merged file takes images of the
    largest size and shrinks them for the others. views: which of an image's views each member sees, where there are
    several, whose channels then follow one another. Its map has as many cells as the finest of the maps. The maps'
    weights are stretched to the sum of all, so that the map is on the scale of the logit.
    """
    from onnx import TensorProto, compose, helper, load_from_string

    parts = [compose.add_prefix(load_from_string(model), f"member{i}.") for i, model in enumerate(models)]
    with_boxes = any(boxed)
    mapped = boxed if with_boxes else mapped
    views = views or [0] * len(models)
    size, cells = max(sizes), max(_cells(part) for part, counts in zip(parts, mapped, strict=True) if counts)
    stretch = sum(weights) / sum(weight for weight, counts in zip(weights, mapped, strict=True) if counts)
    if with_boxes:
        stretch = 1.0
    graph = _Graph()
    logits, maps = [], []
    channels = parts[0].graph.input[0].type.tensor_type.shape.dim[3].dim_value
    seen = graph.divide("image", channels) if max(views) else ["image"]
    for i, (part, own, weight, counts, view) in enumerate(zip(parts, sizes, weights, mapped, views, strict=True)):
        own_image = part.graph.input[0].name
        if own == size:
            graph.add("Identity", [seen[view]], own_image)
        else:
            graph.shrink(seen[view], own_image, own)
        graph.nodes += part.graph.node
        graph.tensors += part.graph.initializer
        if not (counts and with_boxes):
            logits.append(graph.add("Mul", [f"member{i}.logit", graph.constant(np.float32(weight))]))
        if counts:
            cam = f"member{i}.cam" if _cells(part) == cells else graph.enlarge_map(f"member{i}.cam", cells)
            maps.append(graph.add("Mul", [cam, graph.constant(np.float32(weight * stretch))]))
    if with_boxes:
        finding = [i for i, counts in enumerate(boxed) if counts]
        graph.add_boxes(maps, logits, finding, enlarged=[size / sizes[i] for i in finding])
    else:
        graph.add("Sum", logits, "logit")
        graph.add("Sum", maps, "cam")
    made = helper.make_graph(
        graph.nodes,
        "merged",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, channels * len(seen)])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["batch", cells, cells]),
            helper.make_tensor_value_info("box", TensorProto.FLOAT, ["batch", 4, cells, cells]),
        ][: 3 if with_boxes else 2],
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

    def add_boxes(
        self, maps: Sequence[str], logits: Sequence[str], members: Sequence[int], *, enlarged: Sequence[float]
    ) -> None:
        """Map, logit and boxes. maps: of the members that find boxes; logits: of those that find none. enlarged: how
        many times as large as its own a member's box is on the input."""
        cells = self.constant(np.array([1, 2], dtype=np.int64))
        everywhere = [self.add("Unsqueeze", [logit, cells]) for logit in logits]
        self.add("Sum", [*maps, *everywhere], "cam")
        self.add("ReduceMax", ["cam", cells], "logit", keepdims=0)
        sides = self.constant(np.array([1], dtype=np.int64))
        least = self.constant(np.float32(1e-6))  # where none is sure of anything, their plain mean
        chances = [self.add("Add", [self.add("Sigmoid", [f"member{i}.cam"]), least]) for i in members]
        sure = [self.add("Unsqueeze", [chance, sides]) for chance in chances]
        boxes = [
            self.add("Mul", [self.add("Mul", [f"member{i}.box", self.constant(np.float32(times))]), chance])
            for i, times, chance in zip(members, enlarged, sure, strict=True)
        ]
        self.add("Div", [self.add("Sum", boxes), self.add("Sum", sure)], "box")

    def divide(self, image: str, channels: int) -> list[str]:
        """uint8 (batch, rows, columns, 2 × channels) as two views."""
        axis = self.constant(np.array([3], dtype=np.int64))
        ends = [self.constant(np.array([n * channels], dtype=np.int64)) for n in range(3)]
        return [self.add("Slice", [image, ends[n], ends[n + 1], axis]) for n in range(2)]

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
