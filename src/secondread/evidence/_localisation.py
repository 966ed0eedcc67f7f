"""Heat maps measured: does the map point at the lesion, how much of it lies there, how much beside the body?

A map is float (height, width), 0 where nothing speaks for disease; a lesion is float (height, width) in 0–1, the share
of each pixel that it covers; a body is bool (height, width).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from secondread.evidence._clusters import group_codes

# The pointing game allows 15 pixels (Zhang et al., IJCV 2018) on photographs of about 500; a share suits any size.
TOLERANCE = 15 / 512  # of the image's longer side
MAP_MEASURES = ("pointing", "pointing_exact", "energy")
_CENTRE_SPREAD = 0.25  # standard deviation of the centred map, as a share of each side
_LEAST_PART = 0.25  # of the largest part of a body: films with two views show two


@dataclass(frozen=True)
class MapMeasures:
    """One map against one lesion, each measure 0 to 1 and the larger the better."""

    pointing: float  # the map's maximum is within TOLERANCE of the lesion; the share of its maxima, where tied
    pointing_exact: float  # …is inside the lesion itself
    energy: float  # share of the map's sum inside the lesion

    def to_row(self) -> list[float]:
        """In the order of MAP_MEASURES."""
        return [self.pointing, self.pointing_exact, self.energy]


class Target:
    """A lesion to be pointed at: what is near it is found once, whatever number of maps is measured."""

    def __init__(self, lesion: np.ndarray):
        self.lesion = lesion
        self._inside = lesion > 0
        distance = cv2.distanceTransform((~self._inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        self._near = distance <= TOLERANCE * max(lesion.shape)

    def measure(self, strength: np.ndarray) -> MapMeasures:
        """A map that is 0 everywhere points nowhere and counts as a miss: 0 in every measure."""
        top, total = float(strength.max()), float(strength.sum(dtype=np.float64))
        if not top > 0:
            return MapMeasures(0.0, 0.0, 0.0)
        peak = strength >= top
        energy = float((strength * self.lesion).sum(dtype=np.float64)) / total
        return MapMeasures(float(self._near[peak].mean()), float(self._inside[peak].mean()), energy)


def baselines(target: Target, body: np.ndarray) -> dict[str, MapMeasures]:
    """What maps that have seen nothing score on the same lesion.

    centre: the image's central point; its energy is that of a centred Gaussian with a quarter of each side as standard
    deviation. uniform: the same everywhere, which is what a random point scores on average; its energy is the lesion's
    share of the image. body: the same everywhere in the body.
    """
    height, width = body.shape
    point = np.zeros((height, width), dtype=np.float32)
    point[(height - 1) // 2 : height // 2 + 1, (width - 1) // 2 : width // 2 + 1] = 1
    centre = target.measure(point)
    spread = target.measure(np.outer(_bell(height), _bell(width)))
    return {
        "centre": MapMeasures(centre.pointing, centre.pointing_exact, spread.energy),
        "uniform": target.measure(np.ones((height, width), dtype=np.float32)),
        "body": target.measure(body.astype(np.float32)),
    }


def body_of(pixels: np.ndarray) -> np.ndarray:
    """Where the body is, bool as the image: the connected parts brighter than half of Otsu's threshold, filled.

    pixels: uint8 (height, width) or (height, width, 3). Half, since lungs and soft tissue are dark parts of a body,
    and Otsu's own threshold (IEEE Trans. SMC 1979) would cut them off from the bright ones. Parts under a quarter of
    the largest are letters and marks. On bone films with a bright background or cassette this is rough: it then takes
    too much for body, and less lies outside.
    """
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(1.0, max(grey.shape) / 128))
    otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    bright = (smooth > otsu / 2).astype(np.uint8)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.ones(grey.shape, dtype=bool)
    areas = [cv2.contourArea(contour) for contour in contours]
    parts = [contour for contour, area in zip(contours, areas, strict=True) if area >= max(areas) * _LEAST_PART]
    filled = np.zeros(grey.shape, dtype=np.uint8)
    cv2.drawContours(filled, parts, -1, 1, thickness=cv2.FILLED)
    return filled > 0


def share_outside(strength: np.ndarray, body: np.ndarray) -> float | None:
    """Share of the map's sum outside the body; None for a map that is 0 everywhere."""
    total = float(strength.sum(dtype=np.float64))
    return float(strength[~body].sum(dtype=np.float64)) / total if total > 0 else None


def grouped_means(
    values: np.ndarray, groups: Sequence[str], *, n_resamples: int = 2000, random_state: int = 0
) -> list[dict[str, float | None]]:
    """Mean of every column with its 95 % percentile bootstrap interval by group: [{value, low, high}].

    values: float (n, columns); groups: (n,). None where there is nothing to average.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return [{"value": None, "low": None, "high": None} for _ in range(values.shape[1])]
    codes = group_codes(groups)
    counts = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)  # (groups, columns)
    rng = np.random.default_rng(random_state)
    weights = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=n_resamples)
    drawn = (weights @ sums) / (weights @ counts)[:, None]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    rows = zip(values.mean(axis=0), low, high, strict=True)
    return [{"value": _rounded(v), "low": _rounded(a), "high": _rounded(b)} for v, a, b in rows]


def localisation_table(
    maps: Sequence[MapMeasures], guesses: Sequence[dict[str, MapMeasures]], groups: Sequence[str]
) -> dict[str, Any]:
    """measure → {map, centre, uniform, body, gain}, each {value, low, high}; gain: over the best of the three guesses.

    maps, guesses, groups: one for every image whose lesion is known.
    """
    names = ["map", *guesses[0]] if guesses else ["map"]
    table = {}
    for number, measure in enumerate(MAP_MEASURES):
        columns = np.array(
            [[own.to_row()[number], *(guess[name].to_row()[number] for name in names[1:])]
             for own, guess in zip(maps, guesses, strict=True)]
        ).reshape(len(maps), len(names))  # fmt: skip
        found = dict(zip(names, grouped_means(columns, groups), strict=True))
        if len(maps) and len(names) > 1:
            best = 1 + int(columns[:, 1:].mean(axis=0).argmax())
            found["gain"] = grouped_means(columns[:, :1] - columns[:, [best]], groups)[0]
        table[measure] = found
    return table


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, between two maps of one shape; NaN where either is the same everywhere."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) for values in (one, other)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float(centred[0] @ centred[1]) / scale if scale > 0 else float("nan")


def _bell(n: int) -> np.ndarray:
    at = (np.arange(n) + 0.5) / n - 0.5
    return np.exp(-0.5 * (at / _CENTRE_SPREAD) ** 2).astype(np.float32)


def _rounded(number: float) -> float:
    return round(float(number), 6)
