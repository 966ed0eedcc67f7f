"""What a DICOM header says of its pixels, mended where it lacks or contradicts and only one meaning is possible.

The pixel data themselves are the witness: their length, the signature of their compression (T.81, T.87, T.800), and,
where two ways of laying them out remain, which of them gives a picture (see layout.py).
"""

import re
import struct
from contextlib import suppress

import pydicom.uid as uids
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from secondread.errors import TruncatedImage, UnsupportedImage
from secondread.images.bits import whole
from secondread.images.layout import is_by_plane, is_signed, is_twice_as_deep
from secondread.images.streams import (
    ITEM,
    MAX_FRAGMENTS,
    OTHER_STREAMS,
    Stream,
    first_stream,
    mend_table,
    recognised,
    streams_in,
)
from secondread.tasks import N_

NATIVE = (
    uids.ImplicitVRLittleEndian,
    uids.ExplicitVRLittleEndian,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
)
_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT")
_NOT_READ = ("HSV", "ARGB", "CMYK", "XYB")
_KNOWN = {re.sub(r"[^A-Z0-9]", "", name): name for name in (*_GREY, *_COLOUR, *_NOT_READ)}
_NEVER_MONOCHROME1 = ("CT", "MR", "PT", "NM", "US")
_BY_PIXEL = N_("the header does not say how colours are laid out: read pixel by pixel")
_BY_PLANE = N_("the header does not say how colours are laid out: read plane by plane")
_UNSIGNED = N_("the header does not say whether values are signed: read as unsigned")
_SIGNED = N_("the header does not say whether values are signed: read as signed")
_OTHER_NUMBER = N_("the header does not say truly how many frames there are: as many are read as the pixels hold")
_MORE = N_("the file holds more pixels than its header speaks of: the rest is not read")


def settle(ds: Dataset) -> tuple[str, ...]:
    """Make the data set say what its pixels are; notes on what its header said wrongly or not at all.

    Raises UnsupportedImage or TruncatedImage with the true reason where no one meaning, or none read here, is left.
    """
    notes: list[str] = []
    name = next(key for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if key in ds)
    stream = _settle_compression(ds, notes) if name == "PixelData" else None
    if stream is not None:
        _settle_streams(ds, stream, notes)
    elif name == "PixelData" and _agrees(ds):
        _settle_frames(ds, notes)
    _settle_photometric(ds, stream, notes)
    if name != "PixelData":
        ds.SamplesPerPixel = 1
        ds.BitsAllocated = 32 if name == "FloatPixelData" else 64
        return tuple(notes)
    _settle_bits(ds, stream, notes)
    if stream is None and ds.file_meta.TransferSyntaxUID in NATIVE:
        _settle_frames(ds, notes, settled=True)
    if whole(ds, "SamplesPerPixel") == 3 and whole(ds, "PlanarConfiguration") not in (0, 1):
        _settle_planes(ds, stream, notes)
    if whole(ds, "PixelRepresentation") not in (0, 1):
        _settle_sign(ds, stream, notes)
    return tuple(notes)


def _settle_compression(ds: Dataset, notes: list[str]) -> Stream | None:
    """Transfer syntax after the stream's own signature (PS3.5 annex A.4); None where the values are uncompressed."""
    syntax, data = ds.file_meta.TransferSyntaxUID, ds.PixelData
    in_pieces = data[:4] == ITEM
    if isinstance(data, memoryview) and (in_pieces or _bare(ds, data)):
        data = ds.PixelData = bytes(data)  # what unpacks it knows no views
    if in_pieces:
        mend_table(ds)
    stream = first_stream(ds, whole(ds, "NumberOfFrames") or 1) if in_pieces else bytes(data[:65_536])
    found = recognised(stream) if in_pieces or _bare(ds, data) else None
    if found is None:
        other = next((what for start, what in OTHER_STREAMS if stream.startswith(start)), None)
        if other and (in_pieces or not _fits(ds, len(data))):
            raise UnsupportedImage(f"the DICOM file holds {other}, which is not read here; send it uncompressed")
    if not in_pieces and found is None:
        if syntax not in NATIVE and not syntax.is_private:
            if not _fits(ds, len(data)):
                raise TruncatedImage("the DICOM file's compressed pixels are damaged; send it again")
            ds.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
            notes.append(N_("the header says that the pixels are compressed, and they are not: read as they are"))
        return None
    if found is None:
        if syntax in NATIVE and not _fits(ds, len(data)):
            raise UnsupportedImage(
                "the DICOM file's pixels are compressed in a way that is not known here; send it uncompressed"
            )
        return None
    if not in_pieces:
        ds.PixelData = encapsulate([data])
        ds["PixelData"].VR = "OB"
    if syntax not in found.syntaxes:
        ds.file_meta.TransferSyntaxUID = found.syntaxes[0]
    if syntax not in found.syntaxes or not in_pieces:
        notes.append(N_("the header names another compression than the pixels have: read as what they are"))
    return found


def _bare(ds: Dataset, data: bytes | memoryview) -> bool:
    """Whether pixel data without items are a compressed stream: they begin as one and are not as long as a picture."""
    return data[:2] in (b"\xff\xd8", b"\xff\x4f") and not _fits(ds, len(data))


def _settle_streams(ds: Dataset, stream: Stream, notes: list[str]) -> None:
    """NumberOfFrames of compressed pixels: never fewer than they hold, else some would go unread and unmentioned."""
    there = 1
    if "ExtendedOffsetTable" in ds:
        there = len(ds.ExtendedOffsetTable) // 8
    elif ds.PixelData.count(ITEM) <= MAX_FRAGMENTS:  # of more the frames are refused (codecs.py)
        with suppress(ValueError, IndexError, struct.error):
            there = streams_in(ds.PixelData, stream)
    _set_frames(ds, max(whole(ds, "NumberOfFrames") or 0, there, 1), notes)


def _agrees(ds: Dataset) -> bool:
    """Whether a header is complete and of one piece in what it says of a value."""
    samples, allocated, bits, high = (
        whole(ds, key) for key in ("SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit")
    )
    kind = str(ds.get("PhotometricInterpretation") or "").strip()
    if samples is None or samples != (3 if kind in _COLOUR else 1 if kind in _GREY else 0):
        return False
    return allocated in (8, 16, 32) and bits is not None and high is not None and 1 <= bits <= high + 1 <= allocated


def _settle_frames(ds: Dataset, notes: list[str], *, settled: bool = False) -> None:
    """NumberOfFrames of uncompressed pixels, where they are a whole number of pictures and more than it says."""
    kind, allocated = str(ds.PhotometricInterpretation).strip(), int(ds.BitsAllocated)
    if "420" in kind or allocated < 8:
        return
    samples = 2 if "422" in kind else int(ds.SamplesPerPixel)
    one, have = int(ds.Rows) * int(ds.Columns) * samples * allocated // 8, len(ds.PixelData)
    said, there = max(whole(ds, "NumberOfFrames") or 1, 1), have // one
    exact = have - there * one <= (one % 2) * (there % 2)
    if there <= said or not exact:
        if settled and there > said:
            notes.append(_MORE)
        if settled:
            _set_frames(ds, said, notes)
        return
    if not settled and there == 2 * said and allocated < 32 and is_twice_as_deep(ds, one):
        return
    _set_frames(ds, there, notes)


def _set_frames(ds: Dataset, n: int, notes: list[str]) -> None:
    """What the header says is left as it is where it comes to the same."""
    if n == whole(ds, "NumberOfFrames") or (n == 1 and not ds.get_item("NumberOfFrames")):
        return
    if n > 1:
        notes.append(_OTHER_NUMBER)
    ds.NumberOfFrames = n


def _settle_photometric(ds: Dataset, stream: Stream | None, notes: list[str]) -> None:
    """PhotometricInterpretation and SamplesPerPixel, that fit one another and the pixels (PS3.3 C.7.6.3.1.2)."""
    said = str(ds.get("PhotometricInterpretation") or "").strip()
    kind = said if said in _KNOWN.values() else _KNOWN.get(re.sub(r"[^A-Z0-9]", "", said.upper()), "")
    if said and not kind:
        raise UnsupportedImage(
            "the DICOM file's photometric interpretation is no word of the standard; export the image again"
        )
    if kind in _NOT_READ:
        raise UnsupportedImage(f"DICOM images in {kind} are not read here; export the image as RGB or grey")
    if said != kind and kind:
        notes.append(N_("the photometric interpretation is misspelled: it is read as the word that it resembles"))
    samples = whole(ds, "SamplesPerPixel")
    counted = _counted_samples(ds, stream, 3 if kind in _COLOUR else 1 if kind else samples)
    if counted is None:
        there = stream.samples if stream is not None and stream.samples else samples
        if there not in (None, 1, 3):
            raise UnsupportedImage(f"DICOM images of {there} samples a pixel are not read here; export it as RGB")
        raise UnsupportedImage(
            "the DICOM header does not say whether its pixels are grey or coloured; export the image again"
        )
    if samples != counted:
        notes.append(N_("the header does not say truly how many samples a pixel has: read as its pixels say"))
    if not kind:
        kind = _silent_photometric(ds, counted)
        notes.append(N_("the header has no photometric interpretation: read as the one that fits"))
    elif (kind in _COLOUR) != (counted == 3):
        kind = "RGB" if counted == 3 else "MONOCHROME2"
        notes.append(N_("the header's photometric interpretation does not fit its pixels: read as they say"))
    _set(ds, "SamplesPerPixel", counted)
    _set(ds, "PhotometricInterpretation", kind)


def _counted_samples(ds: Dataset, stream: Stream | None, wanted: int | None) -> int | None:
    """1 or 3, as the compressed stream or the length of the pixel data says; `wanted` where both are silent."""
    if stream is not None and stream.samples:
        return stream.samples if stream.samples in (1, 3) else None
    if stream is not None or "PixelData" not in ds or ds.file_meta.TransferSyntaxUID not in NATIVE:
        return wanted if wanted in (1, 3) else None
    if (whole(ds, "NumberOfFrames") or 1) > 1 and wanted == whole(ds, "SamplesPerPixel"):
        return wanted  # of several frames some are missing, sooner than that all are of another kind
    values, allocated = _n_values(ds), whole(ds, "BitsAllocated")
    for n in (wanted, whole(ds, "SamplesPerPixel"), 1, 3):
        if n in (1, 3) and allocated and _as_long(values * n, allocated, len(ds.PixelData)):
            return n
    return wanted if wanted in (1, 3) else None


def _silent_photometric(ds: Dataset, samples: int) -> str:
    if samples == 3:
        codec = ds.file_meta.TransferSyntaxUID
        return "YBR_FULL_422" if codec in (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit) else "RGB"
    if "RedPaletteColorLookupTableDescriptor" in ds:
        return "PALETTE COLOR"
    shape = str(ds.get("PresentationLUTShape") or "").strip().upper()
    if shape in ("IDENTITY", "INVERSE"):
        return "MONOCHROME2" if shape == "IDENTITY" else "MONOCHROME1"
    if str(ds.get("Modality") or "").strip().upper() in _NEVER_MONOCHROME1:
        return "MONOCHROME2"
    raise UnsupportedImage(
        "the DICOM header does not say whether low values are dark or bright (photometric interpretation); "
        "export the image again"
    )


def _settle_bits(ds: Dataset, stream: Stream | None, notes: list[str]) -> None:
    allocated, bits, high = (whole(ds, key) for key in ("BitsAllocated", "BitsStored", "HighBit"))
    if stream is not None and stream.precision:
        container = 8 if stream.precision <= 8 else 16 if stream.precision <= 16 else 32
        if allocated != container or not bits or bits > container:
            if bits != stream.precision or allocated is None:
                notes.append(N_("the header's bits are not those of its compressed pixels: read as these say"))
            ds.BitsAllocated, ds.BitsStored, ds.HighBit = container, stream.precision, stream.precision - 1
        return
    if stream is None and ds.file_meta.TransferSyntaxUID in NATIVE:
        found = _allocated_by_length(ds, allocated, bits)
        if found != allocated:
            notes.append(N_("the header does not say truly how many bits a value takes: read as their length says"))
        allocated = found
    elif allocated is None:
        allocated = 8 if (bits or 16) <= 8 else 16
    if not bits or not 1 <= bits <= allocated:
        bits = high + 1 if bits is None and high is not None and 1 <= high + 1 <= allocated else allocated
        notes.append(N_("the header does not say truly how many bits are in use: read with all that fit"))
    _set(ds, "BitsAllocated", allocated)
    _set(ds, "BitsStored", bits)


def _allocated_by_length(ds: Dataset, allocated: int | None, bits: int | None) -> int:
    """Bits allocated that fit the length of uncompressed pixel data."""
    values = _n_values(ds) * int(ds.SamplesPerPixel)
    have = len(ds.PixelData)
    subsampled = str(ds.PhotometricInterpretation) in ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
    if allocated in (1, 8, 16, 32, 64) and (subsampled or _as_long(values, allocated, have)):
        return allocated
    fits = [n for n in (8, 16, 32) if _as_long(values, n, have) and n >= (bits or 1)]
    if allocated not in (8, 16, 32) or not bits or bits > allocated:  # else they are cut short, or too long
        fits = fits or [n for n in (8, 16, 32) if _as_long(values, n, have)]
    if fits:
        return fits[0]
    if allocated == 12:
        raise UnsupportedImage("DICOM pixels packed in 12 bits are not read here; export them in 16 bits")
    if allocated in (1, 8, 16, 32, 64):
        if have * 8 < values * allocated:
            raise TruncatedImage(
                f"the DICOM file has {have} bytes of pixels, its header promises {values * allocated // 8}; "
                "send it again"
            )
        return allocated  # longer than the picture: the rest is left alone
    raise UnsupportedImage("the DICOM header does not say how many bits a value takes; export the image again")


def _settle_planes(ds: Dataset, stream: Stream | None, notes: list[str]) -> None:
    ds.PlanarConfiguration = 0
    if stream is not None or ds.file_meta.TransferSyntaxUID not in NATIVE or int(ds.BitsAllocated) not in (8, 16):
        return  # a compressed stream says itself how its colours lie
    if "422" in str(ds.PhotometricInterpretation) or "420" in str(ds.PhotometricInterpretation):
        return
    ds.PlanarConfiguration = int(is_by_plane(ds))
    notes.append(_BY_PLANE if ds.PlanarConfiguration else _BY_PIXEL)


def _settle_sign(ds: Dataset, stream: Stream | None, notes: list[str]) -> None:
    ds.PixelRepresentation = 0
    if int(ds.SamplesPerPixel) > 1 or (int(ds.BitsStored) <= 8 and stream is not None):
        notes.append(_UNSIGNED)
        return
    if stream is not None and stream.signed is not None:
        ds.PixelRepresentation = int(stream.signed)
        notes.append(_SIGNED if stream.signed else _UNSIGNED)
        return
    if stream is not None or ds.file_meta.TransferSyntaxUID not in NATIVE:
        raise UnsupportedImage(
            "the DICOM header does not say whether values are signed, nor does the compression; send it uncompressed"
        )
    if int(ds.BitsAllocated) in (8, 16, 32):
        ds.PixelRepresentation = int(is_signed(ds))
    notes.append(_SIGNED if ds.PixelRepresentation else _UNSIGNED)


def _fits(ds: Dataset, length: int) -> bool:
    """Whether so many bytes are just the picture's values, uncompressed."""
    samples = (whole(ds, "SamplesPerPixel"),) if "SamplesPerPixel" in ds else (1, 3)
    allocated = (whole(ds, "BitsAllocated"),) if "BitsAllocated" in ds else (8, 16)
    values = _n_values(ds)
    return any(_as_long(values * (n or 1), bits or 8, length) for n in samples for bits in allocated)


def _as_long(values: int, allocated: int, length: int) -> bool:
    exact = (values * allocated + 7) // 8
    return exact <= length <= exact + exact % 2


def _n_values(ds: Dataset) -> int:
    return int(ds.Rows) * int(ds.Columns) * max(whole(ds, "NumberOfFrames") or 1, 1)


def _set(ds: Dataset, keyword: str, value: int | str) -> None:
    """Unless the header says so already: pydicom's way of setting takes as long as five looks."""
    if ds.get(keyword) != value:
        setattr(ds, keyword, value)
