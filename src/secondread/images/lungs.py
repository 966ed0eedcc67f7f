"""Where the lungs of a chest film lie: two dark fields in a bright body, found without anything learnt.

Hospitals frame their films otherwise: from the lungs alone to shoulders, arms and half of the abdomen. A network that
sees the lungs alone, always as large, need not learn how a hospital frames.
"""

import cv2
import numpy as np

from secondread.images.image import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels

_SIDE = 128  # pixels of the picture that is looked at; lungs are large
_BLUR = 3.0  # its pixels: ribs and vessels are not to part a lung
_LEVELS = (1.1, 1.0, 0.9, 0.8, 0.7, 0.6)  # of Otsu's threshold, tried in turn until both lungs stand alone
_LEAST, _MOST = 0.02, 0.4  # share of the picture that is one lung
_MIDDLE = (0.12, 0.15, 0.88, 0.82)  # where the centre of a lung may be: left, top, right, bottom
_WIDE, _HIGH = 0.47, 0.35  # the least width and height of both together
_MARGIN = (0.06, 0.08, 0.06, 0.12)  # added on each side, shares of width and height: apices, diaphragm, chest wall
_USUAL = (0.13, 0.12, 0.88, 0.80)  # where no lungs are found: where those of most films lie


def lungs_box(image: Image, within: Box | None = None) -> Box:
    """The part of a chest film that shows its lungs, with a margin; where they cannot be told, where they mostly are.

    within: the part of the image that is film, where borders were added to it: they would be taken for a lung, or for
    the air around the body. Never smaller than a third of either side of what is looked at.
    """
    x0, y0, x1, y1 = within or (0, 0, image.width, image.height)
    found = _found(_small(image.pixels[y0:y1, x0:x1]))
    left, top, right, bottom = _USUAL if found is None else found
    width, height = x1 - x0, y1 - y0
    lungs_x, lungs_y = x0 + int(left * width), y0 + int(top * height)
    return lungs_x, lungs_y, max(lungs_x + 1, x0 + round(right * width)), max(lungs_y + 1, y0 + round(bottom * height))


def _small(film: np.ndarray) -> np.ndarray:
    """Grey and even, uint8 (128, 128)."""
    step = max(1, min(film.shape[:2]) // (2 * _SIDE))
    pixels = film[::step, ::step].astype(np.float32)
    if pixels.ndim == 3:
        pixels = pixels.mean(axis=2)
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low, high = np.percentile(small, (2, 98))
    grey = (np.clip((small - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    return cv2.GaussianBlur(cv2.createCLAHE(2.0, (4, 4)).apply(grey), (0, 0), _BLUR)


def _found(grey: np.ndarray) -> tuple[float, float, float, float] | None:
    """Shares of width and height: left, top, right, bottom; None where there are not two dark fields beside each other
    that both end within the picture."""
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    for level in _LEVELS:
        dark = cv2.morphologyEx((grey < otsu * level).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        _, _, stats, centres = cv2.connectedComponentsWithStats(dark, connectivity=4)
        fields = [stats[k] for k in range(1, len(stats)) if _is_lung(stats[k], centres[k])]
        sides = [[one for one in fields if (one[0] + one[2] / 2 < _SIDE / 2) == here] for here in (True, False)]
        wide = [one for one in fields if one[2] > _WIDE * _SIDE]  # both, joined across the middle
        both = [max(side, key=lambda one: one[4]) for side in sides] if all(sides) else wide
        if not both:
            continue
        x0, y0 = min(one[0] for one in both) / _SIDE, min(one[1] for one in both) / _SIDE
        x1, y1 = max(one[0] + one[2] for one in both) / _SIDE, max(one[1] + one[3] for one in both) / _SIDE
        if x1 - x0 > _WIDE and y1 - y0 > _HIGH:
            more = np.array(_MARGIN) * [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
            return max(0.0, x0 - more[0]), max(0.0, y0 - more[1]), min(1.0, x1 + more[2]), min(1.0, y1 + more[3])
    return None


def _is_lung(field: np.ndarray, centre: np.ndarray) -> bool:
    """By size and place. What reaches an edge of the picture is the air around the body, or joined with it."""
    x, y, width, height, area = (int(value) for value in field)
    if x == 0 or x + width == _SIDE or y + height == _SIDE or (y == 0 and width > _WIDE * _SIDE):
        return False
    inside = _MIDDLE[0] < centre[0] / _SIDE < _MIDDLE[2] and _MIDDLE[1] < centre[1] / _SIDE < _MIDDLE[3]
    return inside and _LEAST < area / _SIDE**2 < _MOST
