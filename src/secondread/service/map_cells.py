"""A heat map as it lies beside its reading: the model's own coarse cells, about a hundred bytes, drawn when looked at.

A head (see `_HEAD`), then the cells row by row as float16, in shares of the largest among them, all deflated. Half a
grey level is the most that this can change of what is drawn. Cells that speak against the positive class are 0: they
are never drawn, and most of a lesion map are such.
"""

import struct
import zlib

import numpy as np

from secondread.errors import ImageError, ServiceError
from secondread.images import decode
from secondread.reading import HeatMap

_FORM = 1
# Form and kind of cells; rows, columns; width and height of the image, pixels; box x0, y0, x1, y1; full, NaN for none;
# the value of a cell of 1.
_HEAD = struct.Struct("<Bc2H2I4ddd")
_CELLS, _DRAWN = b"e", b"P"


def pack(heatmap: HeatMap) -> bytes:
    """The bytes that are kept of a map."""
    towards = np.maximum(heatmap.values, 0)
    largest = float(towards.max(initial=0.0)) or 1.0
    cells = (towards / np.float32(largest)).astype("<f2").tobytes()
    # As small as with zlib's own settings, which clear a quarter of a megabyte first.
    deflate = zlib.compressobj(9, wbits=12, memLevel=4)
    return deflate.compress(_head_of(heatmap, _CELLS, largest) + cells) + deflate.flush()


def pack_drawn(png: bytes, *, width: int, height: int) -> bytes:
    """The same of a map that is only known as it was drawn: its pixels are the cells, and it is drawn as it was.

    png: grey, 8 bits, 255 strongest, of the whole image. width, height: of the image, pixels.
    Raises an ImageError.
    """
    return zlib.compress(_head_of(_as_drawn(decode(png).pixels, width, height), _DRAWN, 1.0) + png)


def unpack(cells: bytes) -> HeatMap:
    """The map again, without what spoke against. Raises ServiceError where the bytes are none of these."""
    try:
        cells = zlib.decompress(cells)
        form, kind, rows, columns, width, height, *box, full, unit = _HEAD.unpack_from(cells)
        if form != _FORM:
            raise ServiceError(f"a kept heat map is of form {form}, which another version of secondread wrote")
        if kind == _DRAWN:
            return _as_drawn(decode(cells[_HEAD.size :]).pixels, width, height)
        values = np.frombuffer(cells, "<f2", offset=_HEAD.size).reshape(rows, columns)
    except (zlib.error, struct.error, ValueError, ImageError) as error:
        raise ServiceError("a kept heat map is damaged; restore the database from a backup") from error
    scaled = values.astype(np.float32) * np.float32(unit)
    return HeatMap(scaled, (box[0], box[1], box[2], box[3]), width, height, None if np.isnan(full) else full)


def _as_drawn(levels: np.ndarray, width: int, height: int) -> HeatMap:
    return HeatMap(levels.astype(np.float32), (0.0, 0.0, float(width), float(height)), width, height, 255.0)


def _head_of(heatmap: HeatMap, kind: bytes, unit: float) -> bytes:
    full = float("nan") if heatmap.full is None else heatmap.full
    rows, columns = heatmap.values.shape
    return _HEAD.pack(_FORM, kind, rows, columns, heatmap.width, heatmap.height, *heatmap.box, full, unit)
