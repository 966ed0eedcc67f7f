"""The grey values of a file over their whole range, beyond the window it is first shown with."""

import cv2
import numpy as np

from secondread.images.decode import decode, sniff
from secondread.images.image import Depth, Limits

TOP = 65535
_DEFAULT = Limits()


def whole_range(data: bytes, *, frame: int = 0, limits: Limits = _DEFAULT) -> Depth | None:
    """The values of a grey file of more than 8 bits; None where there are no more, or it is in colour.

    Raises what `decode` raises.
    """
    if sniff(data) == "DICOM":
        from secondread.images import dicom  # pydicom takes long to import

        limits.check_bytes(len(data))
        return dicom.whole_range_of_dicom(data, frame=frame, limits=limits)
    image = decode(data, frame=frame, limits=limits)
    if image.pixels.dtype != np.uint16 or image.pixels.ndim != 2:
        return None
    return Depth(image.pixels, 0.0, float(TOP), image.full_scale / 2, float(image.full_scale))


def encode_depth(depth: Depth, *, longest_side: int) -> bytes:
    """A PNG whose red is the upper and green the lower byte of each level: what a browser can take apart exactly.

    Shrunk so that no side exceeds `longest_side`.
    """
    pixels = depth.pixels
    scale = min(1.0, longest_side / max(pixels.shape))
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    bgr = np.zeros((*pixels.shape, 3), dtype=np.uint8)
    bgr[:, :, 2], bgr[:, :, 1] = pixels >> 8, pixels & 255
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
