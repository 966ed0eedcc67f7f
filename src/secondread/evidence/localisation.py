"""Where lesions lie, and whether a heat map points at them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from secondread.errors import CannotOpen, DataInvalid, ImageError
from secondread.images import decode
from secondread.stats.bootstrap import grouped_means

if TYPE_CHECKING:
    from secondread.data import Manifest, Row

Box = tuple[float, float, float, float]  # x, y, width, height in pixels of the file
BOXES = "boxes.json"
_SMALLEST_PART = 9  # pixels of a mask: smaller islands are no lesion of their own


@dataclass(frozen=True)
class Lesions:
    """What is known of the lesions of a manifest's images."""

    boxes: Mapping[str, Sequence[Box]]  # by the path as the manifest names it

    def known(self, row: "Row") -> bool:
        """Whether this diseased image comes with its lesion."""
        return row.label == 1 and (row.mask is not None or bool(self.boxes.get(row.name)))

    def given_as(self, row: "Row") -> str:
        """'mask' or 'boxes'."""
        return "mask" if row.mask is not None else "boxes"

    def coverage(self, row: "Row", *, width: int, height: int, image_size: tuple[int, int]) -> np.ndarray:
        """float32 (height, width) in 0–1: the share of every pixel that the lesion covers, on the image at that size.

        image_size: (width, height) of the file, in whose pixels masks and boxes are given.
        Raises CannotOpen or DataInvalid for a mask that cannot be used.
        """
        if row.mask is not None:
            return _from_mask(row.mask, width, height, image_size)
        scale_x, scale_y = width / image_size[0], height / image_size[1]
        parts = [
            np.outer(_covered(y * scale_y, (y + h) * scale_y, height), _covered(x * scale_x, (x + w) * scale_x, width))
            for x, y, w, h in self.boxes[row.name]
        ]
        return np.max(parts, axis=0).astype(np.float32)


def boxes_of(row: "Row", lesions: Lesions) -> np.ndarray:
    """A diseased image's boxes in pixels of its file: float (n, 4), left, top, right, bottom."""
    if row.mask is None:
        return np.array([(x, y, x + w, y + h) for x, y, w, h in lesions.boxes[row.name]], dtype=np.float64)
    drawn = decode(row.mask.read_bytes()).pixels
    mask = ((drawn if drawn.ndim == 2 else drawn.max(axis=2)) > 0).astype(np.uint8)
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    parts = facts[1:]  # the first is what no lesion covers
    if len(parts) > 1:
        parts = parts[parts[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART]
    return np.array([(x, y, x + w, y + h) for x, y, w, h, _ in parts], dtype=np.float64).reshape(-1, 4)


def load_lesions(manifest: "Manifest") -> Lesions:
    """Masks as the manifest names them, and `boxes.json` beside it: path → [{bbox: [x, y, width, height], …}].

    Raises DataInvalid if that file is not of this form.
    """
    path = manifest.folder / BOXES
    if not path.is_file():
        return Lesions({})
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return Lesions({name: [_box(entry) for entry in entries] for name, entries in table.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataInvalid(
            f"'{path}' is not a table of boxes ({error}); each path needs a list of {{bbox: [x, y, width, height]}}"
        ) from error


def _box(entry: Mapping[str, Any]) -> Box:
    x, y, width, height = (float(side) for side in entry["bbox"])
    if width <= 0 or height <= 0:
        raise ValueError(f"a box is {width:g} × {height:g} pixels")
    return x, y, width, height


def _from_mask(path: Path, width: int, height: int, image_size: tuple[int, int]) -> np.ndarray:
    try:
        pixels = decode(path.read_bytes()).pixels
    except OSError as error:
        raise CannotOpen(f"cannot open the mask '{path}': {error.strerror}") from error
    except ImageError as error:
        raise DataInvalid(f"the mask '{path}' cannot be used: {error}") from error
    if (pixels.shape[1], pixels.shape[0]) != image_size:
        raise DataInvalid(
            f"the mask '{path}' has {pixels.shape[1]} × {pixels.shape[0]} pixels, its image {image_size[0]} × "
            f"{image_size[1]}; draw it on the image as it is"
        )
    drawn = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
    lesion = drawn.astype(np.float32)
    return (
        lesion if (width, height) == image_size else cv2.resize(lesion, (width, height), interpolation=cv2.INTER_AREA)
    )


def _covered(start: float, end: float, n: int) -> np.ndarray:
    """The share of each of n unit cells that lies between start and end, float (n,)."""
    left = np.arange(n)
    return np.clip(np.minimum(end, left + 1) - np.maximum(start, left), 0, 1)


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
        found = dict(zip(names, (mean.to_dict() for mean in grouped_means(columns, groups)), strict=True))
        if len(maps) and len(names) > 1:
            best = 1 + int(columns[:, 1:].mean(axis=0).argmax())
            gain = columns[:, :1] - columns[:, [best]]
            found["gain"] = grouped_means(gain, groups, bounds=(-1.0, 1.0))[0].to_dict()
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
