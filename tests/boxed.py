"""A bundle with boxes whose network was built by hand: a bright spot is disease, and its box has a known side."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from secondread.data import Manifest, Row, read_manifest, write_manifest
from secondread.reading import Bundle, write_bundle
from secondread.tasks import load_task
from secondread.testing.phantoms import bone_phantom, encode

SIZE, STRIDE = 128, 8
CELLS = SIZE // STRIDE
SPOT = 24  # pixels of the input: the side of every box
POINTS = {"screening": 0.2, "confirm": 0.8}
_STEEP, _MIDDLE = 24.0, 0.72  # a spot of this brightness, a share of white, has the logit 0
_SHARE = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40, "method": "wilson"}


def boxed_network(*, steep: float = _STEEP, size: int = SIZE, boxes: bool = True, channels: int = 1) -> bytes:
    """uint8 (batch, size, size, channels) → logit (batch,), cam (batch, cells, cells), box (batch, 4, cells, cells).

    A cell's score rises with the mean brightness of the SPOT × SPOT pixels around it.
    """
    cells, pad = size // STRIDE, (SPOT - STRIDE) // 2
    constants = {
        "scale": np.float32(1 / 255),
        "steep": np.float32(steep),
        "offset": np.float32(-steep * _MIDDLE),
        "channel": np.array([1], dtype=np.int64),
        "cells": np.array([1, 2], dtype=np.int64),
        "sides": np.full((1, 4, 1, 1), SPOT / 2, np.float32),
        "nothing": np.float32(0),
    }
    pool = {"kernel_shape": [SPOT, SPOT], "strides": [STRIDE, STRIDE], "pads": [pad] * 4, "count_include_pad": 1}
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["planes", "channel"], ["one"], keepdims=1),
        helper.make_node("Mul", ["one", "scale"], ["shares"]),
        helper.make_node("AveragePool", ["shares"], ["means"], **pool),
        helper.make_node("Mul", ["means", "steep"], ["rising"]),
        helper.make_node("Add", ["rising", "offset"], ["scores"]),
        helper.make_node("Squeeze", ["scores", "channel"], ["cam"]),
        helper.make_node("ReduceMax", ["cam", "cells"], ["logit"], keepdims=0),
        helper.make_node("Mul", ["scores", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "sides"], ["box"]),
    ]
    of = {
        "logit": ["batch"],
        "cam": ["batch", cells, cells],
        "box": ["batch", 4, cells, cells],
    }
    names = ("logit", "cam", "box") if boxes else ("logit", "cam")
    graph = helper.make_graph(
        nodes if boxes else nodes[:-2],
        "boxed",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", size, size, channels])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, of[name]) for name in names],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def boxed_bundle(
    folder: Path, *, name: str = "boxes", task: str = "fracture", model: bytes | None = None, **more: Any
) -> Bundle:
    """Written to the folder. more: of the record, in place of what it would say."""
    model = boxed_network() if model is None else model
    point = {
        "chosen_by": "by hand", "data": "phantoms", "date": "2026-01-01", "n": 40, "sensitivity": _SHARE,
        "specificity": _SHARE,
    }  # fmt: skip
    record: dict[str, Any] = {
        "task": task,
        "name": name,
        "created": "2026-01-01",
        "model": {"architecture": "boxed", "parameters": 6},
        "prepare": {
            "size": SIZE, "channels": 1, "trim_border": False, "aspect": "pad", "window": None, "clahe": 0.0,
            "denoise_sigma": 0.0, "detail": 0,
        },
        "heatmap": {"method": "brightness", "extent": [0.0, 0.0, 1.0, 1.0], "zero": -1.386294},
        "boxes": {"label": load_task(task).positive_class},
        "data": {"fingerprint": "phantoms", "splits": {"train": 1, "val": 40}},
        "training": {
            "command": "by hand", "recipe": {"name": "none", "pretrained": False}, "random_state": 0, "epochs_run": 1,
            "best_epoch": 1, "best_val_auc": 1.0, "seconds": 0.0, "device": "cpu", "versions": {},
        },
        "temperature": 1.0,
        "calibration": "none",
        "operating_points": {each: {**point, "threshold": threshold} for each, threshold in POINTS.items()},
        "default_operating_point": "screening",
        "gate": None,
    } | more  # fmt: skip
    digest = hashlib.sha256(model).hexdigest()
    for each in record["operating_points"].values():
        each["weights_sha256"] = digest
    return write_bundle(folder, record=record, model=model)


def spotted(
    *spots: tuple[int, int, int], size: tuple[int, int] = (256, 256), side: int = 48, random_state: int = 0
) -> np.ndarray:
    """A bone film, dimmed, uint8 (height, width), with a square of `side` pixels at each (x, y, brightness)."""
    film = (bone_phantom(size, random_state=random_state) * 0.55).astype(np.uint8)
    film[0, :2] = 0, 255  # the same black and white in every film, whatever a reader makes of its range
    for x, y, brightness in spots:
        film[y : y + side, x : x + side] = brightness
    return film


def spotted_manifest(folder: Path, splits: Mapping[str, int], *, sources: Sequence[str] = ("a",)) -> Manifest:
    """Films of 256 pixels, every second one with one to three spots, and the boxes around them.

    splits: how many films of each; sources: hospitals, two films from each in turn.
    """
    rng = np.random.default_rng(0)
    rows, boxes = [], {}
    for split, n in splits.items():
        for number in range(n):
            places = rng.integers(0, 13, (number % 2 * (1 + number % 3), 2))
            spots = [(16 * int(x), 16 * int(y), 240) for x, y in places]
            name = f"{split}{number}.png"
            (folder / name).write_bytes(encode(spotted(*spots, random_state=number), "PNG"))
            facts = {"source": sources[number // 2 % len(sources)], "patient": name, "split": split}
            rows.append(Row(path=folder / name, name=name, label=int(bool(spots)), **facts))
            if spots:
                boxes[name] = [{"category": "spot", "bbox": [x, y, 48, 48]} for x, y, _ in spots]
    write_manifest(Manifest(tuple(rows), folder), folder / "manifest.csv")
    (folder / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    return read_manifest(folder / "manifest.csv")
