"""A heat map, its place on the image it came from, the places it names, and the one way both are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from secondread.images import Image, blend, encode_png, place_map, to_display
from secondread.images.prepare import Box
from secondread.reading.findings import with_boxes
from secondread.tasks import N_

CAVEAT = N_("A heat map shows what the model used, not where disease is.")


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where in the image the answer came from. It shows what the model used, not where disease is.

    values: float32 (rows, columns), the model's own coarse map; above 0 speaks for the positive class.
    box: the part of the image that the map covers, in pixels of the image.
    width, height: of the image.
    full: of a lesion map the value that is drawn strongest, counted from the bundle's zero like `values`; None for a
    map that says nothing of a place by itself, whose strongest cell is.
    """

    values: np.ndarray
    box: Box
    width: int
    height: int
    full: float | None = None

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of one of its cells, in pixels of the image: nothing finer is known."""
        rows, columns = self.values.shape
        x0, y0, x1, y1 = self.box
        return (x1 - x0) / columns, (y1 - y0) / rows

    def strength(self, *, longest_side: int | None = None) -> np.ndarray:
        """float32 in 0–1 (height, width) of the image, or shrunk so that no side exceeds `longest_side`.

        0 is what speaks against the positive class or not for it. 1 is `full`, or the strongest cell where that is
        stronger or `full` is not known: a lesion map that is faint everywhere stays faint.
        """
        scale = 1.0 if longest_side is None else min(1.0, longest_side / max(self.width, self.height))
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        x0, y0, x1, y1 = (side * scale for side in self.box)
        towards = np.maximum(self.values, 0)
        top = max(float(towards.max()), self.full or 0.0)
        return place_map(towards / top if top > 0 else towards, (x0, y0, x1, y1), width=width, height=height)

    def levels(self, *, longest_side: int) -> np.ndarray:
        """Its strength as it is kept: uint8 (height, width), 0 nothing, 255 strongest."""
        return np.round(self.strength(longest_side=longest_side) * 255).astype(np.uint8)

    def overlay_png(self, *, longest_side: int = 512) -> bytes:
        """A PNG to lay over the image: colour map inferno (perceptually uniform), opaque where the map is strong."""
        return overlay_of(self.levels(longest_side=longest_side))

    def blended_png(
        self,
        image: Image,
        *,
        longest_side: int = 1024,
        outlines: bool = False,
        boxes: Sequence[tuple[Box, bool]] = (),
    ) -> bytes:
        """The image with this map laid over it, as one PNG to look at; with outlines those of a lesion map too.

        boxes: see `with_boxes`.
        """
        pixels, levels = to_display(image, longest_side=longest_side), self.levels(longest_side=_WORK_SIDE)
        regions: Sequence[Region] = ()
        if outlines and self.full is not None:
            regions = regions_of(levels, width=self.width, height=self.height, cell=self.cell)
        return encode_png(with_boxes(drawn_over(pixels, levels, regions, width=self.width), boxes, width=self.width))


_WORK_SIDE = 512  # longest side, pixels, at which a map is kept and its places are found


def overlay_of(levels: np.ndarray) -> bytes:
    """The overlay of a map that was kept as grey levels: uint8 (height, width), 0 nothing, 255 strongest."""
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return encode_png(np.dstack([colours, levels]))


_FLOOR = 26  # of 255: a place whose strongest point is below a tenth of full strength is none
_HALF = 0.5  # an outline is drawn where the map falls to this share of the place's strongest point
_APART = 0.85  # two places where the map between them falls to this share of the weaker one's strongest point
_STEP = 4  # of 255, between the levels that are looked at
_MOST = 5
_SMALLEST = 0.0005  # share of the image, where the size of a cell is not known
_SMALLEST_OF_CELL = 0.4  # share of a cell: half height of a single cell's peak encloses half of it
_LOOSE = 0.012  # of the outline's length: how far its corners may leave it


@dataclass(frozen=True)
class Region:
    """One place of an image that looks diseased to the network. Not the border of a lesion: cells are coarse.

    box: x, y, width, height; outline: corners (x, y) in turn; both in pixels of the image. peak: its strongest point,
    0 at the bundle's zero, 1 at full strength. area: share of the image.
    """

    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...]
    peak: float
    area: float


def regions_of(
    strength: np.ndarray, *, width: int, height: int, cell: tuple[float, float] | None = None
) -> list[Region]:
    """The strongest regions first, at most five: one around each maximum that stands apart from the others.

    An outline is where the map falls to half of its maximum, or higher where another place begins, and never
    encloses less than the cell the maximum lies in.

    strength: uint8 (rows, columns), a heat map of the whole image, 255 where it is strongest; width, height: of the
    image; cell: width and height of one of the map's own cells, in pixels of the image, where known. Only of maps that
    are lesion maps (`Bundle.maps_lesions`): what another map shows is no place of disease.
    """
    scale_x, scale_y = width / strength.shape[1], height / strength.shape[0]
    own_cell = None if cell is None else (cell[0] / scale_x, cell[1] / scale_y)
    smallest = _SMALLEST * strength.size
    if own_cell is not None:
        smallest = min(smallest, _SMALLEST_OF_CELL * own_cell[0] * own_cell[1])
    taken = np.zeros(strength.shape, bool)
    found: list[Region] = []
    for focus in sorted(_foci(strength), key=lambda one: -one.peak):
        inside = _part_at(strength >= max(_FLOOR, round(_HALF * focus.peak), focus.alone_from), focus) & ~taken
        if np.count_nonzero(inside) < smallest:
            continue
        if own_cell is not None:
            inside |= _cell_around(focus, own_cell, strength.shape) & ~taken
            inside = _part_at(inside, focus)
        taken |= inside
        found.append(_region(inside, focus, own_cell, scale_x, scale_y))
    return sorted(found, key=lambda region: (-region.peak, -region.area))[:_MOST]


class _Focus(NamedTuple):
    """A maximum that stands apart, and the lowest level at which nothing else of that kind hangs on it."""

    y: int
    x: int
    peak: int
    alone_from: int


def _foci(strength: np.ndarray) -> list[_Focus]:
    """From the highest level down: parts appear, grow, and meet. What meets too high up is one place."""
    seen: list[_Focus] = []  # also what was swallowed, so that it is not taken for new
    swallowed: set[int] = set()
    top = int(strength.max())
    for level in range(top, _FLOOR - 1, -_STEP):
        above = (strength >= level).astype(np.uint8)
        n, labels = cv2.connectedComponents(above, connectivity=8)
        parts: dict[int, list[int]] = {}
        for number, focus in enumerate(seen):
            parts.setdefault(int(labels[focus.y, focus.x]), []).append(number)
        if len(parts) < n - 1:  # a part without a maximum that is known: a new one
            for part in set(range(1, n)) - set(parts):
                parts[part] = [len(seen)]
                seen.append(_highest(np.where(labels == part, strength, 0)))
        for numbers in parts.values():
            met = sorted((one for one in numbers if one not in swallowed), key=lambda one: -seen[one].peak)
            for one in met[1:]:
                if level > _APART * seen[one].peak:
                    swallowed.add(one)
            apart = [one for one in met if one not in swallowed]
            if len(apart) > 1:
                for one in apart:
                    seen[one] = seen[one]._replace(alone_from=max(seen[one].alone_from, level + _STEP))
        if len(seen) > _MOST_MAXIMA:
            break
    return [focus for number, focus in enumerate(seen) if number not in swallowed]


def _highest(strength: np.ndarray) -> _Focus:
    """Its maximum; of a plateau the point nearest to the middle."""
    peak = int(strength.max())
    ys, xs = np.nonzero(strength == peak)
    middle = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return _Focus(int(ys[middle]), int(xs[middle]), peak, _FLOOR)


_MOST_MAXIMA = 400  # noise has more; it names no places below the levels reached by then


def _part_at(mask: np.ndarray, focus: _Focus) -> np.ndarray:
    """What of the mask hangs together with the focus."""
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
    return (labels == labels[focus.y, focus.x]) & mask


def _cell_around(focus: _Focus, cell: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    half_x, half_y = cell[0] / 2, cell[1] / 2
    left, top = max(0, round(focus.x + 0.5 - half_x)), max(0, round(focus.y + 0.5 - half_y))
    mask[top : max(top + 1, round(focus.y + 0.5 + half_y)), left : max(left + 1, round(focus.x + 0.5 + half_x))] = True
    return mask


def _region(
    inside: np.ndarray, focus: _Focus, cell: tuple[float, float] | None, scale_x: float, scale_y: float
) -> Region:
    x, y, wide, high = cv2.boundingRect(inside.astype(np.uint8))
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    loose = max(_LOOSE * cv2.arcLength(contour, closed=True), 0.1 * min(cell) if cell else 0.0)
    corners = cv2.approxPolyDP(contour, loose, closed=True)[:, 0]
    outline = tuple((round((cx + 0.5) * scale_x), round((cy + 0.5) * scale_y)) for cx, cy in corners)
    left, top = round(x * scale_x), round(y * scale_y)
    box = (left, top, round((x + wide) * scale_x) - left, round((y + high) * scale_y) - top)
    return Region(box, outline, round(focus.peak / 255, 3), round(int(np.count_nonzero(inside)) / inside.size, 4))


_LINE = (255, 209, 102)  # RGB, as on the pages: no colour of the map has this hue
_UNDER = 0.55  # how dark the shade under a line is


def drawn_over(
    pixels: np.ndarray,
    levels: np.ndarray,
    regions: Sequence[Region] = (),
    *,
    width: int = 1,
    least_side: int = 0,
) -> np.ndarray:
    """uint8 (height, width, 3) RGB: a picture with map and outlines, as every server-drawn picture has them.

    The same as the page draws: the map at 55 % of its strength, thin numbered lines over it.

    pixels: uint8 (height, width) or (height, width, 3) RGB, of any size; levels: uint8, the map of the whole image;
    regions: those of the map; width: of the image that they were found on, pixels. least_side: a smaller picture is
    enlarged until its longest side has so many pixels, so that lines on it stay thin.
    """
    if (longest := max(pixels.shape[:2])) < least_side:
        scale = least_side / longest
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    drawn = blend(pixels, levels.astype(np.float32) / 255)
    if not regions:
        return drawn
    scale = drawn.shape[1] / width
    lines = [np.round(np.array(region.outline, float) * scale).astype(np.int32)[:, None] for region in regions]
    shade, thin = np.zeros(drawn.shape[:2], np.uint8), max(1, round(max(drawn.shape[:2]) / 480))
    cv2.polylines(shade, lines, isClosed=True, color=255, thickness=thin + 2, lineType=cv2.LINE_AA)
    drawn = np.round(drawn * (1 - _UNDER * shade[:, :, None] / 255)).astype(np.uint8)
    cv2.polylines(drawn, lines, isClosed=True, color=_LINE, thickness=thin, lineType=cv2.LINE_AA)
    size = max(0.5, max(drawn.shape[:2]) / 1000)
    for number, region in enumerate(regions, start=1):
        at = (round(region.box[0] * scale), max(round(26 * size), round(region.box[1] * scale - 8 * size)))
        for colour, thickness in (((0, 0, 0), thin + 3), (_LINE, thin)):
            cv2.putText(drawn, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
    return drawn
