"""The grey-scale pipeline of DICOM (PS3.4 annex N.2): modality LUT → VOI LUT or window → MONOCHROME1 inversion."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from secondread.errors import UnsupportedImage
from secondread.images.image import Depth
from secondread.images.values import MOST_LEVELS, Padding, Values, mapped, mapped_by_table
from secondread.images.white import ends_of
from secondread.tasks import N_

WHITE = 65535
_NO_WINDOW = N_("the file names no window: shown from its lowest to its highest value")
_SAMPLE = 200_000  # pixels that tell well enough whether a window meets them
_LEAST_CONTRAST = 0.07  # of the grey scale, that a window must give to all but the last of the picture's pixels
_LEAST_UNCLIPPED = 0.02  # the same of a window in which all of them lie, and which gives
_LEAST_OF_ALL = 0.5  # of the grey scale to all values that the file could hold
_MISSED = N_("the file's window or table lies far from its values: shown from its lowest to its highest value")
_LOW_TABLE = N_("the file's table ends far below the bits that it says: its highest entry is shown as white")


Function = Callable[[np.ndarray], np.ndarray]  # of single values, whatever the shape


def grey_as_shown(
    ds: Dataset, stored: np.ndarray, frame: int, *, reuse: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint16 (rows, columns), white at 65535, bright means bright; and notes for the reader.

    What is shown is a function of one stored value, so for integers it is worked out once for each value.
    reuse: nobody needs `stored` any more, so the picture may take its place in memory.
    """
    if stored.ndim != 2:
        raise UnsupportedImage(f"pixel data of shape {stored.shape} are not a grey image; export the image as PNG")
    facts, padding = _facts(ds, frame), _padding(ds, stored.dtype)
    inside = Values(stored, padding)
    # Without padding its ends are those of the picture, and to look for them again takes as long as to look it up.
    low, high = (inside.low, inside.high) if inside.n == stored.size else (stored.min(), stored.max())
    with np.errstate(all="ignore"):  # slopes and windows may be anything; what overflows is clipped
        shown, notes = _shown(facts, inside, np.array([low, high]), padding)
        return _of_each_value(shown, stored, low, high, reuse=reuse), notes


def grey_in_depth(ds: Dataset, stored: np.ndarray, frame: int, *, reuse: bool = False) -> Depth | None:
    """Every value of the picture after the modality LUT, and the window that the file asks for; None for one value.

    Background (padding) is black. A table or a sigmoid in place of a window is not followed: then the window is the
    whole range, as it is where the file names none. reuse: as of `grey_as_shown`.
    """
    if stored.ndim != 2:
        return None
    facts, padding = _facts(ds, frame), _padding(ds, stored.dtype)
    inside = Values(stored, padding)
    ends = _modality(facts, np.array([inside.low, inside.high])).astype(np.float64)
    low, high = float(ends.min()), float(ends.max())
    if not high > low:
        return None
    inverted = text(facts, "PhotometricInterpretation") == "MONOCHROME1"
    lowest, highest = stored.min(), stored.max()
    signed = bool(lowest < 0)

    def levels(values: np.ndarray) -> np.ndarray:
        after = _modality(facts, values, signed=signed).astype(np.float64)
        share = np.clip((np.nan_to_num(after) - low) / (high - low), 0, 1)
        share = 1 - share if inverted else share
        if padding is not None:
            share = np.where((values >= padding[0]) & (values <= padding[1]), 0, share)
        return np.round(share * WHITE).astype(np.uint16)

    centre, width = _number(facts, "WindowCenter"), _number(facts, "WindowWidth")
    if centre is None or width is None or width <= 0 or _first_item(facts, "VOILUTSequence"):
        start, end, _ = ends_of(inside)
        first, last = np.sort(_modality(facts, np.array([start, end])).astype(np.float64))
        centre, width = float(first + last) / 2, float(last - first)
    black, white = (high, low) if inverted else (low, high)
    pixels = _of_each_value(levels, stored, lowest, highest, reuse=reuse)
    return Depth(pixels, black, white, centre, width, unit_of(ds))


def unit_of(ds: Dataset) -> str:
    """Of the values after the modality LUT, as 'HU'; empty where the file does not say."""
    unit = text(ds, "RescaleType") or ("HU" if text(ds, "Modality") == "CT" else "")
    return "" if unit == "US" else unit[:8]  # unspecified


def _of_each_value(
    function: Function, stored: np.ndarray, low: np.generic, high: np.generic, *, reuse: bool = False
) -> np.ndarray:
    """What it gives for all pixels, uint16: of integers it is worked out once for each value.

    low, high: of `stored`. reuse: see `mapped`.
    """
    if stored.dtype.kind != "f" and int(high) - int(low) < MOST_LEVELS:
        return mapped_by_table(stored, function(np.arange(int(low), int(high) + 1)), int(low), reuse=reuse)
    return mapped(function, stored, np.uint16, reuse=reuse)


def text(ds: Dataset, keyword: str) -> str:
    """The attribute as text without blanks around it; empty where it is missing."""
    return str(ds.get(keyword) or "").strip()


def _shown(
    facts: Dataset, inside: Values, ends: np.ndarray, padding: Padding | None
) -> tuple[Function, tuple[str, ...]]:
    """The function from stored values to what they are shown as, and notes.

    inside: the picture, whose range serves where no window is named. ends: its lowest and highest value, background
    among them. The inversion of MONOCHROME1 comes last (PS3.3 C.7.6.3.1.2); padding is background, black either way.
    """
    share_of_white, notes = _share_of_white(facts, inside, ends)
    inverted = text(facts, "PhotometricInterpretation") == "MONOCHROME1"

    def shown(values: np.ndarray) -> np.ndarray:
        share = share_of_white(values)
        if inverted:
            share = 1 - share
        if padding is not None:
            share = np.where((values >= padding[0]) & (values <= padding[1]), 0, share)
        return np.round(np.clip(np.nan_to_num(share), 0, 1) * WHITE).astype(np.uint16)

    return shown, notes


def _share_of_white(facts: Dataset, inside: Values, ends: np.ndarray) -> tuple[Function, tuple[str, ...]]:
    signed = bool(ends[0] < 0)
    modality = partial(_modality, facts, signed=signed)
    if (asked := _asked(facts, bool(modality(ends).min() < 0))) is not None:
        function, notes = asked
        if inside.low == inside.high or _meets(function, facts, inside):
            return lambda values: function(modality(values)), notes
    found = ends_of(inside)
    low, high = np.sort(_modality(facts, np.array([found.low, found.high])).astype(np.float64))
    notes = (_NO_WINDOW if asked is None else _MISSED, *found.notes)
    if not high > low:
        return lambda values: np.zeros(values.shape), notes
    return lambda values: (modality(values) - low) / (high - low), notes


def _meets(function: Function, facts: Dataset, inside: Values) -> bool:
    """Whether a window or table shows something of the picture: of what is no background, all but the last values.

    A window that clips nothing of them may show little contrast, since it was made for more than is in this picture;
    not so where it is far wider than all that the file could hold.
    """
    some = inside.every(max(1, inside.n // _SAMPLE))
    shown = function(_modality(facts, np.array(_all_but_the_last(some, inside))))
    low, high = sorted(map(float, shown))
    bits, signed = int(facts.get("BitsStored") or 8 * inside.dtype.itemsize), facts.get("PixelRepresentation") == 1
    lowest = -(2 ** (bits - 1)) if signed else 0
    whole = function(_modality(facts, np.array([lowest, lowest + 2**bits - 1], dtype=np.int64)))
    made_for_it = low > 0 and high < 1 and abs(float(whole[1]) - float(whole[0])) > _LEAST_OF_ALL
    return high - low >= (_LEAST_UNCLIPPED if made_for_it else _LEAST_CONTRAST)


def _all_but_the_last(some: np.ndarray, inside: Values) -> tuple[float, float]:
    """Between which values nearly all of these lie, without the one that more than half of them have: background.

    some: of the picture's. The percentiles 0.5 and 99.5, each the nearest value.
    """
    shares = np.array([0.005, 0.995])
    if not inside.has_levels:
        levels, counts = np.unique(some, return_counts=True)
        if 2 * counts.max() > some.size and len(levels) > 1:
            some = some[some != levels[counts.argmax()]]
        low, high = np.percentile(some, 100 * shares, method="nearest")
        return low, high
    # Counting takes a fifth of the time of sorting, and without a shift that is not needed a quarter less.
    start = int(inside.low)
    if inside.dtype.kind == "u" and int(inside.high) < MOST_LEVELS:
        start = 0
    counts = np.bincount(some.astype(np.intp) - start if start or inside.dtype.itemsize > 4 else some)
    if some.size < 2 * counts.max() < 2 * some.size:
        counts[counts.argmax()] = 0
    up_to = np.cumsum(counts)
    low, high = np.searchsorted(up_to, np.rint((up_to[-1] - 1) * shares), side="right") + start
    return low, high


def _asked(facts: Dataset, signed: bool) -> tuple[Function, tuple[str, ...]] | None:
    """The table or the window that the file asks for, as a function to shares of white, and notes; None if it has none.

    signed: whether there are values below 0 after the modality LUT.
    """
    if item := _first_item(facts, "VOILUTSequence"):
        first, table, bits = _table(item, signed=signed)
        top, white = int(table.max()), 2**bits - 1
        if 0 < 2 * top < white:
            return lambda values: _looked_up(values, first, table) / top, (_LOW_TABLE,)
        return lambda values: _looked_up(values, first, table) / white, ()
    centre, width = _number(facts, "WindowCenter"), _number(facts, "WindowWidth")
    function = text(facts, "VOILUTFunction").upper() or "LINEAR"
    if centre is not None and width is not None and (width >= 1 or (width > 0 and function != "LINEAR")):
        return lambda values: _windowed(values, centre, width, function), ()
    return None


def _modality(facts: Dataset, values: np.ndarray, *, signed: bool | None = None) -> np.ndarray:
    """Modality LUT or rescale (PS3.3 C.11.1); the table wins where a file has both.

    signed: whether there are values below 0 in the picture that these are a part of; None: they are all.
    """
    if item := _first_item(facts, "ModalityLUTSequence"):
        first, table, _ = _table(item, signed=bool(values.min() < 0) if signed is None else signed)
        return _looked_up(values, first, table)
    slope, intercept = _number(facts, "RescaleSlope"), _number(facts, "RescaleIntercept")
    return values * (slope or 1.0) + (intercept or 0.0)  # a slope of 0 leaves no picture, and means none


def _windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """The window's functions with output from 0 to 1 (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


def _looked_up(values: np.ndarray, first: int, table: np.ndarray) -> np.ndarray:
    """Values below the first mapped one get the first entry, values beyond the last the last (PS3.3 C.11.1.1.1)."""
    index = np.clip(np.nan_to_num(np.round(values)) - first, 0, len(table) - 1)
    return table[index.astype(np.intp)].astype(np.float64)


def _table(item: Dataset, *, signed: bool) -> tuple[int, np.ndarray, int]:
    """(first value mapped, entries, bits of an entry) of a look-up table's item (PS3.3 C.11.1.1)."""
    n_entries, first, bits = (int(part) for part in item.LUTDescriptor)
    n_entries = n_entries or 65536
    if signed and first > 32767:  # written as unsigned though the values are signed
        first -= 65536
    raw = item.LUTData
    if isinstance(raw, bytes):
        words = ">u2" if item.original_encoding[1] is False else "<u2"
        table = np.frombuffer(raw, np.uint8 if len(raw) < 2 * n_entries else words)
    else:
        table = np.atleast_1d(np.asarray(raw, dtype=np.int64)) & 0xFFFF
    table = table[:n_entries]
    if not len(table) or not 1 <= bits <= 16:
        raise ValueError("a look-up table is empty or of impossible depth")
    return first, table, max(bits, int(table.max()).bit_length())


def _padding(ds: Dataset, dtype: np.dtype) -> Padding | None:
    """Lowest and highest stored value that are background (PS3.3 C.7.5.1.1.2)."""
    ends = [_number(ds, key) for key in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None
    known = [end for end in ends if end is not None]
    if dtype.kind == "i":  # written as unsigned though the values are signed
        top = np.iinfo(dtype).max
        known = [end - 2 * (top + 1) if end > top else end for end in known]
    return min(known), max(known)


def _facts(ds: Dataset, frame: int) -> Dataset:
    """The pipeline's attributes for one frame: its own, then the shared, then the image's (PS3.3 C.7.6.16)."""
    if "SharedFunctionalGroupsSequence" not in ds and "PerFrameFunctionalGroupsSequence" not in ds:
        return ds
    facts = Dataset()
    for keyword in (*_PIPELINE, "PhotometricInterpretation", "BitsStored", "PixelRepresentation"):
        if keyword in ds:
            facts[keyword] = ds[keyword]
    for groups, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        items = ds.get(groups) or []
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if index < len(items) and (item := _first_item(items[index], macro)):
                for keyword in _PIPELINE:
                    if keyword in item:
                        facts[keyword] = item[keyword]
    return facts


_PIPELINE = (
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
)


def _first_item(ds: Dataset, keyword: str) -> Dataset | None:
    items = ds.get(keyword)
    return items[0] if items else None


def _number(ds: Dataset, keyword: str) -> float | None:
    """The attribute's first value, or None where it is missing or no finite number."""
    value: Any = ds.get(keyword)
    if isinstance(value, MultiValue | list):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
