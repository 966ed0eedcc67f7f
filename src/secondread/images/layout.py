"""Of two ways in which uncompressed DICOM pixels may lie: the one that gives a picture, where the other gives a jumble.

A picture's neighbours differ little; so do those of a wrong layout only by chance.
What the rest of the header says goes before that.
"""

from contextlib import suppress

import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from secondread.errors import TruncatedImage
from secondread.images.bits import aligned

_SQUARE = 1.02  # how much longer a side of a pixel may be
_WITHOUT_SIGN = ("DX", "MG", "IO", "PX", "RF", "XA")  # kinds of image whose values have none, by their definitions


def is_twice_as_deep(ds: Dataset, one: int) -> bool:
    """Whether pixel data twice too long are a picture of twice the bits, and not twice as many pictures.

    one: bytes of a frame. Two frames' worth from the middle are looked at.
    """
    start = max(len(ds.PixelData) // one // 2 - 1, 0) * one
    size, columns = int(ds.BitsAllocated) // 8, int(ds.Columns)
    found = []
    for bytes_each in (size, 2 * size):
        flat = np.frombuffer(ds.PixelData, f"<u{bytes_each}", 2 * one // bytes_each, start).astype(np.float32)
        picture = flat[: len(flat) // columns * columns].reshape(-1, columns)
        found.append(_roughness(picture) / max(float(picture.std()), 1e-6))
    return found[1] < found[0]


def is_by_plane(ds: Dataset) -> bool:
    """Whether three colours lie plane by plane, and not pixel by pixel (PS3.3 C.7.6.3.1.3). Raises TruncatedImage."""
    rows, columns = int(ds.Rows), int(ds.Columns)
    flat = _first_values(ds, rows * columns * 3)
    by_pixel = flat.reshape(rows, columns, 3)
    by_plane = np.moveaxis(flat.reshape(3, rows, columns), 0, 2)
    return _roughness(by_plane) < _roughness(by_pixel)


def is_signed(ds: Dataset) -> bool:
    """Whether grey values of 8, 16 or 32 bits allocated have a sign: by the rest of the header, else by the picture.

    Raises TruncatedImage.
    """
    if _is_said_to_be_unsigned(ds):
        return False
    stored = _first_values(ds, int(ds.Rows) * int(ds.Columns)).reshape(int(ds.Rows), int(ds.Columns))
    unsigned, _ = aligned(stored, ds, signed=False)
    signed, _ = aligned(stored, ds, signed=True)
    return bool(signed.min() < 0 and _roughness(signed) < _roughness(unsigned))


def is_stretched(ds: Dataset) -> bool:
    """Whether pixels are not square, by Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7), else by the spacing of all frames."""
    for name in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        with suppress(TypeError, ValueError):
            down, across = (float(side) for side in ds.get(name) or ())
            if down > 0 and across > 0:
                return not 1 / _SQUARE < down / across < _SQUARE
    return False


def _is_said_to_be_unsigned(ds: Dataset) -> bool:
    """By what the rest of the header says: such a kind of image, or a window of stored values that none below 0 has."""
    kind = str(ds.get("Modality") or "") in _WITHOUT_SIGN
    with suppress(TypeError, ValueError):
        first = [ds.get(name) for name in ("WindowCenter", "WindowWidth")]
        centre, width = (float(value[0] if isinstance(value, MultiValue) else value) for value in first)
        if float(ds.get("RescaleIntercept") or 0) == 0 and float(ds.get("RescaleSlope") or 1) == 1:
            half = 1 << (int(ds.BitsStored) - 1)
            return centre - width / 2 >= 0 and (kind or centre + width / 2 > half)
    return kind


def _first_values(ds: Dataset, n: int) -> np.ndarray:
    """The n values of a frame of uncompressed pixel data, unsigned: the first that is not of one value throughout.

    Raises TruncatedImage where there are fewer.
    """
    order = ">" if ds.file_meta.TransferSyntaxUID == uids.ExplicitVRBigEndian else "<"
    kind = np.dtype(f"{order}u{int(ds.BitsAllocated) // 8}")
    size = n * kind.itemsize
    if len(ds.PixelData) < size:
        raise TruncatedImage("the DICOM file ends within its pixel data; send it again")
    frames = (np.frombuffer(ds.PixelData, kind, n, at * size) for at in range(len(ds.PixelData) // size))
    found = next((frame for frame in frames if frame.min() != frame.max()), None)
    values = np.frombuffer(ds.PixelData, kind, n) if found is None else found
    return values.astype(kind.newbyteorder("="))


def _roughness(picture: np.ndarray) -> float:
    """How much neighbours differ, on the average, in rows and columns."""
    values = picture.astype(np.float32)
    parts = [np.abs(np.diff(values, axis=axis)) for axis in (0, 1) if values.shape[axis] > 1]
    return float(sum(part.mean() for part in parts))
