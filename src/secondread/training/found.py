"""What a network that draws found on prepared images, beside what people drew on them."""

from collections.abc import Sequence

import numpy as np

from secondread.data import Manifest, Row
from secondread.evidence.detection import Found
from secondread.evidence.localisation import TOLERANCE, boxes_of, load_lesions
from secondread.images import PrepareSpec, decode, prepare
from secondread.images.prepare import Box
from secondread.reading.findings import Focus, findings_of

_LOWEST = -5.0  # logit: boxes below say nothing, and only lengthen the list
_MOST = 20  # boxes an image


def found_on(
    rows: Sequence[Row],
    manifest: Manifest,
    scores: np.ndarray,
    boxes: np.ndarray | None,
    *,
    spec: PrepareSpec,
    extent: Box,
) -> tuple[list[Found], np.ndarray]:
    """The boxes of every image beside those that people drew, and whether the map's peak is on a drawn box or within
    `TOLERANCE` of one (NaN where none is drawn).

    rows: of the manifest. scores (n, rows, columns) and boxes (n, 4, rows, columns) as the network gives them of the
    rows' images, prepared by `spec`; extent: see `findings_of`.
    """
    lesions, groups = load_lesions(manifest), Manifest(tuple(rows), manifest.folder).groups
    seen, pointed = [], []
    for number, row in enumerate(rows):
        image = decode(row.path.read_bytes())
        shown, image_size = prepare(image, spec).box, (image.width, image.height)
        found: list[Focus] = []
        if boxes is not None:
            found = findings_of(
                scores[number],
                boxes[number],
                extent=extent,
                shown=shown,
                size=spec.size,
                image_size=image_size,
                above=_LOWEST,
                most=_MOST,
            )
        truth = boxes_of(row, lesions) if lesions.known(row) else np.zeros((0, 4))
        corners = np.array([(x, y, x + w, y + h) for x, y, w, h in (one.box for one in found)]).reshape(-1, 4)
        seen.append(Found(truth, corners, np.array([one.logit for one in found]), groups[number]))
        pointed.append(_points(scores[number], truth, extent, shown, image_size))
    return seen, np.array(pointed)


def _points(
    scores: np.ndarray,
    truth: np.ndarray,
    extent: Box,
    shown: Box,
    image_size: tuple[int, int],
) -> float:
    if not len(truth):
        return float("nan")
    row, column = divmod(int(scores.argmax()), scores.shape[1])
    x = shown[0] + (extent[0] + (column + 0.5) / scores.shape[1] * (extent[2] - extent[0])) * (shown[2] - shown[0])
    y = shown[1] + (extent[1] + (row + 0.5) / scores.shape[0] * (extent[3] - extent[1])) * (shown[3] - shown[1])
    reach_x = np.maximum(np.maximum(truth[:, 0] - x, x - truth[:, 2]), 0)
    reach_y = np.maximum(np.maximum(truth[:, 1] - y, y - truth[:, 3]), 0)
    return float((np.hypot(reach_x, reach_y) <= TOLERANCE * max(image_size)).any())
