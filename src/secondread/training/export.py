"""A trained network as ONNX: uint8 pixels in, logit, map and perhaps boxes out, equal to torch or refused."""

import copy
import io
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secondread.errors import ExtraMissing, TrainingError
from secondread.reading.session import open_session

OPSET = 18
# Largest difference between torch and ONNX Runtime, both float32: of a logit, and of a map beside its largest value,
# since the scores of cells reach tens where an answer is sure.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """An ONNX file and how near it is to the network it came from."""

    model: bytes
    cells: int  # rows (and columns) of the map
    logit_difference: float  # largest seen
    map_difference: float  # of its largest value, where that is above 1
    box_difference: float | None = None  # as the map's; None for a network without boxes


class WithScaling(nn.Module):
    """What is exported: the scaling to 0–1 belongs to the file, so no caller can feed it the wrong range.

    mirrored: the answer is the mean of the image's and its mirror image's, and so are the map and the boxes; where
    there are boxes the answer is the greatest score of that mean map, so that one of them always stands for it.
    """

    def __init__(self, model: nn.Module, *, mirrored: bool = False):
        super().__init__()
        self.model = model
        self.mirrored = mirrored

    def outputs(self) -> list[str]:
        """The names of what `forward` gives."""
        return ["logit", "cam", "box"] if hasattr(self.model, "forward_boxes") else ["logit", "cam"]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """image: uint8 (B, size, size, channels) → logit (B,), cam (B, rows, columns), of a network that finds boxes
        also box (B, 4, rows, columns), see `findings_of`."""
        x = image.permute(0, 3, 1, 2).float() / 255
        if "box" in self.outputs():
            return self._with_boxes(x)
        logit, cam = self.model.forward_map(x)  # type: ignore[operator]
        if not self.mirrored:
            return logit, cam
        other_logit, other_cam = self.model.forward_map(x.flip(3))  # type: ignore[operator]
        return (logit + other_logit) / 2, (cam + other_cam.flip(2)) / 2

    def _with_boxes(self, x: Tensor) -> tuple[Tensor, ...]:
        logit, cam, box = self.model.forward_boxes(x)  # type: ignore[operator]
        if not self.mirrored:
            return logit, cam, box
        _, other_cam, other_box = self.model.forward_boxes(x.flip(3))  # type: ignore[operator]
        left, top, right, bottom = other_box.flip(3).unbind(dim=1)
        cam = (cam + other_cam.flip(2)) / 2
        return cam.amax(dim=(1, 2)), cam, (box + torch.stack([right, top, left, bottom], dim=1)) / 2


def export_onnx(
    model: nn.Module, *, size: int, channels: int, images: np.ndarray | None = None, mirrored: bool = False
) -> Exported:
    """The network as ONNX with a parity check.

    images: uint8 (n, size, size, channels) to compare on; noise is used besides. mirrored: see WithScaling.
    Raises TrainingError if torch and ONNX Runtime differ by more than TOLERANCE.
    """
    served = WithScaling(model.cpu().eval(), mirrored=mirrored)
    names = served.outputs()
    data = to_onnx(served, size=size, channels=channels, outputs=names)
    noise = np.random.default_rng(0).integers(0, 256, (8, size, size, channels), dtype=np.uint8)
    checked = noise if images is None else np.concatenate([noise, images[:64]])
    with torch.inference_mode():
        own = [output.numpy() for output in served(torch.from_numpy(np.array(checked)))]
    theirs = run_onnx(data, checked, outputs=names)
    logit_difference = float(np.abs(own[0] - theirs[0]).max())
    map_difference = difference(own[1], theirs[1])
    box_difference = difference(own[2], theirs[2]) if "box" in names else None
    if not all(one <= TOLERANCE for one in (logit_difference, map_difference, box_difference or 0.0)):  # NaN is none
        boxes = "" if box_difference is None else f", boxes by {box_difference:.2g}"
        raise TrainingError(
            f"the exported model differs from torch: logit by {logit_difference:.2g}, map by {map_difference:.2g}"
            f"{boxes} (allowed {TOLERANCE:g}); the bundle was not written"
        )
    return Exported(data, own[1].shape[-1], logit_difference, map_difference, box_difference)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Beside the largest value, where that is above 1."""
    return float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))


def to_onnx(served: nn.Module, *, size: int, channels: int, outputs: list[str]) -> bytes:
    """A module of one input `image`, uint8 (batch, size, size, channels), as ONNX without traces of this machine."""
    return traced(served, {"image": torch.zeros(2, size, size, channels, dtype=torch.uint8)}, outputs=outputs)


def traced(served: nn.Module, inputs: Mapping[str, Tensor], *, outputs: list[str]) -> bytes:
    """A module of several inputs as ONNX, two examples of each being given; without traces of this machine."""
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx"), torch.inference_mode():
            warnings.simplefilter("ignore")  # the exporter's own deprecations; what matters is the parity check
            program: Any = torch.onnx.export(
                _clamped(served),
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=outputs,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},) * len(inputs),
                verbose=False,
                optimize=True,
            )
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("exporting to ONNX", "train") from error
    target = io.BytesIO()
    program.save(target)
    return _without_traces(target.getvalue())


class _Clamp(nn.Module):
    """ReLU6 as the exporter's own operator; ReLU6 itself it works out anew from smaller ones at every place."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 6)


def _clamped(served: nn.Module) -> nn.Module:
    """A copy that computes the same and is exported in two thirds of the time, where it has many ReLU6."""
    copied = copy.deepcopy(served)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, _Clamp())
    return copied


def _without_traces(data: bytes) -> bytes:
    """The exporter notes stack traces with the paths of the machine that trained; those stay at home."""
    import onnx

    model = onnx.load_from_string(data)
    holders = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output]
    for holder in [*holders, *model.graph.value_info, *model.graph.initializer]:
        del holder.metadata_props[:]
        holder.doc_string = ""
    return model.SerializeToString()


def run_onnx(data: bytes, images: np.ndarray, *, outputs: list[str], batch_size: int = 64) -> list[np.ndarray]:
    """The named outputs for images uint8 (n, size, size, channels), a batch at a time."""
    session = open_session(data, threads=os.cpu_count())
    starts = range(0, len(images), batch_size)
    parts = [session.run(outputs, {"image": np.array(images[start : start + batch_size])}) for start in starts]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


class _quiet:
    """Lowers a logger to errors for a while."""

    def __init__(self, name: str):
        self._logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
