"""The values of a picture gone through in pieces, so that nothing as large as the picture is made beside it."""

from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from typing import Any

import cv2
import numpy as np

_PIECE = 1 << 18  # pixels worked on at once: the temporary arrays of one piece stay within the processor's cache
MOST_LEVELS = 2**17  # a wider range of integers has no table with a row for each of them
_MANY_PIXELS = 4_000_000  # of floating point values, more than these are sampled

Padding = tuple[float, float]


def pieces_of(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """All values in order, as views of one axis where memory is laid out so, a quarter of a million at a time."""
    flat = pixels.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield flat[start : start + _PIECE]


def mapped(
    function: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, dtype: type[np.generic], *, reuse: bool = False
) -> np.ndarray:
    """What a function of single values gives for all of them, of that dtype and the shape of `pixels`.

    reuse: nobody needs `pixels` any more, so the outcome may take their place.
    """
    target = _room_for(pixels, dtype, reuse=reuse)
    flat = target.reshape(-1)
    for start, piece in zip(range(0, flat.size, _PIECE), pieces_of(pixels), strict=True):
        flat[start : start + _PIECE] = function(piece)
    return target


def mapped_by_table(pixels: np.ndarray, levels: np.ndarray, low: int, *, reuse: bool = False) -> np.ndarray:
    """What `levels`, uint16, has for each integer, the first one for the value `low`; otherwise as `mapped`."""
    if pixels.dtype == np.uint16 and 0 <= low <= low + len(levels) <= _ALL_OF_16_BITS and _looks_up_16_bits():
        whole = np.zeros(_ALL_OF_16_BITS, np.uint16)
        whole[low : low + len(levels)] = levels
        target = _room_for(pixels, np.uint16, reuse=reuse)
        flat = target.reshape(-1)
        for start, piece in zip(range(0, flat.size, _PIECE), pieces_of(pixels), strict=True):
            cv2.LUT(piece, whole, dst=flat[start : start + _PIECE])
        return target

    def by_index(piece: np.ndarray) -> np.ndarray:
        index = piece.astype(np.intp)
        index -= low
        return levels.take(index)

    return mapped(by_index, pixels, np.uint16, reuse=reuse)


def looked_up(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """What the table, uint8 or uint16 (65536,), has for each value: pixels are uint16 of any shape."""
    return np.asarray(cv2.LUT(pixels, table)) if _looks_up_16_bits() else table.take(pixels)


_ALL_OF_16_BITS = 1 << 16


@cache
def _looks_up_16_bits() -> bool:
    """Whether this OpenCV has tables for 16 bits, which take half the time of NumPy's."""
    table = np.arange(_ALL_OF_16_BITS, dtype=np.uint16)
    try:
        return bool((cv2.LUT(table[::-1].copy(), table).ravel() == table[::-1]).all())
    except cv2.error:
        return False


def _room_for(pixels: np.ndarray, dtype: type[np.generic], *, reuse: bool) -> np.ndarray:
    return pixels.view(dtype) if reuse and _can_hold(pixels, dtype) else np.empty(pixels.shape, dtype)


def _can_hold(pixels: np.ndarray, dtype: type[np.generic]) -> bool:
    flags = pixels.flags
    return bool(pixels.itemsize == np.dtype(dtype).itemsize and flags.writeable and flags.c_contiguous)


class Values:
    """The values that count of a picture: all but background and what is not finite; all if nothing else is left.

    source: an array that is not empty, or what gives its values piece by piece, of that dtype, each time it is called.
    padding: the lowest and the highest value that are background. 0 alone where none is finite.
    """

    def __init__(
        self,
        source: np.ndarray | Callable[[], Iterator[np.ndarray]],
        padding: Padding | None = None,
        *,
        dtype: np.dtype | None = None,
    ):
        whole = source if isinstance(source, np.ndarray) else None
        self._source = partial(pieces_of, source) if isinstance(source, np.ndarray) else source
        self.dtype = np.dtype(dtype) if whole is None else whole.dtype
        self._padding = padding
        if whole is not None and whole.dtype.kind != "f":
            pieces = pieces_of(whole) if whole.flags.c_contiguous else (whole,)  # each is gone through while it is near
            lows, highs = zip(*((piece.min(), piece.max()) for piece in pieces), strict=True)
            self.low, self.high, self.n = min(lows), max(highs), whole.size
            if padding is None or padding[1] < self.low or padding[0] > self.high:
                self._padding = None
                return
        low, high, n = self._extent()
        if not n and padding is not None:
            self._padding = None
            low, high, n = self._extent()
        if not n:
            nothing = np.zeros(1)
            self._source, self.dtype, low, high, n = partial(pieces_of, nothing), nothing.dtype, 0.0, 0.0, 1
        self.low, self.high, self.n = low, high, n

    def pieces(self) -> Iterator[np.ndarray]:
        """Those values in order, of one axis."""
        for piece in self._source():
            if piece.dtype.kind == "f":
                piece = piece[np.isfinite(piece)]
            if self._padding is not None:
                piece = piece[(piece < self._padding[0]) | (piece > self._padding[1])]
            yield piece

    def _extent(self) -> tuple[Any, Any, int]:
        """Lowest, highest, and how many."""
        found = [(piece.min(), piece.max(), piece.size) for piece in self.pieces() if piece.size]
        if not found:
            return 0.0, 0.0, 0
        lows, highs, sizes = zip(*found, strict=True)
        return min(lows), max(highs), sum(sizes)

    def every(self, step: int) -> np.ndarray:
        """Each `step`-th of them, as `values[::step]` is of an array."""
        found, at = [], 0
        for piece in self.pieces():
            found.append(piece[-at % step :: step].copy())  # a view would hold the whole piece
            at += piece.size
        return np.concatenate(found)

    @property
    def has_levels(self) -> bool:
        """Whether they are integers of so narrow a range that every value can be counted."""
        return self.dtype.kind in "iu" and int(self.high) - int(self.low) < MOST_LEVELS

    @cached_property
    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Every value that occurs, ascending as float64, and how often; of a wide range a sample with both ends."""
        if self.has_levels:
            low = int(self.low)
            counts = np.zeros(int(self.high) - low + 1, np.intp)
            for piece in self.pieces():
                counts += np.bincount(piece.astype(np.intp) - low, minlength=counts.size)
            levels = np.flatnonzero(counts)
            return levels + float(low), counts[levels]
        step = -(-self.n // _MANY_PIXELS)
        sample = self.every(step)
        if step > 1:
            sample = np.concatenate([sample, np.array([self.low, self.high], self.dtype)])
        levels, counts = np.unique(sample, return_counts=True)
        return levels.astype(np.float64), counts

    def beyond(self, start: float, end: float) -> int:
        """How many lie below `start` or above `end`."""
        return sum(int(((piece < start) | (piece > end)).sum()) for piece in self.pieces())
