"""The proof that two thumbnails show one picture: the second is laid on the first and their fine detail correlated."""

from dataclasses import dataclass

import cv2
import numpy as np

from secondread.data.audit._looks import SIDE, Progress
from secondread.data.audit._rings import best_turns

# Of 1,440 changed copies of benchmark images (see _candidates) 1,433 pass; what fails is mostly turned by 10°. Of the
# 6,000 closest pairs of different groups chest films reach 0.862 and bone films 0.875 at most, and no two lgg patients
# pass. Of the pairs that do, in collections of brain slices from the web, the 36 lowest were looked at: 35 show one
# slice, one the same head from the side a slice further.
SAME_PICTURE = 0.89
_WORTH_A_LOOK = 0.8  # correlation of the coarse rings; copies reach 0.83 even when brightened until parts are white
_FINE, _COARSE = 0.6, 2.5  # pixels: detail is what lies between these two blurs
_WHITE = 250  # brightening cuts levels off here: what is white in one says nothing
_ENOUGH = 600  # pixels that must be left to judge by; of about 2,460
_CHUNK = 4096
_CENTRE = (SIDE - 1) / 2
_y, _x = np.mgrid[:SIDE, :SIDE] - _CENTRE
_DISC = _x**2 + _y**2 <= (SIDE / 2 - 4) ** 2  # what stays in view at any turn
_SPREAD = np.ones((5, 5), dtype=np.uint8)


@dataclass(frozen=True)
class Likeness:
    """Two images that show one picture."""

    first: int
    second: int
    correlation: float  # of fine detail, up to 1
    mirrored: bool
    degrees: float  # the second is turned by this, counter-clockwise, −180 to 180


def proven(
    thumbnails: np.ndarray, spectra: np.ndarray, pairs: np.ndarray, *, progress: Progress | None = None
) -> list[Likeness]:
    """Those of the pairs (n_pairs, 2) that show one picture, sorted as the pairs are."""
    found = []
    for start in range(0, len(pairs), _CHUNK):
        chunk = pairs[start : start + _CHUNK]
        coarse, degrees = best_turns(spectra[chunk[:, 0]], spectra[chunk[:, 1]])
        for row in np.flatnonzero(coarse.max(axis=1) >= _WORTH_A_LOOK):
            like = _compare(thumbnails, chunk[row], coarse[row], degrees[row])
            if like.correlation >= SAME_PICTURE:
                found.append(like)
        if progress is not None:
            progress("compare", start + len(chunk), len(pairs))
    return found


def _compare(thumbnails: np.ndarray, pair: np.ndarray, coarse: np.ndarray, degrees: np.ndarray) -> Likeness:
    """The better of the two ways, as it is or mirrored; the second way only where it may be."""
    first, second = int(pair[0]), int(pair[1])
    ways = [way for way in (0, 1) if coarse[way] >= _WORTH_A_LOOK]
    scored = [(_detail_correlation(thumbnails[first], thumbnails[second], way, degrees[way]), way) for way in ways]
    correlation, way = max(scored)
    # Mirrored is meant left to right, as people mean it; the rows were reversed: half a turn apart.
    angle = degrees[way] + 180 * way
    return Likeness(first, second, round(correlation, 4), bool(way), round(float((-angle + 180) % 360 - 180), 1))


def _detail_correlation(first: np.ndarray, second: np.ndarray, mirrored: int, degrees: float) -> float:
    laid = second[::-1] if mirrored else second
    turn = cv2.getRotationMatrix2D((_CENTRE, _CENTRE), -degrees, 1)
    laid = cv2.warpAffine(
        np.ascontiguousarray(laid), turn, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    judged = _DISC & ~_white(first) & ~_white(laid)
    if judged.sum() < _ENOUGH:
        judged = _DISC
    return _correlation(_detail(first)[judged], _detail(laid)[judged])


def _detail(thumbnail: np.ndarray) -> np.ndarray:
    """Fine structure of even strength everywhere, so that a bright skull does not outvote the brain."""
    fine = cv2.GaussianBlur(thumbnail.astype(np.float32), (0, 0), _FINE)
    detail = fine - cv2.GaussianBlur(fine, (0, 0), _COARSE)
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _COARSE))
    return detail / (strength + 2)  # 2 grey levels: noise on black stays small


def _white(thumbnail: np.ndarray) -> np.ndarray:
    return cv2.dilate((thumbnail >= _WHITE).astype(np.uint8), _SPREAD) > 0


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-9))
