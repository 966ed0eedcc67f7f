"""What a network that draws found on prepared images, beside what people drew on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondread.data import Manifest, Row
from secondread.evidence.detection import Found
from secondread.evidence.localisation import TOLERANCE, boxes_of, load_lesions
from secondread.images import PrepareSpec, decode, prepare
from secondread.images.prepare import Box
from secondread.reading.findings import Focus, findings_of

_LOWEST = -5.0  # logit: boxes below say nothing, and only lengthen the list
_MOST = 20  # boxes an image


@dataclass(frozen=True, eq=False)
class Drawn:
    """What people drew on an image, and its place on the input."""

    boxes: np.ndarray  # float (n, 4): left, top, right, bottom in pixels of the file
    group: str
    shown: Box  # what the input shows of the image
    image_size: tuple[int, int]  # width, height


def drawn_on(rows: Sequence[Row], manifest: Manifest, spec: PrepareSpec) -> list[Drawn]:
    """Of rows of the manifest, prepared by `spec`."""
    lesions, groups = load_lesions(manifest), Manifest(tuple(rows), manifest.folder).groups
    drawn = []
    for row, group in zip(rows, groups, strict=True):
        image = decode(row.path.read_bytes())
        boxes = boxes_of(row, lesions) if lesions.known(row) else np.zeros((0, 4))
        drawn.append(Drawn(boxes, group, prepare(image, spec).box, (image.width, image.height)))
    return drawn


def found_on(
    drawn: Sequence[Drawn], scores: np.ndarray, boxes: np.ndarray | None, *, size: int, extent: Box
) -> tuple[list[Found], np.ndarray]:
    """The boxes of every image beside those that people drew, and whether the map's peak is on a drawn box or within
    `TOLERANCE` of one (NaN where none is drawn).

    scores (n, rows, columns) and boxes (n, 4, rows, columns) as the network gives them of the images; size: of its
    input, pixels; extent: see `findings_of`.
    """
    seen, pointed = [], []
    for number, one in enumerate(drawn):
        found: list[Focus] = []
        if boxes is not None:
            found = findings_of(
                scores[number],
                boxes[number],
                extent=extent,
                shown=one.shown,
                size=size,
                image_size=one.image_size,
                above=_LOWEST,
                most=_MOST,
            )
        corners = np.array([(x, y, x + w, y + h) for x, y, w, h in (each.box for each in found)]).reshape(-1, 4)
        seen.append(Found(one.boxes, corners, np.array([each.logit for each in found]), one.group))
        pointed.append(_points(scores[number], one, extent))
    return seen, np.array(pointed)


def _points(scores: np.ndarray, drawn: Drawn, extent: Box) -> float:
    truth, shown = drawn.boxes, drawn.shown
    if not len(truth):
        return float("nan")
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    x = shown[0] + (extent[0] + (column + 0.5) / scores.shape[1] * (extent[2] - extent[0])) * (shown[2] - shown[0])
    y = shown[1] + (extent[1] + (row + 0.5) / scores.shape[0] * (extent[3] - extent[1])) * (shown[3] - shown[1])
    reach_x = np.maximum(np.maximum(truth[:, 0] - x, x - truth[:, 2]), 0)
    reach_y = np.maximum(np.maximum(truth[:, 1] - y, y - truth[:, 3]), 0)
    return float((np.hypot(reach_x, reach_y) <= TOLERANCE * max(drawn.image_size)).any())
