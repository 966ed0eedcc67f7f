"""What a notebook shows of a reading and of a bundle: one self-contained piece of HTML each, small and escaped.

Both import this module when they are shown, so their types are not named here.
"""

from typing import Any

import numpy as np

from secondread.images import encode_jpeg, to_display
from secondread.pages import data_uri, render
from secondread.pages.bars import BLUE, GREEN, ORANGE, RED, bar, curve
from secondread.reading.findings import with_boxes
from secondread.reading.heatmap import CAVEAT, drawn_over, overlay_of

SIDE = 320  # pixels of the longest side of the picture
_COLOURS = {"positive": RED, "negative": GREEN, "uncertain": ORANGE}


def reading_html(reading: Any) -> str:
    """The picture with its map and boxes, the decision, and the probability on a bar with the operating point."""
    decision = None if reading.decision is None else str(reading.decision)
    marks = [mark for mark in (reading.low, reading.threshold) if mark is not None]
    scores = [one.probability for one in reading.frames if one.probability is not None]
    return render(
        "reading/templates/reading.html",
        title=f"Reading: {reading.task or 'task not known'}",
        reading=reading,
        decision=decision,
        colour=_COLOURS.get(decision or "", ORANGE),
        picture=_picture(reading),
        bar=None if reading.probability is None else bar(reading.probability, marks=marks, colour=BLUE),
        curve=curve(_along(scores), title="probability by frame") if len(scores) > 1 else None,
        caveat=CAVEAT if reading.heatmap is not None else "",
    )


def _picture(reading: Any) -> str:
    """A data URI; '' of a reading that holds neither a picture nor a map."""
    pixels = picture_of(reading, longest_side=SIDE)
    if pixels is not None:
        return data_uri(encode_jpeg(pixels))
    return "" if reading.heatmap is None else data_uri(overlay_of(reading.heatmap.levels(longest_side=SIDE)))


def picture_of(reading: Any, *, longest_side: int) -> np.ndarray | None:
    """uint8 RGB or grey: the picture that a reading holds, with map and boxes over it; None where it holds none."""
    pixels = plain_picture(reading, longest_side=longest_side)
    if pixels is None or reading.heatmap is None:
        return pixels
    drawn = drawn_over(pixels, reading.heatmap.levels(longest_side=longest_side), least_side=longest_side)
    boxes = [(one.box, True) for one in reading.findings or ()]
    return with_boxes(drawn, boxes, width=reading.heatmap.width)


def plain_picture(reading: Any, *, longest_side: int) -> np.ndarray | None:
    """The same without anything over it."""
    held = reading.small if reading.image is None else reading.image
    return None if held is None else to_display(held, longest_side=longest_side)


def _along(scores: list[float]) -> list[tuple[float, float]]:
    return [(at / (len(scores) - 1), score) for at, score in enumerate(scores)]


def bundle_html(bundle: Any) -> str:
    """What it reads, how its operating points did where they were chosen, and what was measured of it since."""
    evidence = bundle.evidence or {"results": {}, "predictions": {}}
    return render(
        "reading/templates/bundle.html",
        title=f"Bundle: {bundle.id}",
        bundle=bundle,
        points=[_point(point) for point in bundle.operating_points.values()],
        measured=measured_rows(evidence["results"], only=("roc_auc",)),
        curves=roc_curves(evidence),
    )


def _point(point: Any) -> dict[str, Any]:
    rates = {}
    for name in ("sensitivity", "specificity"):
        rate = getattr(point, name)
        known = rate is not None and rate.value is not None
        rates[name] = {
            "bar": bar(rate.value, low=rate.low, high=rate.high) if known else "",
            "text": rate.format() if known else "–",
        }
    return {"name": point.name, "low": point.low, "threshold": point.threshold, **rates}


def measured_rows(results: Any, *, only: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """A row for each split and measure of an evidence file: {split, n, n_positive, measure, text, bar}."""
    from secondread.stats.interval import Interval

    rows = []
    for split, part in results.items():
        for name, table in part["metrics"].items():
            found = Interval.from_dict(table)
            if (only is not None and name not in only) or found.value is None:
                continue
            within = 0 <= found.value <= 1 and not name.startswith("lr_")  # a ratio is no share
            rows.append(
                {
                    "split": split,
                    "n": part["n"],
                    "n_positive": part["n_positive"],
                    "measure": name,
                    "text": found.format(),
                    "bar": bar(found.value, low=found.low, high=found.high) if within else "",
                }
            )
    return rows


_MOST_CURVES = 3


def roc_curves(evidence: Any) -> list[dict[str, Any]]:
    """{split, curve} of the first splits of an evidence file that hold both classes."""
    from secondread.stats.metrics import roc_points

    found: list[dict[str, Any]] = []
    for split, rows in evidence["predictions"].items():
        read = [(row[1] == 1, row[2]) for row in rows if row[2] is not None]
        y_true, y_score = (np.array(column) for column in zip(*read, strict=True)) if read else (np.zeros(0),) * 2
        if len(set(y_true.tolist())) == 2 and len(found) < _MOST_CURVES:
            title = f"ROC curve, {split}"
            found.append({"split": split, "curve": curve(roc_points(y_true, y_score), title=title, chance=True)})
    return found
