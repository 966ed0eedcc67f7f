"""Of two ways in which uncompressed DICOM pixels may lie: the one that gives a picture, where the other gives a jumble.

A picture's neighbours differ little; so do those of a wrong layout only by chance.
"""

import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset

from secondread.errors import TruncatedImage
from secondread.images.bits import aligned


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
    """Whether grey values of 8, 16 or 32 bits allocated have a sign. Raises TruncatedImage."""
    stored = _first_values(ds, int(ds.Rows) * int(ds.Columns)).reshape(int(ds.Rows), int(ds.Columns))
    unsigned, _ = aligned(stored, ds, signed=False)
    signed, _ = aligned(stored, ds, signed=True)
    return bool(signed.min() < 0 and _roughness(signed) < _roughness(unsigned))


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
