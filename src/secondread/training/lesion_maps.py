"""Where lesions lie on prepared images: what masks and boxes teach besides the label."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from secondread.data import Manifest, Row
from secondread.evidence import Lesions, load_lesions
from secondread.images import PrepareSpec, decode, prepare


@dataclass(frozen=True, eq=False)
class LesionMaps:
    """For every image of a set: whether it is known where its lesions lie, and the part of the input they cover."""

    covers: dict[int, np.ndarray]  # number of a diseased image → uint8 (size, size), 255 where covered
    known: np.ndarray  # bool (n,): also where there is no disease, hence no lesion
    size: int

    def pixels(self, numbers: np.ndarray) -> np.ndarray:
        """uint8 (len(numbers), size, size), a new array."""
        out = np.zeros((len(numbers), self.size, self.size), dtype=np.uint8)
        for place, number in enumerate(numbers):
            if int(number) in self.covers:
                out[place] = self.covers[int(number)]
        return out


def lesion_maps(manifest: Manifest, rows: Sequence[Row], spec: PrepareSpec) -> LesionMaps:
    """From the masks of the rows and the boxes beside the manifest.

    Raises CannotOpen or DataInvalid for a mask or table of boxes that cannot be used.
    """
    lesions = load_lesions(manifest)
    given = [number for number, row in enumerate(rows) if lesions.known(row)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        covers = pool.map(lambda number: _cover(rows[number], lesions, spec), given)
    known = np.array([row.label == 0 for row in rows])
    known[given] = True
    return LesionMaps(dict(zip(given, covers, strict=True)), known, spec.size)


def _cover(row: Row, lesions: Lesions, spec: PrepareSpec) -> np.ndarray:
    """uint8 (size, size): the lesion as the prepared image shows it."""
    image = decode(row.path.read_bytes())
    shape = (image.width, image.height)
    covered = lesions.coverage(row, width=image.width, height=image.height, image_size=shape)
    x0, y0, x1, y1 = prepare(image, spec).box
    scale_x, scale_y = spec.size / (x1 - x0), spec.size / (y1 - y0)
    # Centre of a pixel on centre of a pixel, as area averages place them.
    matrix = np.array([
        [scale_x, 0, (0.5 - x0) * scale_x - 0.5],
        [0, scale_y, (0.5 - y0) * scale_y - 0.5],
    ])  # fmt: skip
    return cv2.warpAffine(np.round(covered * 255).astype(np.uint8), matrix, (spec.size, spec.size))
