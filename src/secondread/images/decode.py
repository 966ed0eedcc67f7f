"""Bytes to an Image: the format is told by its signature, never by a file's name."""

import re
from collections.abc import Iterator

import numpy as np

from secondread.errors import NotAnImage, NotUnpacked, UnsupportedImage
from secondread.images.frames import Frames
from secondread.images.image import Depth, Image, Limits
from secondread.images.nifti import is_nifti, open_nifti_frames
from secondread.tasks import N_

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
NOT_READ_HERE = N_("this is %(what)s, which is not read here; %(instead)s")
_INSTEAD = (N_("save it as JPEG or PNG"),)
_UNPACK = N_("unpack it and send the images")
_REFUSED = (  # what people send by mistake, and what to do instead
    (0, b"GIF8", N_("a GIF"), N_("save it as PNG")),
    (0, b"%PDF", N_("a PDF"), N_("export its image as PNG or send the DICOM file")),
    (0, b"PK\x03\x04", N_("a ZIP archive or an office document"), _UNPACK),
    (0, b"\x1f\x8b", N_("a gzip archive"), _UNPACK),
    (0, b"\x00\x00\x00\x0cjP  ", N_("a JPEG 2000 file"), N_("save it as PNG or JPEG")),
    (0, b"\xff\x4f\xff\x51", N_("a JPEG 2000 codestream"), N_("save it as PNG or JPEG")),
    (0, b"\x00\x00\x00\x0cJXL ", N_("a JPEG XL file"), N_("save it as PNG or JPEG")),
    (0, b"II+\x00", N_("a BigTIFF"), N_("save it as PNG or as a TIFF under 4 GB")),
    (0, b"MM\x00+", N_("a BigTIFF"), N_("save it as PNG or as a TIFF under 4 GB")),
    (4, b"ftyp", N_("an MP4 or QuickTime film"), N_("save its pictures as PNG or JPEG")),
    (0, b"\xff\x0a", N_("a JPEG XL file"), N_("save it as PNG or JPEG")),
    (0, b"8BPS", N_("a Photoshop file"), N_("save it as PNG")),
    (0, b"NRRD000", N_("an NRRD volume"), N_("export its slices as PNG or DICOM")),
    (0, b"ObjectType = Image", N_("a MetaImage volume"), N_("export its slices as PNG or DICOM")),
    (344, b"ni1\x00", N_("the header of a NIfTI volume"), N_("export its slices as PNG or DICOM")),
    (4, b"ni2\x00\r\n\x1a\n", N_("the header of a NIfTI volume"), N_("export its slices as PNG or DICOM")),
    (0, b"\x89HDF\r\n\x1a\n", N_("an HDF5 file"), N_("export its images as PNG or DICOM")),
    (0, b"\x93NUMPY", N_("a NumPy array"), N_("save it as PNG, or give the array itself")),
    (0, b"7z\xbc\xaf\x27\x1c", N_("a 7z archive"), _UNPACK),
    (0, b"Rar!\x1a\x07", N_("a RAR archive"), _UNPACK),
    (0, b"BZh", N_("a bzip2 archive"), _UNPACK),
    (0, b"\xfd7zXZ\x00", N_("an xz archive"), _UNPACK),
)
_BRANDS = {  # of the base media file format (ISO/IEC 14496-12, 4.3), the main one or a compatible one
    N_("a HEIC photograph"): (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    N_("an AVIF image"): (b"avif", b"avis"),
    N_("a HEIF photograph"): (b"mif1", b"msf1", b"mif2"),
}
_NETPBM = re.compile(rb"P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+(?:#[^\n]*\n\s*)*\d+\s|P7\nWIDTH|P[fF]\s\d+\s\d+\s")


def sniff(data: bytes) -> str:
    """The format of these bytes: 'PNG', 'JPEG', 'TIFF', 'WebP', 'BMP', 'DICOM' or 'NIfTI'.

    Raises NotAnImage or, for a known format that is not read here, UnsupportedImage.
    """
    for name, offset, signature in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature and _confirmed(name, data):
            return name
    if _bare_dicom(data):
        return "DICOM"
    if is_nifti(data):
        return "NIfTI"
    if what := _photograph(data):
        raise UnsupportedImage(NOT_READ_HERE % {"what": what, "instead": "save it as JPEG or PNG"})
    if _NETPBM.match(data):
        raise UnsupportedImage(NOT_READ_HERE % {"what": N_("a PGM, PPM or PBM picture"), "instead": "save it as PNG"})
    for offset, signature, what, instead in _REFUSED:
        if data[offset : offset + len(signature)] == signature:
            refused = NotUnpacked if instead == _UNPACK else UnsupportedImage
            raise refused(NOT_READ_HERE % {"what": what, "instead": instead})
    if not data:
        raise NotAnImage(N_("the file is empty; export the image again"))
    raise NotAnImage(N_("this is not an image; send a PNG, JPEG, TIFF, WebP, BMP, DICOM or NIfTI file"))


def decode(data: bytes, *, frame: int = 0, limits: Limits = _DEFAULT) -> Image:
    """The image in these bytes.

    frame: which frame of a multi-frame DICOM file, or page or picture of a TIFF, animated PNG or WebP, from 0.
    Raises NotAnImage, ImageTooLarge, TruncatedImage or UnsupportedImage; nothing else.
    """
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        from secondread.images import dicom  # pydicom takes longer to import than a reading takes

        return dicom.decode_dicom(data, frame=frame, limits=limits)
    if kind == "NIfTI":
        return open_nifti_frames(data, limits=limits).frame(frame)
    from secondread.images import raster

    return raster.decode_raster(data, kind, frame=frame, limits=limits)


def open_frames(data: bytes, *, limits: Limits = _DEFAULT) -> Frames:
    """The pictures in these bytes, each decoded when it is asked for. Raises as `decode` does."""
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        from secondread.images import dicom

        return dicom.open_dicom_frames(data, limits=limits)
    if kind == "NIfTI":
        return open_nifti_frames(data, limits=limits)
    from secondread.images import raster

    return raster.open_raster_frames(data, kind, limits=limits)


def decode_frames(data: bytes, *, limits: Limits = _DEFAULT) -> Iterator[Image]:
    """Every frame of the file in turn, up to one that is damaged. Raises as `decode` does."""
    frames = open_frames(data, limits=limits)
    for index in range(frames.n):
        yield frames.frame(index)


def whole_range(data: bytes, *, frame: int = 0, limits: Limits = _DEFAULT) -> Depth | None:
    """The values of a grey file of more than 8 bits over their whole range, beyond the window that it is shown with.

    None where there are no more, or it is in colour. Raises as `decode` does.
    """
    if sniff(data) == "DICOM":
        from secondread.images import dicom

        limits.check_bytes(len(data))
        return dicom.whole_range_of_dicom(data, frame=frame, limits=limits)
    image = decode(data, frame=frame, limits=limits)
    if image.pixels.dtype != np.uint16 or image.pixels.ndim != 2:
        return None
    return Depth(image.pixels, 0.0, 65535.0, image.full_scale / 2, float(image.full_scale))


def _photograph(data: bytes) -> str:
    """What a telephone's picture is called; '' for anything else."""
    if data[4:8] != b"ftyp":
        return ""
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4], "big"), 128), 4))]
    found = (what for brand in brands for what, names in _BRANDS.items() if brand in names)
    return next(found, "")


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
