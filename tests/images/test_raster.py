"""Raster files: every kind, mode and depth gives the pixels that were meant."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images import Limits, decode, decode_frames, sniff
from secondread.testing.phantoms import chest_phantom, encode
from tests.crafted import PNG_SIGNATURE, png_chunk, png_file

GREY = chest_phantom((40, 56), random_state=0)
RGB = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
DEEP = GREY.astype(np.uint16) * 257
ALPHA = np.where(np.arange(56) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
OVER_BLACK = np.where(ALPHA == 255, GREY, 0)


def packed_png(values: np.ndarray, depth: int, *chunks: tuple[bytes, bytes], colour: int = 0) -> bytes:
    """A PNG written by hand: values below 2**depth, any chunks before the pixels, no filters (PNG 7.2)."""
    rows = values.reshape(len(values), -1)
    if depth == 16:
        body = [b"\x00" + row.astype(">u2").tobytes() for row in rows]
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
        body = [b"\x00" + np.packbits(row.reshape(-1)).tobytes() for row in bits]
    idat = (b"IDAT", zlib.compress(b"".join(body)))
    return png_file(values.shape[1], values.shape[0], *chunks, idat, depth=depth, colour=colour)


def palette() -> bytes:
    """256 colours that share no channel."""
    steps = np.arange(256)
    return np.stack([steps, 255 - steps, steps // 2], axis=1).astype(np.uint8).tobytes()


def colours_of(indices: np.ndarray) -> np.ndarray:
    return np.frombuffer(palette(), np.uint8).reshape(256, 3)[indices]


def few(depth: int) -> np.ndarray:
    return GREY >> (8 - depth)


LOSSLESS: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "PNG grey 1": (lambda: packed_png(few(1), 1), few(1) * 255),
    "PNG grey 2": (lambda: packed_png(few(2), 2), few(2) * 85),
    "PNG grey 4": (lambda: packed_png(few(4), 4), few(4) * 17),
    "PNG grey 8": (lambda: encode(GREY, "PNG"), GREY),
    "PNG grey 16": (lambda: packed_png(DEEP, 16), DEEP),
    "PNG RGB 8": (lambda: encode(RGB, "PNG"), RGB),
    "PNG RGB 16": (lambda: packed_png(RGB.astype(np.uint16) * 257, 16, colour=2), RGB),
    "PNG palette": (lambda: packed_png(GREY, 8, (b"PLTE", palette()), colour=3), colours_of(GREY)),
    "PNG palette 4": (lambda: packed_png(few(4), 4, (b"PLTE", palette()[:48]), colour=3), colours_of(few(4))),
    "PNG palette tRNS": (
        lambda: packed_png(GREY, 8, (b"PLTE", palette()), (b"tRNS", b"\x00" * 100), colour=3),
        np.where((GREY < 100)[:, :, None], 0, colours_of(GREY)),
    ),
    "PNG grey alpha": (lambda: encode(np.dstack([GREY, ALPHA]), "PNG"), OVER_BLACK),
    "PNG RGB alpha": (lambda: encode(np.dstack([RGB, ALPHA]), "PNG"), np.where(ALPHA[:, :, None] == 255, RGB, 0)),
    "PNG opaque alpha": (lambda: encode(np.dstack([RGB, np.full_like(GREY, 255)]), "PNG"), RGB),
    "PNG packed tightly": (lambda: encode(GREY, "PNG", optimize=True), GREY),
    "TIFF grey 1": (lambda: encode(GREY > 90, "TIFF"), np.where(GREY > 90, 255, 0)),
    "TIFF grey 8": (lambda: encode(GREY, "TIFF"), GREY),
    "TIFF grey 16": (lambda: encode(DEEP, "TIFF"), DEEP),
    "TIFF 16 big-endian": (lambda: encode(DEEP.astype(">u2"), "TIFF"), DEEP),
    "TIFF LZW": (lambda: encode(RGB, "TIFF", compression="tiff_lzw"), RGB),
    "TIFF deflate": (lambda: encode(RGB, "TIFF", compression="tiff_adobe_deflate"), RGB),
    "TIFF packbits": (lambda: encode(GREY, "TIFF", compression="packbits"), GREY),
    "TIFF LZW 16": (lambda: encode(DEEP, "TIFF", compression="tiff_lzw"), DEEP),
    "WebP lossless": (lambda: encode(RGB, "WebP", lossless=True), RGB),
    "BMP grey": (lambda: encode(GREY, "BMP"), GREY),
    "BMP RGB": (lambda: encode(RGB, "BMP"), RGB),
}


@pytest.mark.parametrize("case", LOSSLESS)
def test_lossless_files_give_the_very_pixels(case: str) -> None:
    make, expected = LOSSLESS[case]
    image = decode(make())
    assert image.pixels.dtype == (np.uint16 if expected.dtype == np.uint16 else np.uint8)
    assert image.format == case.split()[0]
    np.testing.assert_array_equal(image.pixels, expected)


def cmyk_adobe() -> bytes:
    """As Adobe writes it: inverted inks, told by an APP14 marker; Pillow writes both."""
    target = io.BytesIO()
    PillowImage.fromarray(SMOOTH_RGB).convert("CMYK").save(target, "JPEG", quality=100, subsampling=0)
    return target.getvalue()


SMOOTH = np.add.outer(np.arange(40), 2 * np.arange(56)).astype(np.uint8)
SMOOTH_RGB = np.dstack([SMOOTH, SMOOTH[::-1], 255 - SMOOTH])
LOSSY: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "JPEG grey": (lambda: encode(SMOOTH, "JPEG", quality=100), SMOOTH),
    "JPEG RGB": (lambda: encode(SMOOTH_RGB, "JPEG", quality=100, subsampling=0), SMOOTH_RGB),
    "JPEG progressive": (lambda: encode(SMOOTH_RGB, "JPEG", quality=100, subsampling=0, progressive=True), SMOOTH_RGB),
    "JPEG CMYK": (cmyk_adobe, SMOOTH_RGB),
    "JPEG kept as RGB": (lambda: encode(SMOOTH_RGB, "JPEG", quality=100, keep_rgb=True), SMOOTH_RGB),
    "WebP lossy": (lambda: encode(np.dstack([SMOOTH] * 3), "WebP", quality=100), np.dstack([SMOOTH] * 3)),
    "TIFF JPEG": (lambda: encode(SMOOTH, "TIFF", compression="jpeg", quality=100), SMOOTH),
}


@pytest.mark.parametrize("case", LOSSY)
def test_lossy_files_come_close(case: str) -> None:
    make, expected = LOSSY[case]
    pixels = decode(make()).pixels
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 6


def test_float_tiff_is_scaled_to_what_it_holds() -> None:
    image = decode(encode((GREY / 255.0 * 3 - 1).astype(np.float32), "TIFF"))
    expected = (GREY.astype(float) - GREY.min()) / (int(GREY.max()) - int(GREY.min()))
    np.testing.assert_allclose(image.pixels / image.full_scale, expected, atol=1e-4)
    assert image.notes


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_white_of_a_16_bit_file_is_the_top_of_the_bits_it_uses(bits: int) -> None:
    values = (GREY.astype(np.uint16) << 8) >> (16 - bits)
    values[0, 0] = 2**bits - 1
    image = decode(encode(values, "PNG"))
    assert image.full_scale == 2**bits - 1
    np.testing.assert_array_equal(image.pixels, values)


# EXIF 2.32, 4.6.4.A: which side of the picture the file's first row and first column are.
AS_STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
@pytest.mark.parametrize("orientation", AS_STORED)
def test_orientation_is_honoured(kind: str, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(AS_STORED[orientation](SMOOTH_RGB))
    options = {"lossless": True} if kind == "WebP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    image = decode(encode(stored, kind, exif=exif.tobytes(), **options))
    assert image.pixels.shape == SMOOTH_RGB.shape
    assert np.abs(image.pixels.astype(int) - SMOOTH_RGB).max() <= 4
    assert bool(image.notes) == (orientation != 1)


@pytest.mark.parametrize("depth", [1, 16])
def test_orientation_holds_for_other_depths(depth: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    upright = DEEP if depth == 16 else GREY > 90
    stored = np.ascontiguousarray(AS_STORED[6](upright))
    expected = DEEP if depth == 16 else np.where(GREY > 90, 255, 0)
    np.testing.assert_array_equal(decode(encode(stored, "PNG", exif=exif.tobytes())).pixels, expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_damaged_exif_counts_as_none() -> None:
    data = encode(SMOOTH, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    np.testing.assert_array_equal(decode(data).pixels, decode(encode(SMOOTH, "JPEG")).pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WebP", "BMP"])
def test_kind_is_told_by_signature(kind: str) -> None:
    assert sniff(encode(GREY, kind)) == kind


def test_animated_png_gives_its_first_picture() -> None:
    control = (b"acTL", struct.pack(">2I", 1, 0))
    header = png_chunk(b"IHDR", struct.pack(">2I5B", 56, 40, 8, 0, 0, 0, 0))
    rest = encode(GREY, "PNG")[33:]
    np.testing.assert_array_equal(decode(PNG_SIGNATURE + header + png_chunk(*control) + rest).pixels, GREY)


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WebP"])
def test_every_page_or_picture_can_be_had_and_how_many_there_are_is_told(kind: str) -> None:
    stack = [RGB, RGB[::-1], RGB[:, ::-1]]
    more = [PillowImage.fromarray(np.ascontiguousarray(picture)) for picture in stack[1:]]
    data = encode(RGB, kind, save_all=True, append_images=more, **({"lossless": True} if kind == "WebP" else {}))
    images = list(decode_frames(data))
    assert [(image.frame, image.n_frames) for image in images] == [(0, 3), (1, 3), (2, 3)]
    for image, picture in zip(images, stack, strict=True):
        np.testing.assert_array_equal(image.pixels, picture)
        np.testing.assert_array_equal(decode(data, frame=image.frame).pixels, picture)
    with pytest.raises(UnsupportedImage, match=r"no frame 4.*has 3"):
        decode(data, frame=3)


def test_pages_may_differ_in_size_and_depth_and_each_is_bounded() -> None:
    data = encode(GREY, "TIFF", save_all=True, append_images=[PillowImage.fromarray(DEEP[:20])])
    assert [image.pixels.dtype for image in decode_frames(data)] == [np.uint8, np.uint16]
    np.testing.assert_array_equal(decode(data, frame=1).pixels, DEEP[:20])
    large = encode(GREY[:4], "TIFF", save_all=True, append_images=[PillowImage.fromarray(GREY)])
    assert decode(large, limits=Limits(max_pixels=1000)).height == 4
    with pytest.raises(ImageTooLarge):
        decode(large, frame=1, limits=Limits(max_pixels=1000))


def test_nothing_of_a_cut_file_is_shown() -> None:
    for kind in ("PNG", "JPEG", "TIFF", "WebP", "BMP"):
        data = encode(GREY, kind)
        with pytest.raises(TruncatedImage):
            decode(data[: len(data) * 2 // 3])
