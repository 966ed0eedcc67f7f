"""PNG, JPEG, TIFF, WebP and BMP through Pillow, which checks as it decodes."""

import io
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np

from secondread.errors import Busy, ImageError, ImageTooLarge, NoSuchFrame, TruncatedImage, UnsupportedImage
from secondread.images.budget import budget
from secondread.images.frames import Frames
from secondread.images.image import BoundedReads, Image, Limits
from secondread.images.jpeg import Plain, check_scans, plain
from secondread.images.pillow import held_by, memory_of, memory_of_plain, pixels_of
from secondread.images.png import PlainPng, decode_plain_png, memory_of_plain_png, plain_png
from secondread.tasks import N_

DAMAGED = N_("the %(kind)s file is damaged or cut short; copy or export it again")
_T = TypeVar("_T")

# The plugin classes are used directly: only the one needed is imported, and the limits are ours alone.
_PLUGINS = {
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_ORIENTATION = 0x0112  # EXIF 2.32, tag 274
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
    return open_raster_frames(data, kind, limits=limits).frame(frame)


def open_raster_frames(data: bytes, kind: str, *, limits: Limits) -> Frames:
    """The pages or pictures of a raster file, which is parsed once. Raises as `decode_raster` does."""
    jpeg = plain(data) if kind == "JPEG" else None
    if jpeg is not None:
        limits.check_size(jpeg.width, jpeg.height)
        return Frames(1, lambda index: _translated(lambda: _plain_jpeg(data, jpeg, index, limits), kind))
    png = plain_png(data) if kind == "PNG" else None
    if png is not None:
        limits.check_size(png.width, png.height)
        return Frames(1, lambda index: _translated(lambda: _plain_png(data, png, index, limits), kind))
    return _opened(data, kind, limits)


def _opened(data: bytes, kind: str, limits: Limits) -> Frames:
    """By Pillow."""
    pages = _translated(lambda: _Pages(data, kind, limits), kind)
    return Frames(pages.n, lambda index: _translated(lambda: pages.decode(index), kind))


class Picture(Protocol):
    """What Pillow calls an Image, which nothing but this room imports."""

    mode: str
    size: tuple[int, int]

    def getexif(self) -> Any:
        """Its EXIF block."""
        ...


def is_picture(source: object) -> bool:
    """Whether this is an image of Pillow; without Pillow loaded, nothing is."""
    # Another thread may be in the middle of importing it: then the module is there, and its class not yet.
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return kind is not None and isinstance(source, kind)


def open_picture(picture: Any, *, limits: Limits) -> Frames:
    """The pages or pictures of a file that Pillow has open, which is left at the last one that was asked for.

    Raises as `decode_raster` does.
    """
    several = picture.format in ("TIFF", "PNG", "WEBP", "GIF")  # not MPO, a photograph with previews of itself
    n = _translated(lambda: _n_frames(picture, picture.format) if several else 1, str(picture.format))

    def one(index: int) -> Image:
        if not 0 <= index < n:
            raise NoSuchFrame(f"there is no frame {index + 1}; the image has {n}")
        if n > 1:
            _translated(lambda: picture.seek(index), str(picture.format))
        return replace(_from_picture(picture, limits=limits), frame=index, n_frames=n)

    return Frames(n, one)


def _from_picture(picture: Any, *, limits: Limits) -> Image:
    """An image that Pillow holds, read as its file would be: depth, white, transparency and EXIF orientation."""
    kind = {"WEBP": "WebP"}.get(picture.format, picture.format) or "array"
    limits.check_size(*picture.size)

    def decoded() -> Image:
        with budget().reserve(memory_of(picture, b"", kind)) as memory:
            mode, orientation = picture.mode, _orientation(picture)
            picture.load()
            image = _image(*pixels_of(picture), kind=kind, mode=mode, orientation=orientation)
            memory.keep(image.pixels, image.pixels.nbytes)
        return image

    return _translated(decoded, kind)


def _translated(work: Callable[[], _T], kind: str) -> _T:
    try:
        return work()
    except (ImageError, Busy):
        raise
    except MemoryError as error:
        raise ImageTooLarge(f"this {kind} file needs more memory than there is; export it smaller") from error
    except Exception as error:  # Pillow raises nearly anything for damaged files, SyntaxError among it
        raise _translate(error, kind) from error


class _Pages:
    """A file that Pillow has open; it is opened anew for a page before the last one, and after one that is damaged."""

    def __init__(self, data: bytes, kind: str, limits: Limits):
        self._data, self._kind, self._limits = data, kind, limits
        _check_webp_canvas(data, kind, limits)
        self._picture: Any = _open(data, kind)
        limits.check_size(*self._picture.size)
        self.n = _n_frames(self._picture, kind)
        if self.n > 1:
            budget().hold(self, held_by(self._picture))  # Pillow keeps the last page until the next one is asked for
        self._next = 0  # the first page that the open picture can still give
        self._damaged = self.n  # the first that could not be decoded, of a kind that builds each upon the one before

    def decode(self, frame: int) -> Image:
        if not 0 <= frame < self.n:
            has = "it has one picture" if self.n == 1 else f"the file has {self.n}"
            raise NoSuchFrame(f"there is no frame {frame + 1} in this {self._kind} file; {has}")
        if frame > self._damaged and self._kind in ("PNG", "WebP"):
            raise TruncatedImage(f"a picture of the {self._kind} file before this one is damaged; export it again")
        picture = self._picture if frame >= self._next else None
        self._picture = None
        if picture is None:
            picture = _open(self._data, self._kind)
            _n_frames(picture, self._kind)  # else Pillow takes it for a file of one page, and closes it after that
        try:
            image = self._decoded(picture, frame)
        except Exception:
            self._next, self._damaged = self.n, min(self._damaged, frame)
            raise
        if self.n > 1:
            self._picture, self._next = picture, frame + 1
        return image

    def _decoded(self, picture: Any, frame: int) -> Image:
        if frame:
            picture.seek(frame)
            self._limits.check_size(*picture.size)
        with budget().reserve(memory_of(picture, self._data, self._kind)) as memory:
            image = _decode(picture, self._data, self._kind, frame, self.n)
            memory.keep(image.pixels, image.pixels.nbytes)
        return image


def _decode(picture: Any, data: bytes, kind: str, frame: int, n_frames: int) -> Image:
    if kind == "JPEG":
        check_scans(data, picture.width * picture.height)
    mode = picture.mode
    orientation = _orientation(picture)
    facts: dict[str, Any] = {"kind": kind, "mode": mode, "frame": frame, "n_frames": n_frames}
    quick = _quick_jpeg(data, mode) if kind == "JPEG" else None
    if quick is not None:
        return _image(quick, 255, (), orientation=orientation, **facts)
    with budget().reserve(held_by(picture) if kind == "JPEG" else 0):
        picture.load()
        return _image(*pixels_of(picture), orientation=orientation, **facts)


def _image(
    pixels: np.ndarray,
    full_scale: int,
    notes: tuple[str, ...],
    *,
    kind: str,
    mode: str,
    orientation: int,
    frame: int = 0,
    n_frames: int = 1,
) -> Image:
    if orientation != 1:
        if kind != "TIFF":  # Pillow turns these itself
            pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
        notes = (*notes, "turned upright as its EXIF orientation says")
    depth = 16 if pixels.dtype == np.uint16 else 8
    facts: dict[str, Any] = {"format": kind, "bit_depth": depth, "photometric": mode}
    return Image(pixels, full_scale, **facts, frame=frame, n_frames=n_frames, notes=notes)


def _open(data: bytes, kind: str) -> Any:
    """Pillow's picture, its header read and its pixels not yet."""
    module, name = _PLUGINS[kind]
    plugin = import_module(module)
    if kind == "TIFF":  # Pillow knows it with the other order of bytes; `_pixels` turns it round
        plugin.OPEN_INFO.setdefault((plugin.MM, 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
    # Of a JPEG every read is of bytes further on, so that one of fewer bytes than reads needs no counting.
    few = kind == "JPEG" and len(data) <= _MAX_READS
    return getattr(plugin, name)(io.BytesIO(data) if few else BoundedReads(data, max_reads=_MAX_READS))


def _n_frames(picture: Any, kind: str) -> int:
    """How many pages or pictures the file has; of a TIFF whose list of pages is damaged, up to the damaged one."""
    if kind not in ("TIFF", "PNG", "WebP", "WEBP", "GIF"):  # the last two as Pillow calls them
        return 1
    try:
        return int(getattr(picture, "n_frames", 1))
    except ImageError:
        raise
    except Exception:  # only the list of the others is damaged, and the first is read all the same
        n = _pages_before_damage(picture) if kind == "TIFF" else 1
        picture.seek(0)
        return n


def _pages_before_damage(picture: Any) -> int:
    """Those that can be found, and the damaged one with them, so that it is not passed over without a word."""
    n = 1
    while True:
        try:
            picture.seek(n)
        except ImageError:
            raise
        except EOFError:
            return n
        except Exception:
            return n + 1
        n += 1


def orientation_of(data: bytes, kind: str) -> int:
    """The EXIF orientation that the file is turned upright by, 1–8; 1 where its header is damaged."""
    if not any(name in part for part in _beside_pixels(data, kind) for name in (b"Exif", b"eXIf", b"exif", b"EXIF")):
        return 1
    try:
        return _orientation(_open(data, kind))
    except Exception:  # Pillow's own, too, for a header that claims too much: decoding it says what is wrong
        return 1


_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA), 0xFF)  # markers of JPEG that no segment follows, and padding


def _beside_pixels(data: bytes, kind: str) -> Iterator[bytes]:
    """The parts of a file that can hold an EXIF block: of PNG and JPEG not the pixels, which are nearly all of it."""
    at = 8 if kind == "PNG" else 2
    while kind == "PNG" and at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name not in (b"IDAT", b"fdAT"):
            yield data[at : at + 12 + length]
        at += 12 + length
    while kind == "JPEG" and data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        if data[at + 1] in _WITHOUT_LENGTH:
            break
        if data[at + 1] == 0xDA:  # the pixels begin
            yield data[:at]
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if kind != "PNG":  # of another kind, or a JPEG that is not as usual: anywhere
        yield data


def _plain_jpeg(data: bytes, jpeg: Plain, frame: int, limits: Limits) -> Image:
    """Without Pillow, unless there is a fault: to import it takes longer than to decode a film."""
    mode = "L" if jpeg.samples == 1 else "RGB"
    pixels = None
    if frame == 0:
        with budget().reserve(memory_of_plain(jpeg)) as memory:
            check_scans(data, jpeg.width * jpeg.height)
            pixels = _quick_jpeg(data, mode)
            if pixels is not None:
                memory.keep(pixels, pixels.nbytes)
    if pixels is None:
        return _opened(data, "JPEG", limits).frame(frame)
    return _image(pixels, 255, (), kind="JPEG", mode=mode, orientation=1)


def _plain_png(data: bytes, png: PlainPng, frame: int, limits: Limits) -> Image:
    """The same of a PNG."""
    pixels = None
    if frame == 0:
        with budget().reserve(memory_of_plain_png(png)) as memory:
            pixels = decode_plain_png(data, png)
            if pixels is not None:
                memory.keep(pixels, pixels.nbytes)
    if pixels is None:
        return _opened(data, "PNG", limits).frame(frame)
    return _image(pixels, 255, (), kind="PNG", mode="L" if png.samples == 1 else "RGB", orientation=1)


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


def _orientation(picture: Any) -> int:
    """EXIF orientation 1–8; a damaged EXIF block counts as none."""
    if picture.format == "JPEG" and "exif" not in picture.info:
        return 1
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, struct.error, KeyError, IndexError, OverflowError):
        return 1
    return value if value in range(1, 9) else 1


_ANIMATED = 0x02  # the decoder holds several canvases of an animation: 25 bytes a pixel were measured


def _check_webp_canvas(data: bytes, kind: str, limits: Limits) -> None:
    """The decoder allocates the canvas when it is created, so the size is read first (RFC 9649, 2.7)."""
    if kind == "WebP" and data[12:16] == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        limits.check_size(width, height)
        if data[20] & _ANIMATED and width * height > (most := limits.max_pixels // 4):
            raise ImageTooLarge(
                f"the animation has {width} × {height} pixels, more than the {most / 1e6:.0f} million that one "
                "may have; save its pictures as PNG"
            )


def _translate(error: Exception, kind: str) -> ImageError:
    text = str(error).lower()
    if any(sign in text for sign in ("decompressed data too large", "too much memory", "decompression bomb")):
        return ImageTooLarge(f"this {kind} file unpacks to far more than it should; export the image again")
    if "unsupported" in text or "cannot handle" in text or "unknown" in text:
        return UnsupportedImage(f"this kind of {kind} file cannot be decoded here; save it as PNG or JPEG")
    return TruncatedImage(DAMAGED % {"kind": kind})
