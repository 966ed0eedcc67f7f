"""Where the lesion of an image lies: from its mask, or from the boxes beside the manifest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from secondread.errors import CannotOpen, DataInvalid, ImageError
from secondread.images import decode

if TYPE_CHECKING:  # reading imports this package, and must not import the data package
    from secondread.data import Manifest, Row

Box = tuple[float, float, float, float]  # x, y, width, height in pixels of the file
_BOXES = "boxes.json"


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


def load_lesions(manifest: "Manifest") -> Lesions:
    """Masks as the manifest names them, and `boxes.json` beside it: path → [{bbox: [x, y, width, height], …}].

    Raises DataInvalid if that file is not of this form.
    """
    path = manifest.folder / _BOXES
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
