"""Plain PNG files: the pixels that Pillow gives, and every other file left to Pillow."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import ImageError
from secondread.images import decode
from secondread.images.image import Limits
from secondread.images.png import PlainPng, decode_plain_png, plain_png
from secondread.images.raster import _opened


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def picture(height: int, width: int, samples: int, kind: str, random_state: int = 0) -> np.ndarray:
    """Of noise, a slope (other filters are chosen for it) or one value."""
    rng = np.random.default_rng(random_state)
    shape = (height, width, 3) if samples == 3 else (height, width)
    if kind == "noise":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == "flat":
        return np.full(shape, 77, np.uint8)
    slope = np.add.outer(np.arange(height), 2 * np.arange(width)) % 256
    return np.broadcast_to(slope[..., None] if samples == 3 else slope, shape).astype(np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """The file with one more chunk, behind its header."""
    return data[:33] + chunk(kind, body) + data[33:]


def by_pillow(data: bytes) -> object:
    """Its pixels, or the kind of error and what it says."""
    return _outcome(lambda: _opened(data, "PNG", Limits()).frame(0))


def _outcome(work: object) -> object:
    try:
        image = work()  # type: ignore[operator]
    except ImageError as error:
        return type(error), str(error)
    return image.pixels.tolist(), image.photometric, image.bit_depth, image.full_scale, image.notes


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("kind", ["noise", "slope", "flat"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (63, 65), (130, 700)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_pixels_are_those_of_pillow(size: tuple[int, int], samples: int, kind: str, level: int) -> None:
    pixels = picture(*size, samples, kind)
    data = png(pixels, compress_level=level)
    found = plain_png(data)
    assert found is not None
    assert np.array_equal(decode_plain_png(data, found), pixels)
    assert _outcome(lambda: decode(data)) == by_pillow(data)


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("samples", [1, 3])
def test_every_filter_is_undone(kind: int, samples: int) -> None:
    """PNG 3rd edition, 9.2: each row says by which it was filtered."""
    height, width = 20, 30
    rng = np.random.default_rng(kind)
    rows = rng.integers(0, 256, (height, 1 + width * samples), dtype=np.uint8)
    rows[:, 0] = kind
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2 if samples == 3 else 0, 0, 0, 0])
    body = zlib.compress(rows.tobytes())
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body[:50]) + chunk(b"IDAT", body[50:])
    data += chunk(b"IEND", b"")
    assert plain_png(data) is not None
    assert _outcome(lambda: decode(data)) == by_pillow(data)


def odd_files() -> dict[str, bytes]:
    grey, colour = picture(20, 30, 1, "slope"), picture(20, 30, 3, "slope")
    alpha = np.dstack([colour, grey])
    palette = io.BytesIO()
    PillowImage.fromarray(colour).quantize(8).save(palette, "PNG")
    return {
        "16 bits": png(grey.astype(np.uint16) * 200),
        "alpha": png(alpha),
        "palette": palette.getvalue(),
        "one bit": png(grey > 99),
        "a transparent colour": with_chunk(png(grey), b"tRNS", b"\0\x07"),
        "text": with_chunk(png(grey), b"tEXt", b"Comment\0of nobody"),
        "EXIF": with_chunk(png(grey), b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
        "another's pixels": png(grey)[:-12] + chunk(b"gAMA", b"\0\0\0\1") + chunk(b"IDAT", b"x") + png(grey)[-12:],
        "a wrong checksum of its header": png(grey)[:29] + b"\0\0\0\0" + png(grey)[33:],
    }


@pytest.mark.parametrize("name", odd_files())
def test_what_is_not_plain_is_left_to_pillow(name: str) -> None:
    data = odd_files()[name]
    assert plain_png(data) is None
    assert _outcome(lambda: decode(data)) == by_pillow(data)


def damaged() -> dict[str, bytes]:
    data = png(picture(20, 30, 1, "noise"))
    at = data.index(b"IDAT")
    body = zlib.decompress(data[at + 4 : -16])
    whole = data[: at - 4]
    end = chunk(b"IEND", b"")
    return {
        "cut in its pixels": whole + chunk(b"IDAT", zlib.compress(body)[:-30]) + end,
        "a row too few": whole + chunk(b"IDAT", zlib.compress(body[:-31])) + end,
        "a row too many": whole + chunk(b"IDAT", zlib.compress(body + body[:31])) + end,
        "a wrong checksum of its pixels": whole + chunk(b"IDAT", zlib.compress(body)[:-1] + b"\0") + end,
        "no pixels": whole + chunk(b"IDAT", b"") + end,
        "a filter that is none": whole + chunk(b"IDAT", zlib.compress(b"\x09" + body[1:])) + end,
    }


@pytest.mark.parametrize("name", damaged())
def test_a_fault_is_named_by_pillow(name: str) -> None:
    data = damaged()[name]
    found = plain_png(data)
    assert isinstance(found, PlainPng)
    assert decode_plain_png(data, found) is None
    assert _outcome(lambda: decode(data)) == by_pillow(data)


def test_a_file_cut_anywhere_is_never_half_a_picture() -> None:
    data = png(picture(20, 30, 1, "noise"))
    for n in range(8, len(data) - 12, 7):
        assert _outcome(lambda n=n: decode(data[:n])) == by_pillow(data[:n])
