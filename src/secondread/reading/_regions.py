"""The places that a lesion map names, as boxes and outlines."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

_FLOOR = 26  # of 255: below a tenth of the strongest place the map only fades out
_MOST = 5
_SMALLEST = 0.0005  # share of the image
_LOOSE = 0.012  # of the outline's length: how far its corners may leave it


@dataclass(frozen=True)
class Region:
    """One place of an image that looks diseased to the network. Not the border of a lesion: cells are coarse.

    box: x, y, width, height; outline: corners (x, y) in turn; both in pixels of the image. peak: its strongest place
    as a share of the map's strongest. area: share of the image.
    """

    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...]
    peak: float
    area: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        outline = [list(corner) for corner in self.outline]
        return {"box": list(self.box), "outline": outline, "peak": self.peak, "area": self.area}


def regions_of(strength: np.ndarray, *, width: int, height: int) -> list[Region]:
    """The strongest regions first, at most five.

    strength: uint8 (rows, columns), a heat map of the whole image, 255 where it is strongest; width, height: of the
    image. Only of maps that are lesion maps (`Bundle.maps_lesions`): what another map shows is no place of disease.
    """
    above = (strength >= _FLOOR).astype(np.uint8)
    scale_x, scale_y = width / strength.shape[1], height / strength.shape[0]
    n, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    found = []
    for number in range(1, n):
        x, y, wide, high, area = (int(value) for value in stats[number])
        if area < _SMALLEST * strength.size:
            continue
        inside = labels[y : y + high, x : x + wide] == number
        peak = float(strength[y : y + high, x : x + wide][inside].max()) / 255
        (contour, *_), _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        corners = cv2.approxPolyDP(contour, _LOOSE * cv2.arcLength(contour, closed=True), closed=True)[:, 0]
        outline = tuple((round((x + cx + 0.5) * scale_x), round((y + cy + 0.5) * scale_y)) for cx, cy in corners)
        left, top = round(x * scale_x), round(y * scale_y)
        box = (left, top, round((x + wide) * scale_x) - left, round((y + high) * scale_y) - top)
        found.append(Region(box, outline, round(peak, 3), round(area / strength.size, 4)))
    return sorted(found, key=lambda region: (-region.peak, -region.area))[:_MOST]
