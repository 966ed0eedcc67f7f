"""Pixels out of a picture that Pillow holds, strip by strip, and what memory that takes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from secondread.images.arrays import SEEN_THROUGH
from secondread.images.jpeg import Plain, frame_facts
from secondread.images.values import Values, mapped
from secondread.images.white import ends_of, white_of

_PHOTOMETRIC, _ORIENTATION, _ROWS_PER_STRIP = 262, 274, 278  # tags of TIFF 6.0
_STRIP = 1 << 19  # pixels taken over at once; a smaller picture is taken whole
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_OPAQUE = (255, 255)  # lowest and highest of alpha

Taken = tuple[np.ndarray, int, tuple[str, ...]]


def pixels_of(picture: Any) -> Taken:
    """Pixels, the value of white, and notes, for any mode of a picture that is loaded."""
    mode = picture.mode
    if mode in ("L", "RGB"):
        return _filled(picture, np.asarray), 255, ()
    if mode == "1":
        return _filled(picture, lambda strip: np.asarray(strip.convert("L"))), 255, ()
    if mode.startswith("I") or mode == "F":
        pixels, full_scale, notes = _deep(picture)
        if picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == 0:  # white is zero (TIFF 6.0, tag 262)
            pixels = mapped(
                lambda values: np.subtract(full_scale, values, dtype=np.uint16), pixels, np.uint16, reuse=True
            )
        return pixels, full_scale, notes
    if mode in _ALPHA or "transparency" in picture.info:
        return _without_alpha(picture)
    return _filled(picture, lambda strip: np.asarray(strip.convert("RGB"))), 255, ()  # P, CMYK, YCbCr, LAB, HSV, RGBX


def memory_of(picture: Any, data: bytes, kind: str) -> int:
    """Bytes that decoding the picture takes at its peak, by its header: Pillow's own copy, ours and the decoder's.

    Measured by benchmarks/decode_memory.py. data: the file. Of a JPEG without Pillow's own copy: it is made only where
    the file has a fault.
    """
    mode, held = picture.mode, _held_per_pixel(picture.mode)
    grey = mode in ("1", "L") or mode.startswith("I") or mode == "F"
    ours = 3 if not grey else 1 if mode in ("1", "L") else 2
    turned: float = ours if "exif" in picture.info else 0
    decoder: float = 0
    if kind == "JPEG":
        held = 0 if mode in ("L", "RGB") else held
        # Pillow reads every header before the first scan too, and has said already whether one is progressive.
        decoder = 2 * sum(samples for _, _, samples in frame_facts(data)) if "progressive" in picture.info else 0
    elif kind == "WebP":
        decoder = 9  # two canvases, and a third copy of one on its way to Pillow
    elif kind == "TIFF":
        tags = picture.tag_v2
        decoder = held * min(1.0, tags.get(_ROWS_PER_STRIP, picture.size[1]) / picture.size[1])
        turned = held if tags.get(_ORIENTATION, 1) != 1 else 0  # by Pillow
    return round(n_pixels(picture) * (held + ours + decoder + turned)) + _WORKING + len(data) * (kind == "TIFF")


def memory_of_plain(jpeg: Plain) -> int:
    """The same of a JPEG that Pillow has not opened."""
    per_pixel = jpeg.samples + 2 * jpeg.samples * jpeg.progressive
    return jpeg.width * jpeg.height * per_pixel + _WORKING


def held_by(picture: Any) -> int:
    """Bytes of Pillow's own copy of the pixels."""
    return n_pixels(picture) * _held_per_pixel(picture.mode)


def n_pixels(picture: Any) -> int:
    """How many the picture has."""
    return int(picture.size[0] * picture.size[1])


def _held_per_pixel(mode: str) -> int:
    return 1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4


_WORKING = 32_000_000  # bytes that working strip by strip takes, whatever the picture's size


def _strips(picture: Any) -> Iterator[tuple[int, Any]]:
    """(first row, that part of the picture) from top to bottom."""
    width, height = picture.size
    if width * height <= _STRIP:
        yield 0, picture
        return
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield top, picture.crop((0, top, width, min(top + rows, height)))


def _filled(picture: Any, pixels_of_strip: Callable[[Any], np.ndarray]) -> np.ndarray:
    """What a function gives for each strip, in one array. Taken over at once, a picture would be there four times."""
    height = picture.size[1]
    target: np.ndarray | None = None
    for top, strip in _strips(picture):
        pixels = pixels_of_strip(strip)
        if len(pixels) == height:
            return pixels
        if target is None:
            target = np.empty((height, *pixels.shape[1:]), pixels.dtype)
        target[top : top + len(pixels)] = pixels
    assert target is not None, "a picture without rows"
    return target


def _deep(picture: Any) -> Taken:
    """Grey of more than 8 bits; see `white_of`."""
    if picture.mode.startswith("I;16"):
        taken = _filled(picture, np.asarray)
        full_scale, notes = white_of(Values(taken))
        return mapped(lambda piece: np.minimum(piece, full_scale), taken, np.uint16, reuse=True), full_scale, notes

    def pieces() -> Iterator[np.ndarray]:  # of 4 bytes a pixel, which are never there twice
        for _, strip in _strips(picture):
            yield np.asarray(strip).reshape(-1)

    values = Values(pieces, dtype=np.asarray(picture.crop((0, 0, 1, 1))).dtype)
    if values.dtype.kind == "f" or values.low < 0 or values.high > 65535:
        ends = ends_of(values)
        notes = ("values outside 0–65535 were scaled to the range found", *ends.notes)
        return _filled(picture, lambda strip: _scaled(np.asarray(strip), ends.low, ends.high)), 65535, notes
    full_scale, notes = white_of(values)
    return (
        _filled(picture, lambda strip: np.minimum(np.asarray(strip), full_scale).astype(np.uint16)),
        full_scale,
        notes,
    )


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (np.where(np.isfinite(values), values, low).astype(np.float64) - low) / (high - low if high > low else 1)
    return np.round(np.clip(share, 0, 1) * 65535).astype(np.uint16)


def _without_alpha(picture: Any) -> Taken:
    """Colour over black, as viewers of X-rays and MRI show what is transparent."""
    from PIL import Image as PillowImage

    plain = "L" if picture.mode in ("LA", "La", "L") else "RGB"
    seen_through = False

    def flat(strip: Any) -> np.ndarray:
        nonlocal seen_through
        rgba = strip.convert("RGBA")
        if rgba.getextrema()[3] != _OPAQUE:
            seen_through = True
            rgba = PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        return np.asarray(rgba.convert(plain))

    pixels = _filled(picture, flat)
    return pixels, 255, (SEEN_THROUGH,) if seen_through else ()
