"""What is shown as black and as white where a file does not say: one rule for DICOM, raster files and arrays.

A single value must not decide how bright a whole picture is: a dead pixel, a marker drawn at the highest value, or
background stored far below the picture. Such values stand apart from all others and are left out.
"""

from typing import NamedTuple

import numpy as np

from secondread.images.values import Values
from secondread.tasks import N_

_FEW = 0.001  # share of the pixels beyond which an end of the range is asked whether it stands apart
_SOME = 0.01  # the same where there is an empty gap as wide as the whole range on this side of it
_FAR = 0.5  # of that range
_LEAST_LEVELS = 32  # fewer different values left are no picture, so all stay
_BITS = (8, 10, 12, 14, 16)  # scanners' usual depths
_APART = N_("single pixels have values far from all others: black and white are taken from the rest")


class Ends(NamedTuple):
    """Lowest and highest value that belong to the picture, and how many pixels lie beyond them."""

    low: float
    high: float
    apart: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of it."""
        return (_APART,) if self.apart else ()


def ends_of(values: Values) -> Ends:
    """The range of a picture's values without those that stand apart."""
    low, high = values.low, values.high
    if float(high) - float(low) < 256:  # 8 bits hold all: no value is far from the others
        return Ends(float(low), float(high))
    levels, counts = values.histogram
    last = _last_inside(levels, counts)
    levels, counts = levels[: last + 1], counts[: last + 1]
    first = last - _last_inside(-levels[::-1], counts[::-1])
    start, end = float(levels[first]), float(levels[last])
    return Ends(start, end, 0 if (start, end) == (low, high) else values.beyond(start, end))


def white_of(values: Values) -> tuple[int, tuple[str, ...]]:
    """The value shown as white of unsigned 16-bit integers of which black is 0, and notes.

    The top of the bits in use, since many scanners store 12 bits in 16; where that would leave the picture in the
    lower half of the grey scale, its own highest value, unless its low bits say that it uses the upper ones.
    """
    ends = ends_of(values)
    top, notes = int(ends.high), ends.notes if values.high > ends.high else ()
    bits = next(bits for bits in _BITS if top < 2**bits)
    if bits > 8 and 2 * top < 2**bits and not (bits == 16 and _uses_upper_bits(values, top)):
        return top, (*notes, f"16-bit values that end at {top}: this is shown as white")
    if bits < 16:
        notes = (*notes, f"16-bit values that use {bits} bits: {2**bits - 1} is shown as white")
    return 2**bits - 1, notes


def _last_inside(levels: np.ndarray, counts: np.ndarray) -> int:
    """Index of the highest level that does not stand apart from those below it.

    Apart is one value, or a per cent of the pixels, behind a gap as wide as all that lies below it; and the last
    thousandth far above the rest.
    """
    share = np.cumsum(counts) / counts.sum()
    low = levels[np.searchsorted(share, _FEW)]
    behind_gap = np.diff(levels) > levels[:-1] - low
    behind_gap[: max(_LEAST_LEVELS, min(int(np.searchsorted(share, 1 - _SOME)), len(levels) - 2))] = False
    last = int(np.argmax(behind_gap)) if behind_gap.any() else len(levels) - 1
    high = levels[min(int(np.searchsorted(share, (1 - _FEW) * share[last])), last)]
    inside = int(np.searchsorted(levels[: last + 1], high + _FAR * (high - low), side="right")) - 1
    return inside if inside >= _LEAST_LEVELS else last


def _uses_upper_bits(values: Values, top: int) -> bool:
    """Whether the picture lies in the upper bits of 16: the lower ones are empty, or repeat the upper byte."""
    inside = values.histogram[0].astype(np.int64)
    inside = inside[inside <= top]
    return not (inside & 0x0F).any() or bool(((inside >> 8) == (inside & 0xFF)).all())
