"""A class-activation map, its place on the image it came from, and the places it names."""

from dataclasses import dataclass

import cv2
import numpy as np

from secondread.images import Image, blend, encode_png, place_map, to_display
from secondread.images.prepare import Box
from secondread.tasks import N_

CAVEAT = N_("A heat map shows what the model used, not where disease is.")


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where in the image the answer came from. It shows what the model used, not where disease is.

    values: float32 (rows, columns), the model's own coarse map; above 0 speaks for the positive class.
    box: the part of the image that the map covers, in pixels of the image.
    width, height: of the image.
    """

    values: np.ndarray
    box: Box
    width: int
    height: int

    def strength(self, *, longest_side: int | None = None) -> np.ndarray:
        """float32 in 0–1 (height, width) of the image, or shrunk so that no side exceeds `longest_side`.

        The strongest cell that speaks for the positive class is 1; cells that speak against it are 0.
        """
        scale = 1.0 if longest_side is None else min(1.0, longest_side / max(self.width, self.height))
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        x0, y0, x1, y1 = (side * scale for side in self.box)
        towards = np.maximum(self.values, 0)
        top = float(towards.max())
        return place_map(towards / top if top > 0 else towards, (x0, y0, x1, y1), width=width, height=height)

    def overlay_png(self, *, longest_side: int = 512) -> bytes:
        """A PNG to lay over the image: colour map inferno (perceptually uniform), opaque where the map is strong."""
        return overlay_of(np.round(self.strength(longest_side=longest_side) * 255).astype(np.uint8))

    def blended_png(self, image: Image, *, longest_side: int = 1024) -> bytes:
        """The image with this map laid over it, as one PNG to look at."""
        pixels = to_display(image, longest_side=longest_side)
        return encode_png(blend(pixels, self.strength(longest_side=longest_side)))


def overlay_of(levels: np.ndarray) -> bytes:
    """The overlay of a map that was kept as grey levels: uint8 (height, width), 0 nothing, 255 strongest."""
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return encode_png(np.dstack([colours, levels]))


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
