"""Reads whole splits with a bundle, exactly as it is served, and writes down what comes out, failures with pictures."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from secondread.data import Manifest, Row
from secondread.data.split import counted, held_out_share, roles, validation_share
from secondread.evidence.detection import boxes_table
from secondread.evidence.evidence import Prediction, Scored, build_evidence, facts_of, subgroups, write_evidence
from secondread.evidence.localisation import Lesions, load_lesions
from secondread.evidence.measured import read_predictions
from secondread.evidence.promises import promises_of
from secondread.evidence.report import Failure, write_report
from secondread.evidence.series import series_evidence
from secondread.evidence.whom import header_facts
from secondread.images import Image, to_display
from secondread.reading import Bundle, Reader, Reading
from secondread.stats.operating_points import ValidationSet, guarantee_at
from secondread.training.heatmaps import Observation, heatmap_table, observe

SHOWN = 6  # of each kind
_SIDE = 320  # pixels of the longer side
_OUTLINE = (64, 220, 255)  # BGR: nothing in the colour map is of this yellow-green's hue
_QUALITY = 82  # JPEG: a picture of about 15 kB


def worst_failures(
    reader: Reader, manifest: Manifest, predictions: Sequence[Prediction], *, shown: int = SHOWN
) -> list[Failure]:
    """The false negatives with the lowest and the false positives with the highest probability, worst first.

    manifest: of the split, in the order of the predictions. Pictures are made anew from the files.
    """
    threshold = reader.operating_point.threshold
    read = [
        (p.probability, bool(p.label), row)
        for p, row in zip(predictions, manifest.rows, strict=True)
        if p.probability is not None
    ]
    ranked = sorted(read, key=lambda one: one[0])
    missed = [row for value, diseased, row in ranked if diseased and value <= threshold]
    alarms = [row for value, diseased, row in reversed(ranked) if not diseased and value > threshold]
    lesions = load_lesions(manifest)
    return [_failure(reader, row, lesions) for row in [*missed[:shown], *alarms[:shown]]]


def _failure(reader: Reader, row: Row, lesions: Lesions) -> Failure:
    reading = reader.read(row.path, keep_image=True)
    assert reading.image is not None, "an image that was read before is decoded again"
    assert reading.heatmap is not None, "an image that was read before is read again"
    plain = _bgr(to_display(reading.image, longest_side=_SIDE))
    blended = np.frombuffer(reading.heatmap.blended_png(reading.image, longest_side=_SIDE), np.uint8)
    mapped = np.asarray(cv2.imdecode(blended, cv2.IMREAD_COLOR))
    if lesions.known(row):
        _outline(plain, row, lesions, reading.image)
    return Failure(
        kind="missed" if row.label else "false alarm",
        path=row.name,
        source=row.source,
        probability=float(reading.probability or 0),
        picture=_jpeg(plain),
        mapped=_jpeg(mapped),
        outlined=lesions.known(row),
    )


def _outline(picture: np.ndarray, row: Row, lesions: Lesions, image: Image) -> None:
    height, width = picture.shape[:2]
    lesion = lesions.coverage(row, width=width, height=height, image_size=(image.width, image.height))
    contours, _ = cv2.findContours((lesion > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1)


def _bgr(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if pixels.ndim == 2 else cv2.COLOR_RGB2BGR)


def _jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


OnRead = Callable[[str, int, int], None]  # split, images read, images in all


def predictions_of(
    reader: Reader, manifest: Manifest, *, on_read: Callable[[int, int], None] | None = None
) -> list[Prediction]:
    """What the reader says of every row, in order; images that are refused say so."""
    readings = reader.read_many(row.path for row in manifest.rows)
    predictions = []
    for row, group, reading in zip(manifest.rows, manifest.groups, readings, strict=True):
        predictions.append(_prediction(row.name, row.label, row.source, group, reading))
        if on_read is not None:
            on_read(len(predictions), len(manifest.rows))
    return predictions


def evaluate(
    bundle: Bundle,
    manifest: Manifest,
    splits: Sequence[str],
    *,
    reader: Reader,
    command: str,
    prevalence: float | None = None,
    on_read: OnRead | None = None,
) -> dict[str, Any]:
    """The evidence of a bundle on the named splits, at the reader's operating point. Nothing is fitted or chosen here.

    prevalence: share of the diseased where the reader is to be used, for predictive values; default: each split's own.
    How often these weights have read a split goes on counting from the bundle's own evidence.
    Raises DataInvalid for a split that the manifest lacks, UsageError for a prevalence that is no share.
    """
    parts = {name: _measurable(bundle, manifest, name) for name in splits}
    found, details = {}, {}
    for name, part in parts.items():
        tell = None if on_read is None else lambda done, total, split=name: on_read(split, done, total)
        lesions = load_lesions(part)
        seen = observations_of(reader, part, lesions, on_read=tell)
        found[name] = [one.prediction for one in seen]
        details[name] = {
            "subgroups": _subgroups(part, seen, reader.operating_point.threshold),
            "heatmap": heatmap_table(reader, part, seen, lesions),
        }
        boxes = [one.found for one in seen if one.found is not None]
        if any(len(one.truth) for one in boxes):
            details[name]["boxes"] = boxes_table(boxes)
    point = reader.operating_point
    return build_evidence(
        found,
        bundle=bundle.id,
        weights_sha256=bundle.model.sha256,
        task=bundle.task.name,
        operating_point={"name": point.name, "threshold": point.threshold},
        thresholds=thresholds_of(bundle),
        bands=bands_of(bundle),
        prevalence=prevalence,
        details=details,
        data={
            "fingerprint": manifest.fingerprint(),
            "splits": {name: len(part.rows) for name, part in parts.items()},
            "rows": [*_roles(bundle, manifest), *counted("measured", list(parts.values()))],
        },
        promises=_promises(bundle, manifest, reader),
        before=bundle.evidence,
        series=series_evidence(bundle.series, found, slice_threshold=point.threshold) if bundle.series else None,
        command=command,
        date=date.today().isoformat(),
    )


def observations_of(
    reader: Reader, manifest: Manifest, lesions: Lesions, *, on_read: Callable[[int, int], None] | None = None
) -> list[Observation]:
    """As `predictions_of`, with the size of every image and how its heat map did."""
    reader = reader.with_faint_boxes()  # average precision asks for all of them, however weak
    readings = reader.read_many((row.path for row in manifest.rows), keep_image=True)
    seen = []
    for row, group, reading in zip(manifest.rows, manifest.groups, readings, strict=True):
        prediction = _prediction(row.name, row.label, row.source, group, reading)
        seen.append(observe(row, prediction, reading, lesions))
        if on_read is not None:
            on_read(len(seen), len(manifest.rows))
    return seen


def thresholds_of(bundle: Bundle) -> dict[str, float]:
    """Operating point → threshold; a point with a band is made of two others, which stand for themselves."""
    return {name: point.threshold for name, point in bundle.operating_points.items() if point.low is None}


def bands_of(bundle: Bundle) -> dict[str, tuple[float, float]]:
    """Operating point → the two ends of its uncertain band, for those that have one."""
    points = bundle.operating_points.items()
    return {name: (point.low, point.high) for name, point in points if point.low is not None and point.high is not None}


def failures_of(reader: Reader, manifest: Manifest, evidence: Mapping[str, Any]) -> dict[str, list[Failure]]:
    """split → its worst readings, as pictures for the page. They show the user's images: they belong there alone."""
    gallery = {}
    for split in evidence["predictions"]:
        predictions = read_predictions(evidence, split)
        measured = {prediction.path for prediction in predictions}  # what it was trained on was left out
        part = Manifest(tuple(row for row in manifest.split(split).rows if row.name in measured), manifest.folder)
        gallery[split] = worst_failures(reader, part, predictions)
    return gallery


def write_evaluation(
    evidence: dict[str, Any], bundle: Bundle, folder: Path, *, gallery: Mapping[str, Sequence[Failure]] | None = None
) -> Path:
    """evidence.json, the plots and the page in a folder. Returns the page's path.

    gallery: see `failures_of`; None leaves it out.
    """
    write_evidence(evidence, folder / "evidence.json")
    return write_report(evidence, bundle.task, folder, promises=promises_of(bundle, evidence), gallery=gallery)


def _measurable(bundle: Bundle, manifest: Manifest, split: str) -> Manifest:
    """The split, without the rows that this bundle was trained on or that its thresholds were chosen on."""
    if split not in bundle.training.recipe.get("lesions_from", ()):
        return manifest.split(split)
    return held_out_share(manifest, split, checked=split in bundle.data.thresholds_from)


def _roles(bundle: Bundle, manifest: Manifest) -> list[dict[str, Any]]:
    """Which rows taught and which chose: as the bundle's record says, else, of the data as they are, or by split."""
    if bundle.data.rows:
        return [dict(row) for row in bundle.data.rows]
    shared, chose = bundle.training.recipe.get("lesions_from", ()), bundle.data.thresholds_from
    if bundle.data.fingerprint == manifest.fingerprint():
        return roles(manifest, lesions_from=shared, thresholds_from=chose)
    known = bundle.data.splits
    named = [("taught", "train", known.get("train")), *(("taught", split, None) for split in shared)]
    named += [("chose", "val", known.get("val")), *(("chose", split, None) for split in chose)]
    return [{"role": role, "split": split, "source": "", "n": n, "n_positive": None} for role, split, n in named]


def _promises(bundle: Bundle, manifest: Manifest, reader: Reader) -> dict[str, Any]:
    """The promises of a bundle whose record is of before sources were told apart, as validation shows them one by one.

    Empty for any other, and where the manifest lacks validation images of both classes. Nothing is chosen.
    """
    points = [point for point in bundle.operating_points.values() if point.low is None and point.guarantees]
    of_before = all(one.n_groups is None for point in points for told in point.guarantees for one in told.sources)
    if not points or not of_before or "val" not in manifest.splits():
        return {}
    parts = [manifest.split("val"), *(validation_share(manifest, name) for name in bundle.data.thresholds_from)]
    deciding = Manifest(tuple(row for part in parts for row in part.rows), manifest.folder)
    read = [row for row in predictions_of(reader, deciding) if row.probability is not None]
    if len({row.label for row in read}) < 2:
        return {}
    scored = Scored.of(read)
    on = ValidationSet(
        scored.y_true,
        scored.probabilities,
        scored.groups,
        data="val",
        date="",
        weights_sha256=bundle.model.sha256,
        sources=[row.source for row in read],
    )
    return {
        point.name: [guarantee_at(on, told, threshold=point.threshold).to_dict() for told in point.guarantees]
        for point in points
    }


def _subgroups(manifest: Manifest, seen: Sequence[Observation], threshold: float) -> dict[str, Any]:
    """Of the images that could be decoded: of the others there is nothing to group by."""
    pairs = [(row, one) for row, one in zip(manifest.rows, seen, strict=True) if one.size is not None]
    if not pairs:
        return {}
    facts = facts_of(
        Manifest(tuple(row for row, _ in pairs), manifest.folder),
        image_sizes=[one.size for _, one in pairs if one.size is not None],
        lesion_shares=[one.lesion_share for _, one in pairs],
    )
    facts |= header_facts([one.header for _, one in pairs])
    return subgroups([one.prediction for _, one in pairs], facts, threshold=threshold)


def _prediction(name: str, label: int, source: str, group: str, reading: Reading) -> Prediction:
    return Prediction(
        name, label, source, group, reading.probability, reading.refusal.code if reading.refusal else None
    )
