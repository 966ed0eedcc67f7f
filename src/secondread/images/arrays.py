"""Arrays of a program as pictures: what their numbers mean is said by their type and shape, or they are refused."""

from typing import Any

import numpy as np

from secondread.images.values import Values
from secondread.images.white import white_of

_WHITES = (255, 1023, 4095, 65535)  # of integers that a float array may have been made of
_OFF = 0.02  # how far from whole numbers their multiples are: float32 has seven digits
SEEN_THROUGH = "transparent parts are shown black"  # also of files


def of_array(array: np.ndarray) -> dict[str, Any]:
    """What `Image` is made of: see `Image.from_array`. Raises TypeError or ValueError."""
    _check_shape(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    array, full_scale, notes = _as_integers(array)
    if array.ndim == 3 and array.shape[2] == 4:
        array, more = _over_black(array, full_scale)
        notes = (*notes, *more)
    return {
        "pixels": np.ascontiguousarray(array),
        "full_scale": full_scale,
        "format": "array",
        "bit_depth": 8 * array.itemsize,
        "notes": notes,
    }


def _check_shape(array: np.ndarray) -> None:
    shape = array.shape
    if array.ndim in (2, 3) and 0 not in shape and (array.ndim == 2 or shape[2] in (1, 3, 4)):
        return
    hint = ""
    if array.ndim == 3 and shape[0] in (1, 3, 4):
        hint = "; its channels seem to come first: give array.transpose(1, 2, 0)"
    elif array.ndim in (3, 4) and 0 not in shape:
        hint = "; give one image at a time, or all to read_many"
    raise ValueError(f"an image array is (height, width), or (height, width, 3 or 4) in colour, not {shape}{hint}")


def _as_integers(array: np.ndarray) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """uint8 or uint16, the value of white, and notes."""
    if array.dtype == np.uint8:
        return array, 255, ()
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), 255, ()
    if array.dtype == np.uint16:
        full_scale, notes = white_of(Values(array))
        return np.minimum(array, np.uint16(full_scale)), full_scale, notes
    if array.dtype.kind == "f":
        return _of_floats(array)
    raise TypeError(
        f"an image array is uint8, uint16, bool or float in 0 to 1, not {array.dtype}: what is white is not known; "
        "convert it, as with array.astype(numpy.uint16)"
    )


def _of_floats(array: np.ndarray) -> tuple[np.ndarray, int, tuple[str, ...]]:
    if not np.isfinite(array).all():
        raise ValueError("a float image array must lie in 0 to 1; this one holds values that are no numbers")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"a float image array must lie in 0 to 1, and this one goes from {low:g} to {high:g}: "
            "divide by the value of white, or convert it to uint8 or uint16"
        )
    # Of integers that were divided by their white: these again, so that their file and they are read alike.
    for white in _WHITES:
        scaled = array * array.dtype.type(white) if array.itemsize > 2 else array.astype(np.float32) * np.float32(white)
        whole = np.round(scaled)
        if white == _WHITES[-1] or np.abs(scaled - whole).max() < _OFF:
            break
    return whole.astype(np.uint8 if white == 255 else np.uint16), white, ()


def _over_black(array: np.ndarray, full_scale: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Colour over black, as viewers of X-rays and MRI show what is transparent."""
    alpha = array[:, :, 3:]
    if (alpha == full_scale).all():
        return array[:, :, :3], ()
    share = alpha.astype(np.float32) / np.float32(full_scale)
    return np.round(array[:, :, :3] * share).astype(array.dtype), (SEEN_THROUGH,)
