"""NIfTI volumes (.nii, .nii.gz) as slices in order, each as radiologists look at it; and a copy without names.

The slices are those of the plane that was acquired, from foot to head, front to back or left to right: the order and
the sides that a DICOM series of the same volume has (PS3.3 C.7.6.2.1.1). One window for all of them. The format is that
of nifti.nimh.nih.gov; nibabel reads its header, and no value of it is believed before it was checked.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from secondread.errors import ImageTooLarge, NoSuchFrame, TruncatedImage, UnsupportedImage
from secondread.images.budget import budget
from secondread.images.frames import Frames
from secondread.images.image import Image, Limits
from secondread.tasks import N_

FIRST_VOLUME = N_("the file holds %(n)s volumes, and the first was read")
UNKNOWN_SIDES = N_("the file does not say how the body lies: left and right may be swapped")
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 14  # bytes inflated at once: what follows a member is copied, and a file may be of millions of them
_HEAD = 544  # bytes of the longest header, with the four that announce extensions
_OURS = b"secondread"  # as the description: the window is worked out already
_FULL = 65535
_READ = {  # code of the data type → what numpy calls it
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_TEXTS = ("descrip", "aux_file", "intent_name", "data_type", "db_name", "unused_str")
# What is shown: the axis of the body (0 right, 1 front, 2 head) and the direction in which rows, columns and slices go.
_PLANES = {
    2: ((1, -1), (0, -1), 1),  # axial: front at the top, the patient's right at the left, from foot to head
    1: ((2, -1), (0, -1), -1),  # coronal: head at the top, the right at the left, from front to back
    0: ((2, -1), (1, -1), 1),  # sagittal: head at the top, front at the left, from left to right
}
_THICKER = 1.2  # times the other sides of a voxel: the direction in which slices were taken
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}  # code of the unit of space → how many of it; 0 says nothing
_SQUARE = 1.1  # up to this, pixels count as square
_MOST_STRETCH = 8.0
_SAMPLED = 24  # slices that the window is worked out of
_WINDOW = (0.5, 99.8)  # percent of the values


@dataclass(frozen=True, eq=False)
class _Volume:
    """The first volume of a file, its voxels still where they lie in its bytes."""

    header: Any  # nibabel's
    voxels: np.ndarray  # (i, j, k) as stored, a view
    n_volumes: int
    slope: float
    intercept: float
    affine: np.ndarray | None  # float (4, 4), voxels to right, front and head in mm; None where the file does not say

    def plane(self, axis: int, at: int) -> np.ndarray:
        """The voxels of one place along an axis, a view: numpy's `take` would copy the whole volume first."""
        return self.voxels[tuple(at if one == axis else slice(None) for one in range(3))]

    def values(self, stored: np.ndarray) -> np.ndarray:
        """What stored numbers mean, float32."""
        return stored.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)


def is_nifti(data: bytes) -> bool:
    """Whether this is a NIfTI file in one piece, compressed or not."""
    head = _inflated(data, _HEAD) if data[:2] == _GZIP else data[:_HEAD]
    return head[344:348] == b"n+1\0" or head[4:12] == b"n+2\0\r\n\x1a\n"


def open_nifti_frames(data: bytes, *, limits: Limits) -> Frames:
    """The slices of a volume in order. Raises ImageTooLarge, TruncatedImage or UnsupportedImage."""
    volume = _open(data, limits)
    axis, rows, columns, backwards = _layout(volume)
    n = volume.voxels.shape[axis]
    spacing = _spacing(volume)
    low, high = _window(volume, axis)
    notes = _notes(volume)

    def frame(index: int) -> Image:
        if not 0 <= index < n:
            raise NoSuchFrame(f"there is no slice {index + 1}; the volume has {n}")
        stored = volume.plane(axis, n - 1 - index if backwards else index)
        if rows[0] > columns[0]:
            stored = stored.T
        stored = stored[:: -1 if rows[1] else 1, :: -1 if columns[1] else 1]
        pixels = _grey(volume.values(stored), low, high)
        pixels = _squared(pixels, spacing[rows[0]] / spacing[columns[0]], limits)
        bits = 8 * volume.voxels.itemsize
        return Image(pixels, _FULL, "NIfTI", bit_depth=bits, frame=index, n_frames=n, notes=notes)

    return Frames(n, frame)


def plane_of_nifti(
    data: bytes, *, limits: Limits
) -> tuple[tuple[float, float] | None, tuple[np.ndarray, np.ndarray] | None]:
    """Of the slices as they are shown: millimetres between rows and between columns, and where both go in the body.

    None where the file does not say: its unit, or how it lies. Directions as DICOM has them: left, back, head.
    Raises as `open_nifti_frames`.
    """
    volume = _open(data, limits)
    _, rows, columns, _ = _layout(volume)
    spacing, shape = _spacing(volume), volume.voxels.shape
    high, wide = spacing[rows[0]], spacing[columns[0]]
    size = _squared_size((shape[rows[0]], shape[columns[0]]), high / wide)
    unit = _MILLIMETRES.get(int(volume.header["xyzt_units"]) & 7)
    known = volume.affine is not None or bool(np.all(volume.header["pixdim"][1:4] > 0))
    between = None
    if unit is not None and known:
        between = (
            float(unit * high * shape[rows[0]] / size[0]),
            float(unit * wide * shape[columns[0]] / size[1]),
        )
    if volume.affine is None:
        return between, None
    to_dicom = volume.affine[:3, :3] * np.array([[-1.0], [-1.0], [1.0]])  # from right, front, head
    along = [to_dicom[:, axis] * (-1 if turned else 1) for axis, turned in (columns, rows)]
    return between, (along[0], along[1])


def clean_nifti(data: bytes, limits: Limits) -> bytes:
    """The first volume, not compressed, with a header of numbers alone: no texts, no extensions, which may hold names.

    The window is worked out once and kept in it. Raises as `open_nifti_frames`.
    """
    volume = _open(data, limits)
    low, high = _window(volume, _layout(volume)[0])
    header = volume.header.copy()
    for name in _TEXTS:
        if name in header.keys():  # noqa: SIM118 - a header of nibabel looks nothing up with `in`
            header[name] = b""
    header["descrip"], header["cal_min"], header["cal_max"] = _OURS, low, high
    header["dim"][0] = 3
    header["dim"][4:] = 1
    block = header.structarr.dtype.itemsize
    header["vox_offset"] = block + 4
    with budget().reserve(2 * volume.voxels.nbytes):
        return bytes(header.binaryblock) + bytes(4) + volume.voxels.tobytes(order="F")


def _open(data: bytes, limits: Limits) -> _Volume:
    try:
        from nibabel.nifti1 import Nifti1Header
        from nibabel.nifti2 import Nifti2Header
    except ImportError as error:
        raise UnsupportedImage(
            "a NIfTI volume takes the extra 'dicom': pip install 'secondread[dicom]'; or export its slices as DICOM"
        ) from error
    head = _inflated(data, _HEAD) if data[:2] == _GZIP else data[:_HEAD]
    kind, block = (Nifti1Header, 348) if head[344:348] == b"n+1\0" else (Nifti2Header, 540)
    if len(head) < block:
        raise _damaged()
    header = _of_nibabel(lambda: kind(head[:block], check=False))
    shape, n_volumes = _shape(header, limits)
    code = int(header["datatype"])
    if code not in _READ:
        raise UnsupportedImage("this NIfTI volume is of colours or complex numbers, which are not read here")
    dtype = np.dtype(_READ[code]).newbyteorder(header.endianness)
    offset = float(header["vox_offset"])
    start = int(offset) if np.isfinite(offset) and block <= offset <= limits.max_bytes else block + 4
    n_bytes = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if n_bytes > limits.max_bytes:
        raise ImageTooLarge(
            f"the volume takes {n_bytes / 1e6:.0f} MB, more than the {limits.max_bytes / 1e6:.0f} MB allowed; "
            f"export it smaller or raise the limit{limits.how('max_bytes')}"
        )
    if data[:2] == _GZIP:
        with budget().reserve(2 * n_bytes):
            data = _inflated(data, n_bytes)
    if len(data) < n_bytes:
        raise _damaged()
    voxels: np.ndarray = np.ndarray(shape, dtype, buffer=data, offset=start, order="F")
    slope, intercept = _scaling(header)
    return _Volume(header, voxels, n_volumes, slope, intercept, _affine(header))


def _damaged() -> TruncatedImage:
    return TruncatedImage("the NIfTI volume is cut short or damaged; copy or export it again")


def _of_nibabel(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # nibabel raises nearly anything for a damaged header
        raise _damaged() from error


def _inflated(data: bytes, most: int) -> bytes:
    """At most so many bytes of a gzip file, which may be of several members. Raises TruncatedImage."""
    found, stream = bytearray(), zlib.decompressobj(31)
    try:
        for at in range(0, len(data), _PIECE):
            left = data[at : at + _PIECE]
            while left and len(found) < most:
                if stream.eof:
                    if left[:1] != _GZIP[:1]:
                        return bytes(found)
                    stream = zlib.decompressobj(31)
                found += stream.decompress(left, most - len(found))
                left = stream.unused_data
            if len(found) >= most:
                break
    except zlib.error as error:
        if len(found) < _HEAD:
            return bytes(found)
        raise _damaged() from error
    return bytes(found)


def _shape(header: Any, limits: Limits) -> tuple[tuple[int, int, int], int]:
    """Voxels along the three axes, and how many volumes there are."""
    dim = [int(one) for one in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(one < 1 for one in dim[1 : dim[0] + 1]):
        raise _damaged()
    sides = [*dim[1 : min(dim[0], 3) + 1], 1, 1][:3]
    n_volumes = int(np.prod([float(one) for one in dim[4 : dim[0] + 1]])) if dim[0] > 3 else 1
    for one in range(3):
        others = [side for at, side in enumerate(sides) if at != one]
        limits.check_size(min(others[0], 2**31), min(others[1], 2**31))
    return (sides[0], sides[1], sides[2]), n_volumes


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the file gives none that can be."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0 or abs(slope) > 1e30:
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) and abs(intercept) < 1e30 else 0.0


def _affine(header: Any) -> np.ndarray | None:
    """Where voxels lie in the body; None where neither form is given, or the one that is cannot be."""
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        return None
    found = np.asarray(_of_nibabel(header.get_best_affine), dtype=np.float64)
    sides = np.linalg.norm(found[:3, :3], axis=0) if np.isfinite(found).all() else np.zeros(3)
    if sides.min() < 1e-6 or sides.max() > 1e6 or abs(np.linalg.det(found[:3, :3] / sides)) < 1e-3:
        return None
    return found


def _spacing(volume: _Volume) -> np.ndarray:
    """Sides of a voxel in mm, float (3,); 1 where the file does not say."""
    if volume.affine is not None:
        return np.asarray(np.linalg.norm(volume.affine[:3, :3], axis=0))
    sides = np.abs(np.asarray(volume.header["pixdim"][1:4], dtype=np.float64))
    return sides if np.isfinite(sides).all() and sides.min() > 1e-6 and sides.max() < 1e6 else np.ones(3)


def _axes(volume: _Volume) -> list[tuple[int, int]]:
    """Of each axis of the voxels: the axis of the body that it follows most, and 1 or -1 for its direction."""
    if volume.affine is None:
        return [(0, 1), (1, 1), (2, 1)]
    from nibabel.orientations import io_orientation

    found = _of_nibabel(lambda: io_orientation(volume.affine))
    return [(int(axis), int(way)) for axis, way in found] if np.isfinite(found).all() else [(0, 1), (1, 1), (2, 1)]


def _layout(volume: _Volume) -> tuple[int, tuple[int, bool], tuple[int, bool], bool]:
    """The axis of the slices; those of rows and columns, each with whether it is turned round; whether slices are."""
    axes, at = _axes(volume), _slice_axis(volume)
    (row_axis, row_way), (column_axis, column_way), slice_way = _PLANES[axes[at][0]]
    of_body = {axis: (number, way) for number, (axis, way) in enumerate(axes)}
    rows, columns = of_body[row_axis], of_body[column_axis]
    return at, (rows[0], rows[1] != row_way), (columns[0], columns[1] != column_way), axes[at][1] != slice_way


def _slice_axis(volume: _Volume) -> int:
    """As the header says; else along which voxels are thickest; else from foot to head."""
    told = _of_nibabel(volume.header.get_dim_info)[2]
    shape, spacing = volume.voxels.shape, _spacing(volume)
    if told is not None and shape[told] > 1:
        return int(told)
    flat = [at for at in range(3) if shape[at] == 1]
    if flat:
        return flat[-1]
    thickest = int(np.argmax(spacing))
    if spacing[thickest] > _THICKER * np.median(spacing):
        return thickest
    return next(at for at, (axis, _) in enumerate(_axes(volume)) if axis == 2)


def _window(volume: _Volume, axis: int) -> tuple[float, float]:
    """The values that are shown black and white, for all slices; one hot voxel, or a sea of air, does not set them."""
    if bytes(volume.header["descrip"].tobytes()).rstrip(b"\0") == _OURS:
        low, high = float(volume.header["cal_min"]), float(volume.header["cal_max"])
        if np.isfinite([low, high]).all() and low <= high:
            return low, high
    n = volume.voxels.shape[axis]
    chosen = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int))
    step = max(1, int(np.sqrt(volume.voxels.size / n / 65536)))
    parts = [volume.values(volume.plane(axis, int(at))[::step, ::step]).ravel() for at in chosen]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    inside = values[values > values.min()]  # the air around a head is of one value, mostly
    low, high = np.percentile(inside if inside.size else values, _WINDOW)
    return min(float(values.min()), float(low)) if values.min() >= 0 else float(low), float(high)


def _grey(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint16, bright for high values; what is not finite is black, and all is where there is but one value."""
    if not high > low:
        return np.zeros(values.shape, np.uint16)
    share = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    return np.ascontiguousarray(np.round(share * _FULL).astype(np.uint16))


def _squared(pixels: np.ndarray, ratio: float, limits: Limits) -> np.ndarray:
    """With square pixels. ratio: height of a pixel by its width."""
    height, width = _squared_size(pixels.shape, ratio)
    if (height, width) == pixels.shape:
        return pixels
    limits.check_size(width, height)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))


def _squared_size(shape: tuple[int, ...], ratio: float) -> tuple[int, int]:
    """Rows and columns of a picture once its pixels are square."""
    height, width = shape
    if 1 / _SQUARE <= ratio <= _SQUARE or not 1 / _MOST_STRETCH <= ratio <= _MOST_STRETCH:
        return height, width
    return (round(height * ratio), width) if ratio > 1 else (height, round(width / ratio))


def _notes(volume: _Volume) -> tuple[str, ...]:
    told = [FIRST_VOLUME % {"n": volume.n_volumes}] if volume.n_volumes > 1 else []
    return (*told, *([UNKNOWN_SIDES] if volume.affine is None else []))
