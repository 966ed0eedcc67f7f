"""PNG, JPEG, TIFF, WebP and BMP through Pillow, which checks as it decodes."""

import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from secondread.errors import ImageError, ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images.image import BoundedReads, Image, Limits
from secondread.images.jpeg import check_scans
from secondread.images.white import ends_of, white_of

# The plugin classes are used directly: only the one needed is imported, and the limits are ours alone.
_PLUGINS = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_ORIENTATION = 0x0112  # EXIF 2.32, tag 274
_PHOTOMETRIC = 262  # of TIFF
_MAX_READS = 1_000_000  # Pillow looks for a JPEG marker byte by byte: this is half a second of it
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # where row 0 and column 0 of the file belong
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: np.swapaxes(pixels[::-1, ::-1], 0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}


def decode_raster(data: bytes, kind: str, *, frame: int, limits: Limits) -> Image:
    """One image of a raster format, of a file with several that page or picture, from 0.

    Raises ImageTooLarge, TruncatedImage or UnsupportedImage.
    """
    try:
        return _decode(data, kind, frame, limits)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(f"this {kind} file needs more memory than there is; export it smaller") from error
    except Exception as error:  # Pillow raises nearly anything for damaged files, SyntaxError among it
        raise _translate(error, kind) from error


def _decode(data: bytes, kind: str, frame: int, limits: Limits) -> Image:
    _check_webp_canvas(data, kind, limits)
    picture = _open(data, kind)
    limits.check_size(*picture.size)
    n_frames = _n_frames(picture, kind)
    if not 0 <= frame < n_frames:
        has = "it has one picture" if n_frames == 1 else f"the file has {n_frames}"
        raise UnsupportedImage(f"there is no frame {frame + 1} in this {kind} file; {has}")
    if frame:
        picture.seek(frame)
        limits.check_size(*picture.size)
    if kind == "JPEG":
        check_scans(data, picture.width * picture.height)
    mode = picture.mode
    orientation = _orientation(picture)
    quick = _quick_jpeg(data, mode) if kind == "JPEG" else None
    if quick is None:
        picture.load()
    pixels, full_scale, notes = _pixels(picture) if quick is None else (quick, 255, ())
    if orientation != 1:
        if kind != "TIFF":  # Pillow turns these itself
            pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
        notes = (*notes, "turned upright as its EXIF orientation says")
    depth = 16 if pixels.dtype == np.uint16 else 8
    facts = {"format": kind, "bit_depth": depth, "photometric": mode, "frame": frame, "n_frames": n_frames}
    return Image(pixels, full_scale, **facts, notes=notes)


def _open(data: bytes, kind: str) -> Any:
    """Pillow's picture, its header read and its pixels not yet."""
    module, name = _PLUGINS[kind]
    plugin = import_module(module)
    if kind == "TIFF":  # Pillow knows it with the other order of bytes; `_pixels` turns it round
        plugin.OPEN_INFO.setdefault((plugin.MM, 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
    return getattr(plugin, name)(BoundedReads(data, max_reads=_MAX_READS))


def _n_frames(picture: Any, kind: str) -> int:
    """How many pages or pictures the file has; those after a damaged one are not counted."""
    if kind not in ("TIFF", "PNG", "WebP"):
        return 1
    try:
        return int(getattr(picture, "n_frames", 1))
    except ImageError:
        raise
    except Exception:  # only the list of the others is damaged, and the first is read all the same
        picture.seek(0)
        return 1


def orientation_of(data: bytes, kind: str) -> int:
    """The EXIF orientation that the file is turned upright by, 1–8; 1 where its header is damaged."""
    if b"Exif" not in data and b"eXIf" not in data and b"exif" not in data:
        return 1
    try:
        return _orientation(_open(data, kind))
    except (ImageError, OSError, SyntaxError, ValueError, IndexError):
        return 1


def _quick_jpeg(data: bytes, mode: str) -> np.ndarray | None:
    """The same pixels as Pillow's in less time, for whole grey and RGB files; None leaves the others to Pillow."""
    if mode not in ("L", "RGB"):
        return None
    import simplejpeg

    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if mode == "L" else "RGB")
    except ValueError:  # it stops at any fault; Pillow reads on where only a marker is odd, and names what is wrong
        return None
    return pixels[:, :, 0] if mode == "L" else pixels


def _pixels(picture: Any) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Pixels, the value of white, and notes, for any Pillow mode."""
    mode = picture.mode
    if mode in ("L", "RGB"):
        return np.asarray(picture), 255, ()
    if mode == "1":
        return np.asarray(picture.convert("L")), 255, ()
    if mode.startswith("I") or mode == "F":
        pixels, full_scale, notes = _deep(np.asarray(picture))
        if picture.format == "TIFF" and picture.tag_v2.get(_PHOTOMETRIC) == 0:  # white is zero (TIFF 6.0, tag 262)
            pixels = np.subtract(full_scale, pixels, dtype=np.uint16)
        return pixels, full_scale, notes
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        return _without_alpha(picture)
    return np.asarray(picture.convert("RGB")), 255, ()  # P, CMYK, YCbCr, LAB, HSV, RGBX


def _deep(values: np.ndarray) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Grey of more than 8 bits; see `white_of`."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        finite = np.isfinite(values)
        ends = ends_of(values[finite] if finite.any() else np.zeros(1))
        low, high = ends.low, ends.high
        share = (np.where(finite, values, low).astype(np.float64) - low) / (high - low if high > low else 1)
        scaled = np.round(np.clip(share, 0, 1) * 65535).astype(np.uint16)
        return scaled, 65535, ("values outside 0–65535 were scaled to the range found", *ends.notes)
    full_scale, notes = white_of(values)
    return np.minimum(values, full_scale).astype(np.uint16), full_scale, notes


def _without_alpha(picture: Any) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Colour over black, as viewers of X-rays and MRI show what is transparent."""
    from PIL import Image as PillowImage

    grey = picture.mode in ("LA", "La", "L")
    rgba = picture.convert("RGBA")
    if rgba.getextrema()[3] == (255, 255):
        return np.asarray(rgba.convert("L" if grey else "RGB")), 255, ()
    flat = PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return np.asarray(flat.convert("L" if grey else "RGB")), 255, ("transparent parts are shown black",)


def _orientation(picture: Any) -> int:
    """EXIF orientation 1–8; a damaged EXIF block counts as none."""
    if picture.format == "JPEG" and "exif" not in picture.info:
        return 1
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, struct.error, KeyError, IndexError, OverflowError):
        return 1
    return value if value in range(1, 9) else 1


def _check_webp_canvas(data: bytes, kind: str, limits: Limits) -> None:
    """The decoder allocates the canvas when it is created, so the size is read first (RFC 9649, 2.7)."""
    if kind == "WebP" and data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        limits.check_size(width, height)


def _translate(error: Exception, kind: str) -> ImageError:
    text = str(error).lower()
    if "decompressed data too large" in text or "too much memory" in text:
        return ImageTooLarge(f"this {kind} file unpacks to far more than it should; export the image again")
    if "unsupported" in text or "cannot handle" in text or "unknown" in text:
        return UnsupportedImage(f"this kind of {kind} file cannot be decoded here; save it as PNG or JPEG")
    return TruncatedImage(f"the {kind} file is damaged or cut short; copy or export it again")
