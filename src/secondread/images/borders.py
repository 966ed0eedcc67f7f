"""What of an image is film: borders around it, which a screenshot, a scanner or a collimator leaves, are none of it."""

from collections.abc import Iterator

import cv2
import numpy as np

from secondread.images.image import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

_DARK = 0.04  # of white: what is no brighter is dark
_CONTENT = 0.01  # share of a row or column that must be brighter for it to belong to the film
_EVEN = 0.008  # of white: how far the pixels of the outermost row or column of an even border lie apart, at most
_ALL = 0.95  # share of them; a border was drawn or is glass, while what is overexposed still fades
_NOISY = 0.025  # the same further inside, where compression and writing
_MOST = 0.75  # may stand in it
_PART = 0.08  # of the largest connected part: what is smaller is a letter, a wedge or a marker
_SIDE = 256  # pixels: the shorter side of what is looked at first
_LEAST = 8  # rows and columns that a film has
_NESTED = 4  # borders within borders


def dark_trimmed(image: Image) -> Box:
    """The smallest box that holds all rows and columns brighter than 4 % of white somewhere beyond noise."""
    step = max(1, min(image.width, image.height) // 512)
    small = _brightest(image.pixels[::step, ::step])
    rows, columns = (np.flatnonzero(_shares(_brighter(small, image), axis) > _CONTENT) for axis in (0, 1))
    if len(rows) < _LEAST or len(columns) < _LEAST:
        return 0, 0, image.width, image.height
    x1, y1 = min(image.width, (int(columns[-1]) + 1) * step), min(image.height, (int(rows[-1]) + 1) * step)
    return int(columns[0]) * step, int(rows[0]) * step, x1, y1


def film_box(image: Image) -> Box:
    """Without borders, dark or even at any level, one within the other, with letters, wedges and markers in them.

    A dark border ends where a large connected part begins, an even one where rows and columns are no longer mostly of
    its level. The whole image where no film is left. Not for images whose own background is even, such as bones.
    """
    step = max(1, min(image.width, image.height) // _SIDE)
    small = _brightest(image.pixels[::step, ::step])
    box: Box = (0, 0, small.shape[1], small.shape[0])
    levels = [0, 0, 0, 0]  # of what was cut off last at each side
    for _ in range(_NESTED):
        before = box
        for level in (0, *_even_levels(_cut(small, box), image)):
            inside = _cut(small, box)
            found = _connected(_brighter(inside, image)) if level == 0 else _peeled(inside, level, image)
            if found is None:
                if level == 0:
                    return 0, 0, image.width, image.height
                continue
            sides = tuple(box[side % 2] + found[side] for side in range(4))
            levels = [level if side != last else old for side, last, old in zip(sides, box, levels, strict=True)]
            box = sides  # type: ignore[assignment]
        if box == before:
            break
    return _to_the_pixel(image, box, levels, step)


def _brightest(pixels: np.ndarray) -> np.ndarray:
    """Of the channels. Ten times faster than pixels.max(axis=2)."""
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    return np.maximum(np.maximum(pixels[:, :, 0], pixels[:, :, 1]), pixels[:, :, 2])


def _brighter(grey: np.ndarray, image: Image) -> np.ndarray:
    """uint8, 1 where it is not dark. Whole numbers are above a limit where they are above its whole part; comparing
    them with a fraction takes longer."""
    return (grey > int(_DARK * image.full_scale)).view(np.uint8)


def _near(grey: np.ndarray, level: int, image: Image, apart: float = _NOISY) -> np.ndarray:
    """uint8, 1 where it is of that level."""
    reach = int(apart * image.full_scale)
    return ((grey >= max(0, level - reach)) & (grey <= level + reach)).view(np.uint8)


def _shares(mask: np.ndarray, axis: int) -> np.ndarray:
    """Of each row (axis 0) or column (axis 1) of a mask of 0 and 1, float (n,)."""
    sums = cv2.reduce(mask, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    return sums / mask.shape[1 - axis]


def _cut(grey: np.ndarray, box: Box) -> np.ndarray:
    x0, y0, x1, y1 = box
    return grey[y0:y1, x0:x1]


def _edges(grey: np.ndarray) -> Iterator[np.ndarray]:
    yield from (grey[:, 0], grey[0], grey[:, -1], grey[-1])


def _even_levels(grey: np.ndarray, image: Image) -> list[int]:
    """Of the edges that are even and not dark, each level once."""
    found = []
    for edge in _edges(grey):
        level = int(np.median(edge))
        if (
            level > int(_DARK * image.full_scale)
            and _near(edge, level, image, _EVEN).mean() >= _ALL
            and level not in found
        ):
            found.append(level)
    return found


def _connected(bright: np.ndarray) -> Box | None:
    """Around the large connected parts of a mask, thin bridges cut."""
    height, width = bright.shape
    if all(edge.mean() >= 1 - _MOST for edge in _edges(bright)):  # as of most films
        return 0, 0, width, height
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    if n < 2:
        return None
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    large = (areas >= _PART * areas.max()).astype(np.uint8)[labels]
    rows, columns = (np.flatnonzero(_shares(large, axis) > _CONTENT) for axis in (0, 1))
    if len(rows) < _LEAST or len(columns) < _LEAST:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _peeled(grey: np.ndarray, level: int, image: Image) -> Box | None:
    """What lies between rows and columns that are mostly of that level."""
    near = _near(grey, level, image)
    x0, y0, x1, y1 = 0, 0, near.shape[1], near.shape[0]
    for _ in range(2):  # columns hold less of the border once its rows are gone, and the other way round
        top, bottom = _longest(_shares(near[y0:y1, x0:x1], 0) < _MOST)
        y0, y1 = y0 + top, y0 + bottom
        if y1 - y0 < _LEAST:
            return None
        left, right = _longest(_shares(near[y0:y1, x0:x1], 1) < _MOST)
        x0, x1 = x0 + left, x0 + right
        if x1 - x0 < _LEAST:
            return None
    return x0, y0, x1, y1


def _longest(film: np.ndarray) -> tuple[int, int]:
    """First and past-the-last of the longest run of True: a line of writing in a border is a shorter one."""
    turns = np.flatnonzero(np.diff(np.concatenate([[False], film, [False]]).astype(np.int8)))
    if not len(turns):
        return 0, 0
    starts, ends = turns[::2], turns[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest])


def _to_the_pixel(image: Image, box: Box, levels: list[int], step: int) -> Box:
    """A box of every `step`-th row and column as one of all: the film may begin up to a step sooner and end later."""
    left, top = box[0] * step, box[1] * step
    right, bottom = min(image.width, (box[2] - 1) * step + 1), min(image.height, (box[3] - 1) * step + 1)
    if step == 1:
        return left, top, right, bottom

    def is_film(strip: np.ndarray, level: int, axis: int) -> np.ndarray:
        grey = _brightest(strip)
        if level == 0:
            return _shares(_brighter(grey, image), axis) > _CONTENT
        return _shares(_near(grey, level, image), axis) < _MOST

    def sooner(first: int, level: int, axis: int) -> int:
        start = max(0, first - step + 1)
        strip = image.pixels[start:first, left:right] if axis == 0 else image.pixels[top:bottom, start:first]
        film = np.flatnonzero(is_film(strip, level, axis)) if first > start else np.array([], dtype=int)
        return start + int(film[0]) if len(film) else first

    def later(last: int, level: int, axis: int) -> int:
        end = min(image.height if axis == 0 else image.width, last + step - 1)
        strip = image.pixels[last:end, left:right] if axis == 0 else image.pixels[top:bottom, last:end]
        film = np.flatnonzero(is_film(strip, level, axis)) if end > last else np.array([], dtype=int)
        return last + int(film[-1]) + 1 if len(film) else last

    x0, y0 = sooner(left, levels[0], 1), sooner(top, levels[1], 0)
    return x0, y0, later(right, levels[2], 1), later(bottom, levels[3], 0)
