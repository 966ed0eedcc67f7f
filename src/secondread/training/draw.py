"""A bundle that reads well learns to draw: its network stays as it is, and what names boxes is trained beside it.

So a bundle gets boxes in minutes, and without another answer: what it says of an image is what it said before.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from secondread.data import Manifest, PreparedSet, Row
from secondread.errors import TrainingError, UsageError
from secondread.evidence.detection import LEVELS, Matched, detection_table
from secondread.evidence.localisation import load_lesions
from secondread.images import PrepareSpec
from secondread.models import create_model, list_models
from secondread.models.cam import MapGeometry
from secondread.models.lesion_lite_boxes import LesionLiteBoxes
from secondread.reading import Bundle, write_bundle
from secondread.training.batches import Batch
from secondread.training.boxes import KnownBoxes, box_loss, known_boxes
from secondread.training.decide import decide_on_validation, map_zero, round_weights
from secondread.training.device import choose_device
from secondread.training.device_batches import DeviceBatches
from secondread.training.export import export_onnx, run_onnx
from secondread.training.found import found_on
from secondread.training.optimise import make_optimizer, set_learning_rate
from secondread.training.prepare import lesion_rows, val_rows
from secondread.training.recipe import Recipe, load_recipe
from secondread.training.served import take_weights
from secondread.training.train import Progress, measure_bundle, prepared_part, versions

STEEPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_ANOTHER = 0.05  # of a logit of a validation image: more, and the bundle would answer otherwise than before

OnEpoch = Callable[[int, int, float], None]  # epoch, epochs, mean loss


@dataclass(frozen=True)
class DrawPlan:
    """How drawing is taught. sources: whose drawn boxes teach; none: all that have some.

    views: how often each image is changed at random and asked of the network that reads, which is what takes time; an
    epoch learns from one view of each. healthy: images without disease for one with boxes; they teach which places of a
    healthy bone or lung look like a lesion, and since the image's own answer orders images, few are needed.
    """

    sources: tuple[str, ...] = ()
    epochs: int = 40
    views: int = 8
    learning_rate: float = 0.003
    batch_size: int = 16
    healthy: float = 0.5
    random_state: int = 0

    def recipe_for(self, bundle: Bundle) -> Recipe:
        """Images as the bundle prepares them, moved and toned moderately."""
        return load_recipe(
            "transfer",
            bundle.task,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            box_weight=1.0,
            rotation_degrees=20.0,
            zoom=(0.8, 1.3),
            stretch=1.15,
            shift=0.08,
            gamma=(0.7, 1.4),
            contrast=(0.7, 1.4),
            prepare=bundle.prepare_spec.to_dict(),
        )


def draw_bundle(
    bundle: Bundle,
    manifest: Manifest,
    plan: DrawPlan,
    *,
    out: Path,
    command: str = "",
    measure: bool = True,
    cache_folder: Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Write to `out` the same bundle with a network that draws; its calibration and points are decided anew on the same
    rows, and come out as they were.

    Raises UsageError for a bundle that cannot learn it or rows that teach nothing, TrainingError or BundleError.
    """
    progress = progress or Progress()
    name = _name_of(bundle)
    if bundle.data.fingerprint != manifest.fingerprint():
        raise UsageError(f"{bundle.id} was trained on other data than this manifest's; give the one it was trained on")
    spec, recipe = bundle.prepare_spec, plan.recipe_for(bundle)
    rows = teaching_rows(manifest, plan, bundle.training.recipe.get("lesions_from", ()))
    with torch.random.fork_rng(devices=[]):  # the new part draws from the global generator; it is put back
        torch.manual_seed(plan.random_state)
        model = cast(LesionLiteBoxes, create_model(name, in_chans=spec.channels, input_size=spec.size))
    take_weights(model, bundle.model_path.read_bytes(), size=spec.size, channels=spec.channels)
    val = prepared_part(manifest.split("val"), "val", spec, cache_folder, progress)
    train = prepared_part(Manifest(tuple(rows), manifest.folder), "train", spec, cache_folder, progress)
    boxes = known_boxes(manifest, train.rows, spec)
    started = time.perf_counter()
    losses = teach(model, train, boxes, recipe, n_views=plan.views, random_state=plan.random_state, on_epoch=on_epoch)
    seconds = time.perf_counter() - started
    steepness = choose_steepness(model, val, manifest, spec)
    exported = export_onnx(model, size=spec.size, channels=spec.channels, images=val.images)
    rounded = round_weights(exported.model, val)
    before = run_onnx(bundle.model_path.read_bytes(), val.images, outputs=["logit"])[0]
    away = float(np.abs(before - rounded.logits(val.images)).max())
    if not away <= _ANOTHER:
        raise TrainingError(f"the network that draws answers {away:.2g} away from {bundle.id}; nothing was written")
    record = _record(bundle, model, exported.cells) | {
        "model": {
            "architecture": name,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "logit_difference_from_torch": exported.logit_difference,
            **rounded.facts,
        },
        "boxes": {"label": bundle.task.positive_class},
    }
    more = Manifest(val_rows(manifest, bundle.training.recipe.get("lesions_from", ())), manifest.folder)
    sets = [val, prepared_part(more, "thresholds", spec, cache_folder, progress)] if more.rows else [val]
    record |= decide_on_validation(bundle.task, rounded, manifest, sets, "temperature")
    record["heatmap"]["zero"] = map_zero(record)
    record["training"]["boxes"] = {
        "command": command,
        **asdict(replace(plan, sources=tuple(sorted({row.source for row in rows if row.label == 1})))),
        "n_images": len(rows),
        "n_boxes": int(boxes.counts().sum()),
        "loss": [round(loss, 5) for loss in losses],
        "steepness": steepness,
        "val": _drawn_on_validation(record, rounded.model, val, manifest),
        "logit_difference_from_before": away,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }
    made = write_bundle(out, record=record, model=rounded.model, task_file=bundle.task_file)
    if measure:
        measure_bundle(made, manifest, command=command, progress=progress)
    return made


def teaching_rows(manifest: Manifest, plan: DrawPlan, lesions_from: Sequence[str] = ()) -> list[Row]:
    """Diseased training rows whose lesions are known, and healthy ones beside them, drawn by the plan's random state.

    lesions_from: shared collections whose training share teaches by lesions. Raises UsageError where no lesion is
    known.
    """
    lesions = load_lesions(manifest)
    rows = [*manifest.split("train").rows, *lesion_rows(manifest, lesions_from)]
    among = [row for row in rows if not plan.sources or row.source in plan.sources]
    drawn = [row for row in among if lesions.known(row)]
    if not drawn:
        sources = sorted({row.source for row in rows if lesions.known(row)})
        known = f"; they are known of {', '.join(sources)}" if sources else ""
        raise UsageError(f"no training row has a mask or boxes to draw by{known}")
    healthy = [row for row in among if row.label == 0]
    n = min(len(healthy), round(plan.healthy * len(drawn)))
    chosen = np.random.default_rng(plan.random_state).choice(len(healthy), n, replace=False)
    return [*drawn, *(healthy[number] for number in sorted(chosen))]


def teach(
    model: LesionLiteBoxes,
    train: PreparedSet,
    boxes: KnownBoxes,
    recipe: Recipe,
    *,
    n_views: int,
    random_state: int,
    on_epoch: OnEpoch | None = None,
) -> list[float]:
    """Train what draws, in place, the rest being as it was; the mean loss of each epoch.

    What the network that reads says of a view is kept as float16, half a megabyte an image of 352 pixels.
    """
    device = choose_device()
    model.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    finder = model.finder.requires_grad_(True)
    optimizer = make_optimizer(finder, recipe, device)
    made = DeviceBatches(train, np.array(train.images), recipe, device, boxes=boxes)
    views: list[list[_Asked]] = []
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        rng = np.random.default_rng([random_state, epoch])
        if len(views) < n_views:
            views.append([_asked(model, batch) for batch in made.epoch(rng=rng)])
        batches = views[(epoch - 1) % len(views)]
        finder.train()
        total = 0.0
        for step, number in enumerate(rng.permutation(len(batches))):
            set_learning_rate(optimizer, recipe, epoch=epoch, done=(epoch - 1 + step / len(batches)) / recipe.epochs)
            asked = batches[number]
            scores, reach = model.draw(*(part.float() for part in asked.features))
            loss = box_loss(scores, reach, asked.boxes, asked.known, model.geometry)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(asked.known)
        losses.append(total / len(train.labels))
        if not np.isfinite(losses[-1]):
            raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
        if on_epoch is not None:
            on_epoch(epoch, recipe.epochs, losses[-1])
    model.cpu().to(memory_format=torch.contiguous_format).eval().requires_grad_(True)  # type: ignore[call-overload]
    return losses


class _Asked(NamedTuple):
    """A batch of views, as the network that reads sees it."""

    features: tuple[Tensor, ...]
    boxes: Tensor
    known: Tensor


@torch.no_grad()
def _asked(model: LesionLiteBoxes, batch: Batch[Tensor]) -> _Asked:
    model.eval()
    images = batch.images.contiguous(memory_format=torch.channels_last)
    features = tuple(part.half() for part in model.frozen(images))
    return _Asked(features, cast(Tensor, batch.boxes), cast(Tensor, batch.boxes_known))


def choose_steepness(model: LesionLiteBoxes, val: PreparedSet, manifest: Manifest, spec: PrepareSpec) -> float:
    """How far an image's other places fall behind its strongest: what gives the best average precision on validation.

    The loss asks whether a cell is in a lesion, of which an image's answer says little; without this a positive image
    has a dozen boxes above the threshold. The model keeps the choice.
    """
    exported = export_onnx(model, size=spec.size, channels=spec.channels, images=val.images)
    logits, scores, boxes = run_onnx(exported.model, val.images, outputs=["logit", "cam", "box"])
    start, end = (side / spec.size for side in model.geometry.extent(exported.cells))
    below = scores - logits[:, None, None]
    precision = {}
    for steepness in STEEPNESS:
        moved = (logits[:, None, None] + steepness * below).astype(np.float32)
        seen, _ = found_on(val.rows, manifest, moved, boxes, spec=spec, extent=(start, start, end, end))
        whole = np.ones((1, len(seen)))
        precision[steepness] = float(Matched.of(seen, LEVELS[0]).average_precision(whole)[0])
    chosen = max(precision, key=lambda one: (precision[one], one))
    model.steepness.fill_(chosen)
    return chosen


def _name_of(bundle: Bundle) -> str:
    """Of the network that draws."""
    name = f"{bundle.model.architecture}-boxes"
    if bundle.boxes is not None:
        raise UsageError(f"{bundle.id} draws boxes already")
    if name not in list_models() or bundle.training.recipe.get("mirrored"):
        raise UsageError(
            f"{bundle.id} is made of '{bundle.model.architecture}'; lesion-lite0, 1 and 2, one network that reads an "
            "image once, can learn to draw"
        )
    if bundle.calibration.knots is not None or bundle.calibration.bias is not None:
        raise UsageError(f"{bundle.id} is calibrated by more than a temperature; give the bundle as it was trained")
    return name


def _record(bundle: Bundle, model: nn.Module, cells: int) -> dict[str, Any]:
    """What stays of the bundle's record, with the map of the cells that have boxes."""
    dropped = (
        "format",
        "version",
        "sha256",
        "model",
        "operating_points",
        "temperature",
        "bias",
        "isotonic",
        "calibration",
    )
    kept = {key: value for key, value in bundle.record.items() if key not in dropped}
    geometry = cast(MapGeometry, model.geometry)
    start, end = (round(float(side) / bundle.prepare_spec.size, 6) for side in geometry.extent(cells))
    return kept | {
        "created": date.today().isoformat(),
        "heatmap": {"method": LesionLiteBoxes.map_method, "extent": [start, start, end, end]},
        "training": dict(bundle.record["training"]),
    }


def _drawn_on_validation(record: dict[str, Any], model: bytes, val: PreparedSet, manifest: Manifest) -> dict[str, Any]:
    """How good the boxes are on validation images, and how often the map's peak is on a drawn box."""
    scores, boxes = run_onnx(model, val.images, outputs=["cam", "box"])
    x0, y0, x1, y1 = record["heatmap"]["extent"]
    spec = PrepareSpec.from_dict(record["prepare"])
    seen, pointed = found_on(val.rows, manifest, scores, boxes, spec=spec, extent=(x0, y0, x1, y1))
    known = pointed[~np.isnan(pointed)]
    return {"pointing": round(float(known.mean()), 4) if len(known) else None, **detection_table(seen, n_resamples=500)}
