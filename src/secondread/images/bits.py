"""Which of the bits that a DICOM file allocates for a value hold it (PS3.5 section 8.1.1)."""

import numpy as np
from pydicom.dataset import Dataset

from secondread.tasks import N_

_ROWS = 1 << 18  # pixels of a strip that differences are taken of at once


def aligned(stored: np.ndarray, ds: Dataset, *, signed: bool | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Values of the bits in use, from unsigned grey values of all bits allocated; and notes.

    Unused bits may hold anything; where they plainly belong to the values, the header's number of bits is wrong.
    The values themselves where nothing has to be done to them, else a copy. signed: None takes the header's word.
    """
    allocated, bits, high = 8 * stored.itemsize, int(ds.BitsStored), whole(ds, "HighBit")
    signed = int(ds.PixelRepresentation) == 1 if signed is None else signed
    notes: list[str] = []
    shift = 0 if high is None else high + 1 - bits
    if shift and not 0 < shift <= allocated - bits:
        notes.append(N_("the header's high bit is impossible: the lowest bits are taken"))
        shift = 0
    any_of_them = int(np.bitwise_or.reduce(stored, axis=None))  # the bits that occur
    if shift and any_of_them & ((1 << shift) - 1) and not any_of_them >> bits:
        notes.append(N_("the header says that values lie in the upper bits, and they lie in the lower ones"))
        shift = 0
    beyond = any_of_them >> shift >> bits
    if not signed and beyond and _goes_on(stored, shift, bits):
        notes.append(N_("the values need more bits than the header says: all are taken"))
        return stored, tuple(notes)
    if not signed:
        return (((stored >> shift) & ((1 << bits) - 1)) if shift or beyond else stored), tuple(notes)
    up = np.left_shift(stored, stored.dtype.type(allocated - bits - shift)).view(f"i{stored.itemsize}")
    up >>= up.dtype.type(allocated - bits)
    return up, tuple(notes)


def whole(ds: Dataset, keyword: str) -> int | None:
    """The attribute's integer; None where it is missing or none."""
    try:
        return int(ds.get(keyword))
    except (TypeError, ValueError):
        return None


def _goes_on(stored: np.ndarray, shift: int, bits: int) -> bool:
    """Whether the bits above belong to the values: where they change by one, the whole changes less than the rest.

    Drawings laid over a picture in its unused bits (PS3.5 section 8.1.2) do the opposite.
    """
    wide = np.int32 if stored.itemsize < 4 else np.int64
    all_bits, rest = 0, 0
    rows = max(1, _ROWS // stored.shape[1])
    for top in range(0, stored.shape[0], rows):
        strip: np.ndarray = (stored[top : top + rows + 1] >> shift).astype(wide)  # and the first row of the next one
        low = strip & ((1 << bits) - 1)
        upper = strip >> bits
        n = min(rows, len(strip))
        for one, other in (
            ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
            ((slice(n), slice(None, -1)), (slice(n), slice(1, None))),
        ):
            by_one = np.abs(upper[other] - upper[one]) == 1
            all_bits += int(np.abs(strip[other] - strip[one])[by_one].sum(dtype=np.int64))
            rest += int(np.abs(low[other] - low[one])[by_one].sum(dtype=np.int64))
    return all_bits < rest
