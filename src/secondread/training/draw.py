"""A bundle that reads well learns to draw: its network stays as it is, and what names boxes is trained beside it.

So a bundle gets boxes in minutes, and without another answer: what it says of an image is what it said before.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from secondread.data import Manifest, PreparedSet, Row
from secondread.data.split import with_validation
from secondread.errors import TrainingError, UsageError
from secondread.evidence.detection import LEVELS, Matched, detection_table
from secondread.evidence.localisation import load_lesions
from secondread.images import PrepareSpec
from secondread.images.prepare import Box
from secondread.models.finder import Finder
from secondread.reading import Bundle, write_bundle
from secondread.reading.bundle import Member
from secondread.training.batches import Batch
from secondread.training.boxes import KnownBoxes, box_loss, known_boxes
from secondread.training.decide import map_zero
from secondread.training.device import choose_device
from secondread.training.device_batches import DeviceBatches
from secondread.training.export import TOLERANCE, run_onnx
from secondread.training.found import Drawn, drawn_on, found_on
from secondread.training.graft import SEEN, grafted, tapped
from secondread.training.optimise import make_optimizer, set_learning_rate
from secondread.training.prepare import lesion_rows, val_rows
from secondread.training.recipe import Recipe, load_recipe
from secondread.training.train import Progress, measure_bundle, prepared_part, versions

STEEPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_AS_GOOD = 0.02  # of average precision: a tenth of its interval's width
_CHECKED = 16  # images on which the file must draw as torch does

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
    """Write to `out` the same bundle with a network that draws. Calibration and operating points stay, as the answers
    do.

    Raises UsageError for a bundle that cannot learn it or rows that teach nothing, TrainingError or BundleError.
    """
    progress = progress or Progress()
    if bundle.boxes is not None:
        raise UsageError(f"{bundle.id} draws boxes already")
    if bundle.data.fingerprint != manifest.fingerprint():
        raise UsageError(f"{bundle.id} was trained on other data than this manifest's; give the one it was trained on")
    if len({member.prepare["size"] for member in bundle.members}) > 1:
        raise UsageError(f"the networks of {bundle.id} read at several sizes: what they see does not lie cell on cell")
    reads, spec, recipe = bundle.model_path.read_bytes(), bundle.prepare_spec, plan.recipe_for(bundle)
    elsewhere = [number for number, member in enumerate(bundle.members) if _sees_elsewhere(member, spec)]
    sees = tapped(reads, without=elsewhere)
    shared = bundle.training.recipe.get("lesions_from", ())
    divided = with_validation(manifest, bundle.training.recipe.get("val_from", ()))
    rows = teaching_rows(divided, plan, shared)
    chosen = Manifest((*divided.split("val").rows, *val_rows(manifest, shared)), manifest.folder)
    val = prepared_part(chosen, "val", spec, cache_folder, progress)
    train = prepared_part(Manifest(tuple(rows), manifest.folder), "train", spec, cache_folder, progress)
    boxes = known_boxes(manifest, train.rows, spec)
    finder = new_finder(sees, spec, random_state=plan.random_state)
    started = time.perf_counter()
    losses = teach(
        finder, sees, train, boxes, recipe, n_views=plan.views, random_state=plan.random_state, on_epoch=on_epoch
    )
    seconds = time.perf_counter() - started
    judged = known_rows(val, manifest, plan.sources)
    drawn, few = drawn_on(judged.rows, manifest, spec), val.images[:_CHECKED]
    finder.steepness.fill_(choose_steepness(grafted(reads, finder, few, without=elsewhere), judged, drawn, spec))
    draws = grafted(reads, finder, few, without=elsewhere)
    before, after = (run_onnx(model, val.images, outputs=["logit"])[0] for model in (reads, draws))
    away = float(np.abs(before - after).max())
    if not away <= TOLERANCE:
        raise TrainingError(f"the network that draws answers {away:.2g} away from {bundle.id}; nothing was written")
    record = _record(bundle, finder, draws)
    record["training"]["boxes"] = {
        "command": command,
        **asdict(replace(plan, sources=tuple(sorted({row.source for row in rows if row.label == 1})))),
        "n_images": len(rows),
        "n_boxes": int(boxes.counts().sum()),
        "loss": [round(loss, 5) for loss in losses],
        "steepness": float(finder.steepness),
        "val": _drawn_on_validation(draws, judged, drawn, spec),
        "logit_difference_from_before": away,
        "seconds": round(seconds, 1),
        "versions": versions(),
    }
    made = write_bundle(out, record=record, model=draws, task_file=bundle.task_file)
    if measure:
        measure_bundle(made, manifest, command=command, progress=progress)
    return made


def _sees_elsewhere(member: Member, spec: PrepareSpec) -> bool:
    """Whether it sees another view than the first, in whose pixels boxes are drawn."""
    return member.prepare.get("field", "whole") != spec.views[0].field


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


def new_finder(sees: bytes, spec: PrepareSpec, *, random_state: int) -> Finder:
    """As wide as what the network sees. sees: see `tapped`."""
    blank = np.zeros((1, spec.size, spec.size, spec.depth), dtype=np.uint8)
    fine, middle, last = (values.shape[1] for values in run_onnx(sees, blank, outputs=SEEN[:3]))
    with torch.random.fork_rng(devices=[]):  # it draws from the global generator, which is put back
        torch.manual_seed(random_state)
        return Finder(fine, middle, last)


def teach(
    finder: Finder,
    sees: bytes,
    train: PreparedSet,
    boxes: KnownBoxes,
    recipe: Recipe,
    *,
    n_views: int,
    random_state: int,
    on_epoch: OnEpoch | None = None,
) -> list[float]:
    """Train it, in place; the mean loss of each epoch.

    What the network that reads says of a view is kept as float16, half a megabyte an image of 352 pixels.
    """
    device = choose_device()
    finder.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(finder, recipe, device)
    made = DeviceBatches(train, np.array(train.images), recipe, device, boxes=boxes)
    views: list[list[_Asked]] = []
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        rng = np.random.default_rng([random_state, epoch])
        if len(views) < n_views:
            views.append(_asked(sees, list(made.epoch(rng=rng))))
        batches = views[(epoch - 1) % len(views)]
        finder.train()
        total = 0.0
        for step, number in enumerate(rng.permutation(len(batches))):
            set_learning_rate(optimizer, recipe, epoch=epoch, done=(epoch - 1 + step / len(batches)) / recipe.epochs)
            asked = batches[number]
            scores, reach = finder.draw(*(part.float() for part in asked.seen))
            loss = box_loss(scores, reach, asked.boxes, asked.known, finder.geometry)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(asked.known)
        losses.append(total / len(train.labels))
        if not np.isfinite(losses[-1]):
            raise TrainingError("the loss is no longer a number; lower the learning rate (--learning-rate)")
        if on_epoch is not None:
            on_epoch(epoch, recipe.epochs, losses[-1])
    finder.cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return losses


class _Asked(NamedTuple):
    """A batch of views, as the network that reads sees it."""

    seen: list[Tensor]
    boxes: Tensor
    known: Tensor


def _asked(sees: bytes, batches: Sequence[Batch[Tensor]]) -> list[_Asked]:
    device = batches[0].images.device
    images = torch.cat([batch.images for batch in batches]).mul(255).round().byte().permute(0, 2, 3, 1)
    seen = run_onnx(sees, images.cpu().numpy(), outputs=SEEN[:4], batch_size=16)
    lengths = [len(batch.images) for batch in batches]
    parts = [torch.from_numpy(values).half().to(device).split(lengths) for values in seen]
    return [
        _Asked(own, cast(Tensor, batch.boxes), cast(Tensor, batch.boxes_known))
        for batch, *own in zip(batches, *parts, strict=True)
    ]


def known_rows(prepared: PreparedSet, manifest: Manifest, sources: Sequence[str] = ()) -> PreparedSet:
    """Those of which it is known where their lesions lie, or that they have none: boxes on others are not judged.

    sources: whose boxes teach; where some are named and validation has images of theirs, only these are judged: others
    draw otherwise.
    """
    lesions = load_lesions(manifest)
    known = [number for number, row in enumerate(prepared.rows) if not row.label or lesions.known(row)]
    known = [number for number in known if prepared.rows[number].source in sources] or known
    rows = tuple(prepared.rows[number] for number in known)
    return PreparedSet(prepared.images[known], prepared.labels[known], rows)


def choose_steepness(draws: bytes, val: PreparedSet, drawn: Sequence[Drawn], spec: PrepareSpec) -> float:
    """How far an image's other places fall behind its strongest: as far as goes, with an average precision on
    validation that is as good as the best.

    The loss asks whether a cell is in a lesion, of which an image's answer says little; without this a positive image
    has a dozen boxes above the threshold, which the average precision hardly minds, as they come last, and whoever
    looks at the image does. draws: with a steepness of 1.
    """
    logits, scores, boxes = run_onnx(draws, val.images, outputs=["logit", "cam", "box"])
    answers = logits[:, None, None]
    precision = {}
    for steepness in STEEPNESS:
        moved = (answers + steepness * (scores - answers)).astype(np.float32)
        seen, _ = found_on(drawn, moved, boxes, size=spec.size, extent=extent_of(spec))
        whole = np.ones((1, len(seen)))
        precision[steepness] = float(Matched.of(seen, LEVELS[0]).average_precision(whole)[0])
    return steepest(precision)


def steepest(precision: Mapping[float, float]) -> float:
    """Of the average precision by steepness: the steepest that is as good as the best."""
    return max(one for one, found in precision.items() if found >= max(precision.values()) - _AS_GOOD)


def extent_of(spec: PrepareSpec) -> Box:
    """Where the cells that have boxes lie on the input, in shares of its side."""
    cells = math.ceil(spec.size / Finder.geometry.stride)
    start, end = (round(float(side) / spec.size, 6) for side in Finder.geometry.extent(cells))
    return start, start, end, end


def _record(bundle: Bundle, finder: Finder, draws: bytes) -> dict[str, Any]:
    """The bundle's, of a file that draws as well."""
    model, of_file = bundle.model, {"weights_sha256": hashlib.sha256(draws).hexdigest()}
    record = {key: value for key, value in bundle.record.items() if key not in ("format", "version", "sha256")}
    points = {name: {**point, **of_file} for name, point in record["operating_points"].items()}
    series = {"series": {**record["series"], **of_file}} if record.get("series") else {}
    return {
        **record,
        **series,
        "operating_points": points,
        "created": date.today().isoformat(),
        "model": {
            **record["model"],
            "architecture": f"{model.architecture}-boxes",
            "parameters": model.parameters + sum(parameter.numel() for parameter in finder.parameters()),
        },
        "heatmap": {
            "method": Finder.map_method,
            "extent": list(extent_of(bundle.prepare_spec)),
            "zero": map_zero(record),
        },
        "boxes": {"label": bundle.task.positive_class},
        "training": dict(record["training"]),
    }


def _drawn_on_validation(draws: bytes, val: PreparedSet, drawn: Sequence[Drawn], spec: PrepareSpec) -> dict[str, Any]:
    """How good the boxes are on validation images, and how often the map's peak is on a drawn box."""
    scores, boxes = run_onnx(draws, val.images, outputs=["cam", "box"])
    seen, pointed = found_on(drawn, scores, boxes, size=spec.size, extent=extent_of(spec))
    known = pointed[~np.isnan(pointed)]
    return {"pointing": round(float(known.mean()), 4) if len(known) else None, **detection_table(seen, n_resamples=500)}
