"""Takes out of a file what identifies a person, without touching a pixel: best effort, and it says what it left.

DICOM: after the basic profile of PS3.15 annex E, turned round. The profile lists what must go; here only what is needed
to show and to judge the image stays, and everything else goes, private elements and ones not thought of included.
UIDs and the patient's ID are replaced by keyed hashes: the same for the same original under one key, so that images of
one person or study still belong together. Text inside the picture is not looked for; what the file itself says of it is
passed on.
PNG and JPEG: text, EXIF and other metadata are cut out, the compressed pixels are copied as they are.
"""

import hashlib
import hmac
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secondread.errors import TruncatedImage
from secondread.images.decode import sniff
from secondread.images.image import Limits
from secondread.images.jpeg import APP0, APP1, APP2, APP14, APP15, COM, EOI, segments
from secondread.images.raster import orientation_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.tag import BaseTag

_METHOD = "secondread: after PS3.15 basic profile, by a list of what stays; best effort"


@dataclass(frozen=True)
class Deidentified:
    """A file without what identifies, and what a person should know of it."""

    data: bytes
    format: str
    changed: bool  # False: kept as sent, which `warnings` then says
    patient: str = ""  # a pseudonym, the same for all images of one person under one key; '' where not known
    warnings: tuple[str, ...] = ()
    header: tuple[tuple[str, str], ...] = ()  # DICOM: as Image.header of the file that was sent


def deidentify(data: bytes, *, key: bytes, limits: Limits | None = None) -> Deidentified:
    """The same image without what identifies a person; the same bytes and key always give the same bytes.

    key: secret of this site; without it nobody can try which original gives a pseudonym.
    Raises an ImageError for what is no image, and for a DICOM file that cannot be parsed: it must not be kept.
    """
    limits = limits or Limits()
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind == "DICOM":
        return _dicom(data, key, limits)
    cutter = {"PNG": _png, "JPEG": _jpeg}.get(kind)
    if cutter is None:
        return Deidentified(data, kind, False, warnings=(_kept(kind),))
    try:
        cut = cutter(data, orientation_of(data, kind))
    except (IndexError, ValueError):
        return Deidentified(data, kind, False, warnings=(_kept(kind),))
    return Deidentified(cut, kind, True)


def pseudonym(key: bytes, what: str, value: str) -> str:
    """32 hexadecimal digits that stand for a value of that kind under this key."""
    return hmac.new(key, f"{what}\0{value}".encode(), hashlib.sha256).hexdigest()[:32]


def _kept(kind: str) -> str:
    return f"the {kind} file is kept as it was sent: what it says beside its pixels was not taken out"


# --- DICOM -----------------------------------------------------------------------------------------------------------

_NAMES_THAT_STAY = (
    # what the object is, and how the pixels are stored (PS3.3 C.7.6.3, C.7.6.6, C.8.6)
    "SpecificCharacterSet ImageType SOPClassUID Modality ConversionType BurnedInAnnotation RecognizableVisualFeatures "
    "SamplesPerPixel PhotometricInterpretation PlanarConfiguration Rows Columns PixelAspectRatio BitsAllocated "
    "BitsStored HighBit PixelRepresentation SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue "
    "PixelPaddingRangeLimit NumberOfFrames FrameIncrementPointer LossyImageCompression LossyImageCompressionRatio "
    "LossyImageCompressionMethod PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable "
    "ExtendedOffsetTableLengths RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor "
    "BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData "
    "BluePaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData "
    "SegmentedBluePaletteColorLookupTableData ICCProfile ColorSpace "
    # how they are shown (C.11)
    "RescaleIntercept RescaleSlope RescaleType WindowCenter WindowWidth WindowCenterWidthExplanation VOILUTFunction "
    "ModalityLUTSequence VOILUTSequence LUTDescriptor LUTData ModalityLUTType PresentationLUTShape "
    "PixelIntensityRelationship PixelIntensityRelationshipSign "
    # what part of the body, from where, at what size
    "PresentationIntentType BodyPartExamined ViewPosition Laterality ImageLaterality PatientOrientation "
    "AnatomicRegionSequence FrameAnatomySequence ViewCodeSequence CodeValue CodingSchemeDesignator CodeMeaning "
    "PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing SliceThickness SpacingBetweenSlices "
    "ImagePositionPatient ImageOrientationPatient SliceLocation InstanceNumber "
    # how it was made, without who and where
    "KVP Exposure ExposureTime XRayTubeCurrent DistanceSourceToDetector DistanceSourceToPatient Grid "
    "MagneticFieldStrength EchoTime RepetitionTime InversionTime FlipAngle ScanningSequence SequenceVariant "
    "MRAcquisitionType "
    # frames of enhanced objects
    "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence "
    "PlaneOrientationSequence FrameVOILUTSequence PixelValueTransformationSequence "
    # replaced below
    "SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID PatientID"
)
_STAYS = frozenset(_NAMES_THAT_STAY.split())
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_EMPTY = (  # type 2 in the modules of most images: they must be there, and may be empty
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
)
_MAX_DEPTH = 8
_ITEM = b"\xfe\xff\x00\xe0"
_META = (  # of the file itself; the rest (who sent it, private information) goes
    "FileMetaInformationVersion",
    "MediaStorageSOPClassUID",
    "TransferSyntaxUID",
)


def _dicom(data: bytes, key: bytes, limits: Limits) -> Deidentified:
    from secondread.images.dicom import open_dicom, translating

    return translating(lambda: _strip(open_dicom(data, limits), key))


def _strip(ds: "Dataset", key: bytes) -> Deidentified:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    from secondread.images.dicom import SECONDARY_CAPTURE, about_text, header_of
    from secondread.images.subject import age_of

    header, age = header_of(ds), age_of(ds)
    person = _text(ds, "PatientID") or _text(ds, "PatientName")
    patient = pseudonym(key, "patient", f"{person}\0{_text(ds, 'IssuerOfPatientID')}") if person else ""
    _prune(ds, depth=0)
    for keyword in _UIDS:
        if old := _text(ds, keyword):
            setattr(ds, keyword, _uid(key, old))
    for keyword in _EMPTY:
        setattr(ds, keyword, "" if keyword != "SeriesNumber" else None)
    if age is not None:  # whether a task may be asked hangs on it: in whole years, and not told apart in old age
        ds.PatientAge = f"{age:03d}Y"
    ds.PatientID = ds.PatientName = patient[:16].upper()
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", _METHOD[:64]
    ds.LongitudinalTemporalInformationModified = "REMOVED"
    meta = FileMetaDataset()
    for keyword in _META:
        if keyword in ds.file_meta:
            setattr(meta, keyword, getattr(ds.file_meta, keyword))
    own = UID(_text(ds, "SOPInstanceUID") or _uid(key, hashlib.sha256(_pixels(ds)).hexdigest()))
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = own
    if "SOPClassUID" not in ds:
        ds.SOPClassUID = meta.get("MediaStorageSOPClassUID") or SECONDARY_CAPTURE
    ds.file_meta = meta
    if hasattr(ds, "preamble"):
        ds.preamble = b"\0" * 128  # it may hold anything, a TIFF header with a name for instance
    return Deidentified(_written(ds, meta), "DICOM", True, patient, about_text(ds), header)


def _written(ds: "Dataset", meta: "FileMetaDataset") -> bytes:
    """The file, also where its header is not true of its pixels: `decode` mends that, with a note, as before."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    from secondread.images.dicom import file_meta

    said = meta.TransferSyntaxUID
    untrue = said.is_compressed and not _pixels(ds).startswith(_ITEM)
    if untrue:  # pydicom writes no such file
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    target = io.BytesIO()
    ds.save_as(target, enforce_file_format=True)
    data = target.getvalue()
    if not untrue:
        return data
    meta.TransferSyntaxUID = said
    head = DicomBytesIO(b"\0" * 128 + b"DICM")
    head.is_little_endian, head.is_implicit_VR = True, False
    head.seek(132)
    write_file_meta_info(head, meta, enforce_standard=True)
    return head.getvalue() + data[file_meta(data)[1] :]


def _prune(ds: "Dataset", *, depth: int) -> None:
    """Delete what is not on the list, at every level."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag

    if depth > _MAX_DEPTH:
        raise TruncatedImage("the DICOM file's sequences lie in one another without end; export it again")
    for tag in list(ds.keys()):
        keyword = keyword_for_tag(tag)
        if tag.is_private or keyword not in _STAYS:
            del ds[tag]
            continue
        if getattr(ds.get_item(tag), "VR", "") is None:
            _name_vr(ds, tag)
        if dictionary_VR(tag) == "SQ" and tag in ds:  # by what it is: ScanningSequence is a word
            for item in ds[tag].value or ():
                _prune(item, depth=depth + 1)


def _name_vr(ds: "Dataset", tag: "BaseTag") -> None:
    """Parse an element read without its representation, so that it can be written with it; what cannot be goes."""
    try:
        _ = ds[tag]
    except Exception:  # pydicom raises nearly anything for a damaged value
        del ds[tag]


def _uid(key: bytes, old: str) -> str:
    """A UID made of a UUID (PS3.5 B.2) that stands for the old one."""
    return f"2.25.{int(pseudonym(key, 'uid', old), 16)}"


def _text(ds: "Dataset", keyword: str) -> str:
    return str(ds.get(keyword) or "").strip()


def _pixels(ds: "Dataset") -> bytes:
    return bytes(next(ds[name].value for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in ds))


# --- PNG and JPEG ----------------------------------------------------------------------------------------------------

_PNG_STAYS = {  # what pixels, transparency and colours need (PNG 3rd edition, 11)
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"cICP"),
    *(b"acTL", b"fcTL", b"fdAT"),
}
_JPEG_STAYS = {APP0: b"JFIF\0", APP2: b"ICC_PROFILE\0", APP14: b"Adobe"}


def _png(data: bytes, orientation: int) -> bytes:
    """The file without its text, time and EXIF chunks and without what follows its end."""
    import zlib

    parts, at = [data[:8]], 8
    while True:
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if len(kind) < 4 or end > len(data):
            raise ValueError("a chunk ends beyond the file")
        if kind in _PNG_STAYS:
            parts.append(data[at:end])
        if kind == b"IHDR" and orientation != 1:
            body = b"eXIf" + _exif(orientation)
            parts.append(len(body[4:]).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big"))
        if kind == b"IEND":
            return b"".join(parts)
        at = end


def _jpeg(data: bytes, orientation: int) -> bytes:
    """The file without comments and application segments, but for JFIF, colour profile, Adobe and the orientation."""
    parts = [data[:2]]
    exif = b"Exif\0\0" + _exif(orientation)
    pending = bytes([0xFF, APP1]) + (len(exif) + 2).to_bytes(2, "big") + exif if orientation != 1 else b""
    for marker, start, end in segments(data):
        if pending and marker not in (APP0, EOI):
            parts.append(pending)
            pending = b""
        described = APP0 <= marker <= APP15 or marker == COM
        if not described or (marker in _JPEG_STAYS and data[start + 4 : end].startswith(_JPEG_STAYS[marker])):
            parts.append(data[start:end])
    return b"".join(parts)


def _exif(orientation: int) -> bytes:
    """An EXIF block (a TIFF of one entry) that holds the orientation alone."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    return b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\0\0\0\0"
