"""Several bundles of a task as one: the mean of their calibrated logits and of their maps, in one ONNX file."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.data import Manifest
from secondread.data.split import roles, with_validation
from secondread.errors import TrainingError, UsageError
from secondread.images import PrepareSpec
from secondread.reading import Bundle, write_bundle
from secondread.stats.metrics import roc_auc
from secondread.training.decide import decide_on_validation, map_zero, round_smallest
from secondread.training.export import run_onnx
from secondread.training.prepare import val_rows
from secondread.training.train import Progress, gate_for, measure_bundle, prepared_part, versions

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


_LOST = 0.002  # validation AUC that one file may cost against the members asked one by one


def merge_bundles(
    bundles: Sequence[Bundle],
    manifest: Manifest,
    *,
    out: Path,
    name: str,
    shares: Sequence[float] | None = None,
    calibration: str = "temperature",
    command: str = "",
    measure: bool = True,
    gate: bool = False,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write one bundle that reads as the mean of several of its task, all trained on this manifest.

    The answer is the mean of the members' logits, each divided by its temperature, so that none speaks louder than
    validation lets it (Dietterich, MCS 2000); with `shares`, one for each, their weighted mean. The map is the mean of
    the maps that say of places whether they look diseased, or of all where none does; of members that find boxes see
    `merge_models`. Preprocessing may differ in size and field: where some see the whole image and others the lungs
    alone, the bundle makes both views, and shows the maps of the former. Calibration, operating points and, with
    `measure`, the evidence are made anew, as `train_bundle` makes them.
    Raises UsageError for bundles that cannot be merged, TrainingError or BundleError.
    """
    _check(bundles, manifest)
    parts = _parts(shares, len(bundles))
    progress = progress or Progress()
    task = bundles[0].task
    spec, views = _spec_and_views(bundles)
    divided = with_validation(manifest, _val_from(bundles))
    val = prepared_part(divided.split("val"), "val", spec, cache_folder, progress)
    mapped = [bundle.maps_lesions and not view for bundle, view in zip(bundles, views, strict=True)]
    boxed = [bundle.boxes is not None for bundle in bundles]
    weights = [part / bundle.calibration.temperature for bundle, part in zip(bundles, parts, strict=True)]
    served = round_smallest(
        merge_models(
            [bundle.model_path.read_bytes() for bundle in bundles],
            sizes=[bundle.prepare_spec.size for bundle in bundles],
            weights=weights,
            mapped=mapped if any(mapped) else [not view for view in views],
            boxed=boxed,
            views=views,
        ),
        val,
    )
    sums: list[np.ndarray | float] = [0.0, 0.0]  # of what is said of the image, and of its cells
    for bundle, weight in zip(bundles, weights, strict=True):
        own = prepared_part(divided.split("val"), "val", bundle.prepare_spec, cache_folder, progress)
        output = "cam" if bundle.boxes else "logit"
        said = run_onnx(bundle.model_path.read_bytes(), own.images, outputs=[output])[0]
        sums[said.ndim > 1] = sums[said.ndim > 1] + weight * said
    apart = np.zeros(len(val)) + sums[0] + (np.max(sums[1], axis=(1, 2)) if any(boxed) else 0.0)
    together = served.logits(val.images)
    auc, lost = roc_auc(val.labels, together), roc_auc(val.labels, apart) - roc_auc(val.labels, together)
    if lost >= _LOST:
        raise TrainingError(f"one file loses {lost:.4f} of the members' validation AUC; train them at one input size")
    splits = _lesions_from(bundles)
    more = Manifest(val_rows(manifest, splits), manifest.folder)
    sets = [val, prepared_part(more, "thresholds", spec, cache_folder, progress)] if more.rows else [val]
    record = {
        "task": task.name,
        "name": name,
        "created": date.today().isoformat(),
        "model": {
            "architecture": " + ".join(bundle.model.architecture for bundle in bundles),
            "parameters": sum(bundle.model.parameters for bundle in bundles),
            "val_auc_lost_by_merging": round(lost, 6),
            "logit_difference_by_merging": float(np.abs(apart - together).max()),
            **served.facts,
        },
        "prepare": spec.to_dict(),
        "heatmap": _heatmap([bundle for bundle, view in zip(bundles, views, strict=True) if not view], len(bundles)),
        "data": {
            "fingerprint": manifest.fingerprint(),
            "splits": manifest.splits(),
            "thresholds_from": sorted(more.splits()),
            "rows": roles(divided, lesions_from=splits, thresholds_from=sorted(more.splits())),
        },
        "members": [_member(bundle, part) for bundle, part in zip(bundles, parts, strict=True)],
        "training": _training(bundles, splits, command) | {"best_val_auc": round(auc, 6)},
        **decide_on_validation(task, served, manifest, sets, calibration),
        "default_operating_point": "screening",
        "gate": gate_for(task) if gate else None,
    }
    if any(mapped):
        record["heatmap"]["zero"] = map_zero(record)
    if any(boxed):
        record["boxes"] = {"label": task.positive_class}
    bundle = write_bundle(out, record=record, model=served.model, task_file=bundles[0].task_file)
    if measure:
        measure_bundle(bundle, manifest, command=command, progress=progress)
    return bundle


def _check(bundles: Sequence[Bundle], manifest: Manifest) -> None:
    if len(bundles) < 2:
        raise UsageError("merging takes two bundles or more")
    first, fingerprint = _whole_first(bundles)[0], manifest.fingerprint()
    for bundle in bundles:
        if bundle.task.name != first.task.name:
            raise UsageError(f"{bundle.id} and {first.id} read for different tasks; a merged bundle reads for one")
        if bundle.data.fingerprint != fingerprint:
            raise UsageError(
                f"{bundle.id} was trained on other data than this manifest's, perhaps on its test images; "
                "give the manifest it was trained on"
            )
        if len(bundle.prepare_spec.views) > 1:
            raise UsageError(f"{bundle.id} already reads two views of an image; merge the bundles that it was made of")
        if not _alike(bundle.prepare_spec, first.prepare_spec):
            raise UsageError(
                f"{bundle.id} and {first.id} prepare images otherwise; they may differ in size and field alone"
            )
        if bundle.calibration.knots is not None or bundle.calibration.bias is not None:
            raise UsageError(f"{bundle.id} is calibrated by more than a temperature; give the bundle as it was trained")
    if len({bundle.prepare_spec.size for bundle in bundles if bundle.boxes}) > 1:
        raise UsageError("bundles that find boxes can be merged at one input size alone: their cells must be the same")
    if any(bundle.boxes and bundle.prepare_spec.field == "lungs" for bundle in bundles):
        raise UsageError("boxes of the lungs alone lie elsewhere than those of whole images; merge it without boxes")
    extents = {bundle.heatmap.extent for bundle in bundles if bundle.maps_lesions or bundle.boxes}
    if len(extents) > 1:
        raise UsageError("the bundles' maps cover different parts of the image; merge networks of one kind")


def _whole_first(bundles: Sequence[Bundle]) -> list[Bundle]:
    return sorted(bundles, key=lambda bundle: bundle.prepare_spec.field != "whole")


def _alike(spec: PrepareSpec, first: PrepareSpec) -> bool:
    """But for what members may differ in; a border is trimmed of whole images alone."""
    border = spec.trim_border if spec.field == first.field else first.trim_border
    return replace(spec, size=first.size, field=first.field, trim_border=border) == first


def _spec_and_views(bundles: Sequence[Bundle]) -> tuple[PrepareSpec, list[int]]:
    """How the merged bundle prepares images, and which of its views each member sees."""
    specs = [bundle.prepare_spec for bundle in bundles]
    made = replace(_whole_first(bundles)[0].prepare_spec, size=max(spec.size for spec in specs))
    if len({spec.field for spec in specs}) == 1:
        return made, [0] * len(specs)
    return replace(made, field="whole and lungs"), [int(spec.field == "lungs") for spec in specs]


def _parts(shares: Sequence[float] | None, n: int) -> list[float]:
    """Of one whole, alike if not asked otherwise."""
    shares = [1.0] * n if shares is None else shares
    if len(shares) != n or not all(math.isfinite(share) and share > 0 for share in shares):
        raise UsageError(f"{n} bundles take {n} shares, each above 0")
    return [share / sum(shares) for share in shares]


def _lesions_from(bundles: Sequence[Bundle]) -> list[str]:
    """The collections of one label that any of them was trained on by their lesions."""
    return sorted({split for bundle in bundles for split in bundle.training.recipe.get("lesions_from", ())})


def _val_from(bundles: Sequence[Bundle]) -> list[str]:
    """The sources of whose training rows a fifth validates. Raises UsageError where members do not agree on them: what
    validates one would have taught another."""
    found = {tuple(sorted(bundle.training.recipe.get("val_from", ()))) for bundle in bundles}
    if len(found) > 1:
        raise UsageError("the bundles were validated on other images (val_from); merge those that agree on it")
    return list(found.pop())


def _heatmap(bundles: Sequence[Bundle], n: int) -> dict[str, Any]:
    """bundles: those of the n whose maps may be shown."""
    shown = [bundle for bundle in bundles if bundle.boxes] or [bundle for bundle in bundles if bundle.maps_lesions]
    shown = shown or list(bundles)
    method = "; ".join(dict.fromkeys(bundle.heatmap.method for bundle in shown))
    without = f" (of the other {n - len(shown)} of {n} networks none is shown)" if len(shown) < n else ""
    return {
        "method": f"mean of {len(shown)} maps{without}: {method}" if len(shown) > 1 else f"{method}{without}",
        "extent": list(shown[0].heatmap.extent),
    }


def _member(bundle: Bundle, part: float) -> dict[str, Any]:
    """What the merged bundle keeps of one of those it was made of."""
    kept = ("model", "prepare", "training", "temperature")
    return {"bundle": bundle.id, "share": round(part, 6), **{key: bundle.record[key] for key in kept}}


def _training(bundles: Sequence[Bundle], splits: list[str], command: str) -> dict[str, Any]:
    """As a trained bundle has it, where it can be said of several."""
    runs = [bundle.training for bundle in bundles]
    return {
        "command": command,
        "recipe": {
            "name": f"mean of {len(bundles)}",
            "pretrained": any(run.recipe.get("pretrained") for run in runs),
            "lesions_from": splits,
            **({"val_from": val_from} if (val_from := _val_from(bundles)) else {}),
        },
        "random_state": None,
        "epochs_run": sum(run.epochs_run for run in runs),
        "best_epoch": None,
        "seconds": round(sum(run.seconds for run in runs), 1),
        "device": " and ".join(dict.fromkeys(run.device for run in runs)),
        "versions": versions(),
    }
