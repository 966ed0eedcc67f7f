"""The readings that went most wrong, as pictures for a page about the user's own images."""

from collections.abc import Sequence

import cv2
import numpy as np

from secondread.data import Manifest, Row
from secondread.evidence import Failure, Lesions, Prediction, load_lesions
from secondread.images import Image, to_display
from secondread.reading import Reader

SHOWN = 6  # of each kind
_SIDE = 320  # pixels of the longer side
_OUTLINE = (64, 220, 255)  # BGR: nothing in the colour map is of this yellow-green's hue
_QUALITY = 82  # JPEG: a picture of about 15 kB


def worst_failures(
    reader: Reader, manifest: Manifest, predictions: Sequence[Prediction], *, shown: int = SHOWN
) -> list[Failure]:
    """The false negatives with the lowest and the false positives with the highest probability, worst first.

    manifest: of the split, in the order of the predictions. Pictures are made anew from the files.
    """
    threshold = reader.operating_point.threshold
    read = [
        (p.probability, bool(p.label), row)
        for p, row in zip(predictions, manifest.rows, strict=True)
        if p.probability is not None
    ]
    ranked = sorted(read, key=lambda one: one[0])
    missed = [row for value, diseased, row in ranked if diseased and value <= threshold]
    alarms = [row for value, diseased, row in reversed(ranked) if not diseased and value > threshold]
    lesions = load_lesions(manifest)
    return [_failure(reader, row, lesions) for row in [*missed[:shown], *alarms[:shown]]]


def _failure(reader: Reader, row: Row, lesions: Lesions) -> Failure:
    reading = reader.read(row.path, keep_image=True)
    assert reading.image is not None, "an image that was read before is decoded again"
    assert reading.heatmap is not None, "an image that was read before is read again"
    plain = _bgr(to_display(reading.image, longest_side=_SIDE))
    blended = np.frombuffer(reading.heatmap.blended_png(reading.image, longest_side=_SIDE), np.uint8)
    mapped = np.asarray(cv2.imdecode(blended, cv2.IMREAD_COLOR))
    if lesions.known(row):
        _outline(plain, row, lesions, reading.image)
    return Failure(
        kind="missed" if row.label else "false alarm",
        path=row.name,
        source=row.source,
        probability=float(reading.probability or 0),
        picture=_jpeg(plain),
        mapped=_jpeg(mapped),
        outlined=lesions.known(row),
    )


def _outline(picture: np.ndarray, row: Row, lesions: Lesions, image: Image) -> None:
    height, width = picture.shape[:2]
    lesion = lesions.coverage(row, width=width, height=height, image_size=(image.width, image.height))
    contours, _ = cv2.findContours((lesion > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1)


def _bgr(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if pixels.ndim == 2 else cv2.COLOR_RGB2BGR)


def _jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
