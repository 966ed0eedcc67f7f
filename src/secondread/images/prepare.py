"""One preprocessing for training, evaluation and serving; its recipe is stored in the bundle."""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np

from secondread.errors import BundleForeign
from secondread.images.borders import dark_trimmed, film_box
from secondread.images.image import Image
from secondread.images.lungs import lungs_box
from secondread.images.values import looked_up

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
Field = Literal["whole", "lungs", "whole and lungs"]
FIELDS: dict[str, tuple[Field, ...]] = {  # what a model is shown of an image → its views, channels after channels
    "whole": ("whole",),
    "lungs": ("lungs",),  # of a chest film, see `lungs_box`
    "whole and lungs": ("whole", "lungs"),
}
_FILMS = {"dark": dark_trimmed, "any": film_box}  # what is left without such borders


@dataclass(frozen=True)
class PrepareSpec:
    """Which steps make a model's input. They run in the order of these fields."""

    size: int = 128  # side of the square input, pixels
    channels: int = 1  # 1 grey, 3 RGB
    trim_border: bool = False  # cut away borders, see `borders`; `field` lungs does so anyway
    aspect: Literal["squash", "pad"] = "squash"  # to a square by stretching, or by black padding
    window: tuple[float, float] | None = None  # percentiles shown as black and white, e.g. (1, 99)
    clahe: float = 0.0  # clip limit of contrast-limited adaptive histogram equalisation (8 × 8 tiles); 0 is off
    denoise_sigma: float = 0.0  # Gaussian noise reduction, pixels of the input; 0 is off
    field: Field = "whole"  # what is shown of it, see FIELDS
    # Which of them: dark rows and columns; or even ones at any level, with the letters in them, see `film_box`.
    borders: Literal["dark", "any"] = "dark"
    # All steps run at this side, and the last enlarges to `size`: no source then shows finer detail than another.
    detail: int = 0  # 0, or a side below `size`

    @property
    def views(self) -> tuple["PrepareSpec", ...]:
        """One for each view of the image."""
        return tuple(replace(self, field=field) for field in FIELDS[self.field])

    @property
    def depth(self) -> int:
        """Channels of the input, those of all views."""
        return self.channels * len(FIELDS[self.field])

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "PrepareSpec":
        """From JSON. Raises BundleForeign for a step that is not known here."""
        try:
            window = table.get("window")
            spec = cls(**{**table, "window": tuple(window) if window else None})
            _ = FIELDS[spec.field], _FILMS[spec.borders]
            return spec
        except (TypeError, KeyError) as error:
            raise BundleForeign(f"the preprocessing asks for a step that is not known here: {error}") from error


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model's input and where it came from.

    pixels: uint8 (size, size, channels), of several views those of one after another.
    box: the part of the image, in its own pixels, that the (first) view shows; larger than the image where padded.
    """

    pixels: np.ndarray
    box: Box


class Halves:
    """An image at half its size, a quarter and so on, and what of it is film, made once for all that is prepared of it.

    Held no longer than the image is looked at: they take a third of its memory.
    """

    def __init__(self, image: Image):
        self._image, self._levels = image, [image.pixels]
        self._films: dict[str, tuple[int, int, int, int]] = {}

    def film(self, borders: str) -> tuple[int, int, int, int]:
        """Without them, see PrepareSpec: left, top, right, bottom in pixels."""
        if borders not in self._films:
            self._films[borders] = _FILMS[borders](self._image)
        return self._films[borders]

    def level(self, n: int) -> np.ndarray:
        """Halved n times; an odd last row or column is left out each time."""
        while len(self._levels) <= n:
            last = self._levels[-1]
            self._levels.append(_half(last[: last.shape[0] // 2 * 2, : last.shape[1] // 2 * 2], deepen=False))
        return self._levels[n]


def prepare(image: Image, spec: PrepareSpec, *, halves: Halves | None = None) -> Prepared:
    """The image as the model sees it. Shrinking is done first, so that all later steps are cheap.

    halves: of this image, where it is prepared in more than one way.
    """
    halves = halves or Halves(image)
    if len(spec.views) > 1:
        views = [prepare(image, view, halves=halves) for view in spec.views]
        return Prepared(np.concatenate([view.pixels for view in views], axis=2), views[0].box)
    if 0 < spec.detail < spec.size:
        coarse = prepare(image, replace(spec, size=spec.detail, detail=0), halves=halves)
        return Prepared(_enlarge(coarse.pixels, spec.size), coarse.box)
    if spec.field == "lungs":
        box = lungs_box(image, halves.film(spec.borders))
    else:
        box = halves.film(spec.borders) if spec.trim_border else (0, 0, image.width, image.height)
    x0, y0, x1, y1 = box
    whole = box == (0, 0, image.width, image.height)
    cut, full_scale = image.pixels[y0:y1, x0:x1], image.full_scale
    # These steps stretch levels, and would show the rounding of an 8-bit average.
    deepen = cut.dtype == np.uint8 and (spec.window is not None or spec.clahe > 0)
    if deepen:
        full_scale *= 257
    halved, kept = _halve(cut, box, spec.size, deepen=deepen, halves=halves if whole and not deepen else None)
    shrunk, shown = _to_square(halved, spec, kept)
    if spec.window is None and shrunk.ndim == 2:  # what is the same in three channels is worked out in one
        levels = _to_channels(_to_uint8(shrunk, full_scale, None), spec.channels)
    else:
        levels = _to_uint8(_to_channels(shrunk, spec.channels), full_scale, spec.window)
    if spec.clahe:
        levels = _equalise(levels, spec.clahe)
    if spec.denoise_sigma:
        levels = cv2.GaussianBlur(levels, (0, 0), spec.denoise_sigma)
    return Prepared(np.ascontiguousarray(levels.reshape(spec.size, spec.size, spec.channels)), shown)


def place_map(values: np.ndarray, box: Box, *, width: int, height: int) -> np.ndarray:
    """A map of the input (rows, columns) drawn at its place on an image of that size; 0 where the input showed nothing.

    Returns float32 (height, width), bilinear between the centres of the cells, at the nearest whole pixel.
    """
    rows, columns = values.shape
    x0, y0, x1, y1 = box
    cell_width, cell_height = (x1 - x0) / columns, (y1 - y0) / rows
    # A ring of zeros lets the map fade out over half a cell instead of ending at an edge.
    ringed = np.zeros((rows + 2, columns + 2), dtype=np.float32)
    ringed[1:-1, 1:-1] = values
    left, right = round(x0 - cell_width), round(x1 + cell_width)
    top, bottom = round(y0 - cell_height), round(y1 + cell_height)
    drawn = cv2.resize(ringed, (max(1, right - left), max(1, bottom - top)), interpolation=cv2.INTER_LINEAR)
    y, x = max(0, -top), max(0, -left)
    if max(top, left) <= 0 and bottom >= height and right >= width:  # as of most images: nothing is left to fill in
        return drawn[y : y + height, x : x + width]
    placed = np.zeros((height, width), dtype=np.float32)
    inside = placed[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    inside[:] = drawn[y : y + inside.shape[0], x : x + inside.shape[1]]
    return placed


def _halve(pixels: np.ndarray, box: Box, size: int, *, deepen: bool, halves: Halves | None) -> tuple[np.ndarray, Box]:
    """Half as wide and high, again and again while no side falls below `size`; and the box that is left.

    Averaging 2 × 2 pixels costs a fortieth of averaging any other area, so a large film is shrunk ten times faster.
    An odd last row or column is left out. deepen: 8 bits as 16, before anything is averaged. halves: of these pixels.
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    n = 0
    while min(pixels.shape[:2]) >= 2 * size:
        height, width = (side // 2 for side in pixels.shape[:2])
        x1 -= (pixels.shape[1] - 2 * width) << n
        y1 -= (pixels.shape[0] - 2 * height) << n
        n += 1
        pixels = _half(pixels[: 2 * height, : 2 * width], deepen=deepen) if halves is None else halves.level(n)
        deepen = False
    return (_deepened(pixels) if deepen else pixels), (x0, y0, x1, y1)


_STRIP = 1 << 17  # pixels that are made deeper at once: they stay within the processor's cache, at a third of the time


def _half(even: np.ndarray, *, deepen: bool) -> np.ndarray:
    """The averages of 2 × 2 pixels. Deepened in strips: a whole film of 16 bits would be twice as large as the film."""
    height, width = (side // 2 for side in even.shape[:2])
    rows = 2 * max(1, _STRIP // (2 * even.shape[1]))
    if not deepen or len(even) <= rows:
        source = _deepened(even) if deepen else even
        return cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
    half = np.empty((height, width, *even.shape[2:]), np.uint16)
    for top in range(0, len(even), rows):
        strip = _deepened(even[top : top + rows])
        cv2.resize(strip, (width, len(strip) // 2), half[top // 2 : (top + rows) // 2], interpolation=cv2.INTER_AREA)
    return half


def _deepened(pixels: np.ndarray) -> np.ndarray:
    return np.multiply(pixels, np.uint16(257), dtype=np.uint16)


def _to_square(cut: np.ndarray, spec: PrepareSpec, box: Box) -> tuple[np.ndarray, Box]:
    height, width = cut.shape[:2]
    x0, y0, x1, y1 = box
    if spec.aspect == "squash":
        return _resize(cut, spec.size, spec.size), box
    scale = spec.size / max(width, height)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (spec.size - new_width) // 2, (spec.size - new_height) // 2
    square = np.zeros((spec.size, spec.size, *cut.shape[2:]), dtype=cut.dtype)
    square[top : top + new_height, left : left + new_width] = _resize(cut, new_width, new_height)
    pixel_x, pixel_y = (x1 - x0) / new_width, (y1 - y0) / new_height
    shown_x, shown_y = x0 - left * pixel_x, y0 - top * pixel_y
    return square, (shown_x, shown_y, shown_x + spec.size * pixel_x, shown_y + spec.size * pixel_y)


def _resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Area averages when shrinking, which is free of aliasing; linear when enlarging."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width <= pixels.shape[1] and height <= pixels.shape[0]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _enlarge(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 (side, side, channels) → (size, size, channels), smoothly."""
    larger = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(larger.reshape(size, size, pixels.shape[2]))


def _to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)  # a tenth of np.repeat


def _to_uint8(pixels: np.ndarray, full_scale: int, window: tuple[float, float] | None) -> np.ndarray:
    if window is None and full_scale == 255 and pixels.dtype == np.uint8:
        return pixels
    if window is None:
        return looked_up(pixels, _levels_of(full_scale))
    black, white = _percentiles(pixels, window)
    if white <= black:
        black, white = 0.0, float(full_scale)
    return _shares(pixels.astype(np.float64), black, white)


@lru_cache(maxsize=16)
def _levels_of(full_scale: int) -> np.ndarray:
    """uint8 (65536,): what each value of 16 bits is in 8, where this one is white."""
    return _shares(np.arange(1 << 16, dtype=np.float32), 0.0, float(full_scale))


def _shares(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Of floating point values, which are used up, the levels from black as 0 to white as 255."""
    values -= black
    values /= white - black
    np.clip(values, 0, 1, out=values)
    values *= 255
    return np.rint(values, out=values).astype(np.uint8)


def _percentiles(pixels: np.ndarray, window: tuple[float, float]) -> tuple[float, float]:
    """As np.percentile, to the last bit and in a quarter of its time: of integers, none of them missing."""
    places = [(pixels.size - 1) * (share / 100) for share in window]
    below = [int(place) for place in places]
    above = [min(at + 1, pixels.size - 1) for at in below]
    ordered = np.partition(pixels, [*below, *above], axis=None)

    def between(place: float, at: int, following: int) -> float:
        low, high, share = float(ordered[at]), float(ordered[following]), place - at
        return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)

    black, white = (between(*where) for where in zip(places, below, above, strict=True))
    return black, white


def _equalise(levels: np.ndarray, clip_limit: float) -> np.ndarray:
    """CLAHE on the grey image, or on lightness where there is colour."""
    clahe = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(8, 8))
    if levels.ndim == 2:
        return clahe.apply(levels)
    lab = cv2.cvtColor(levels, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = clahe.apply(np.ascontiguousarray(lab[:, :, 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
