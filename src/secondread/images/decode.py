"""Bytes to an Image: the format is told by its signature, never by a file's name."""

from collections.abc import Iterator

from secondread.errors import NotAnImage, UnsupportedImage
from secondread.images.image import Image, Limits

_DEFAULT = Limits()
_SIGNATURES = (  # format, offset, bytes
    ("DICOM", 128, b"DICM"),  # first: a preamble may be a TIFF header (PS3.10 section 7.1)
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("WebP", 8, b"WEBP"),
    ("BMP", 0, b"BM"),
)
_FIRST_REPRESENTATIONS = (b"UL", b"CS", b"UI", b"OB", b"SH")
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the header that follows the file's first 14 bytes
_REFUSED = (  # what people send by mistake, and what to do instead
    (0, b"GIF8", "a GIF", "save it as PNG"),
    (0, b"%PDF", "a PDF", "export its image as PNG or send the DICOM file"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", "unpack it and send the images"),
    (0, b"\x1f\x8b", "a gzip archive (NIfTI perhaps)", "unpack it and export slices as PNG or DICOM"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file", "save it as PNG or JPEG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 codestream", "save it as PNG or JPEG"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL file", "save it as PNG or JPEG"),
    (0, b"II+\x00", "a BigTIFF", "save it as PNG or as a TIFF under 4 GB"),
    (0, b"MM\x00+", "a BigTIFF", "save it as PNG or as a TIFF under 4 GB"),
    (4, b"ftypheic", "a HEIC photograph", "save it as JPEG"),
    (4, b"ftypheix", "a HEIC photograph", "save it as JPEG"),
    (4, b"ftypmif1", "a HEIF photograph", "save it as JPEG"),
    (4, b"ftypavif", "an AVIF image", "save it as PNG or JPEG"),
)


def sniff(data: bytes) -> str:
    """The format of these bytes: 'PNG', 'JPEG', 'TIFF', 'WebP', 'BMP' or 'DICOM'.

    Raises NotAnImage or, for a known format that is not read here, UnsupportedImage.
    """
    for name, offset, signature in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature and _confirmed(name, data):
            return name
    if _bare_dicom(data):
        return "DICOM"
    for offset, signature, what, instead in _REFUSED:
        if data[offset : offset + len(signature)] == signature:
            raise UnsupportedImage(f"this is {what}, which is not read here; {instead}")
    if not data:
        raise NotAnImage("the file is empty; export the image again")
    raise NotAnImage("this is not an image; send a PNG, JPEG, TIFF, WebP, BMP or DICOM file")


def decode(data: bytes, *, frame: int = 0, limits: Limits = _DEFAULT) -> Image:
    """The image in these bytes.

    frame: which frame of a multi-frame DICOM file, from 0.
    Raises NotAnImage, ImageTooLarge, TruncatedImage or UnsupportedImage; nothing else.
    """
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        from secondread.images import dicom  # pydicom takes longer to import than a reading takes

        return dicom.decode_dicom(data, frame=frame, limits=limits)
    if frame != 0:
        raise UnsupportedImage(f"a {kind} file is read as one image; there is no frame {frame + 1}")
    from secondread.images import raster

    return raster.decode_raster(data, kind, limits=limits)


def decode_frames(data: bytes, *, limits: Limits = _DEFAULT) -> Iterator[Image]:
    """Every frame of the file in turn, each decoded when asked for. Raises as `decode` does."""
    limits.check_bytes(len(data))
    if sniff(data) != "DICOM":
        yield decode(data, limits=limits)
        return
    from secondread.images import dicom

    yield from dicom.decode_dicom_frames(data, limits=limits)


def _confirmed(name: str, data: bytes) -> bool:
    """Two of the signatures are short enough to begin other files."""
    if name == "BMP":
        return int.from_bytes(data[14:18], "little") in _BMP_HEADERS
    return name != "WebP" or data[:4] == b"RIFF"


def _bare_dicom(data: bytes) -> bool:
    """A data set without preamble: group 0002 or 0008 first, then a representation or a length."""
    if data[:2] in (b"\x02\x00", b"\x08\x00") and data[3:4] == b"\x00":
        short_length = data[5:8] == b"\0\0\0" and data[4] < 128 and data[4] % 2 == 0  # implicit
        return data[4:6] in _FIRST_REPRESENTATIONS or (short_length and data[:2] == b"\x08\x00" and len(data) > 256)
    return data[:3] == b"\x00\x08\x00" and data[4:6] in _FIRST_REPRESENTATIONS  # big endian
