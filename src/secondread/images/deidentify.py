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

from secondread.errors import ImageError, TruncatedImage
from secondread.images.decode import sniff
from secondread.images.image import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_METHOD = "secondread: after PS3.15 basic profile, by a list of what stays; best effort"


@dataclass(frozen=True)
class Deidentified:
    """A file without what identifies, and what a person should know of it."""

    data: bytes
    format: str
    changed: bool  # False: kept as sent, which `warnings` then says
    patient: str = ""  # a pseudonym, the same for all images of one person under one key; '' where not known
    warnings: tuple[str, ...] = ()


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
        cut = cutter(data, _orientation(data, kind))
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
    "BodyPartExamined ViewPosition Laterality ImageLaterality PatientOrientation AnatomicRegionSequence "
    "ViewCodeSequence CodeValue CodingSchemeDesignator CodeMeaning PixelSpacing ImagerPixelSpacing "
    "NominalScannedPixelSpacing SliceThickness SpacingBetweenSlices ImagePositionPatient ImageOrientationPatient "
    "SliceLocation InstanceNumber "
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
_META = (  # of the file itself; the rest (who sent it, private information) goes
    "FileMetaInformationVersion",
    "MediaStorageSOPClassUID",
    "TransferSyntaxUID",
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, .1 to .4
_OFTEN_WITH_TEXT = ("US", "OT", "ES", "XC", "SC", "DOC")


def _dicom(data: bytes, key: bytes, limits: Limits) -> Deidentified:
    from secondread.images.dicom import open_dicom, translating

    return translating(lambda: _strip(open_dicom(data, limits), key))


def _strip(ds: "Dataset", key: bytes) -> Deidentified:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    person = _text(ds, "PatientID") or _text(ds, "PatientName")
    patient = pseudonym(key, "patient", f"{person}\0{_text(ds, 'IssuerOfPatientID')}") if person else ""
    _prune(ds, depth=0)
    for keyword in _UIDS:
        if old := _text(ds, keyword):
            setattr(ds, keyword, _uid(key, old))
    for keyword in _EMPTY:
        setattr(ds, keyword, "" if keyword != "SeriesNumber" else None)
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
        ds.SOPClassUID = meta.get("MediaStorageSOPClassUID") or _SECONDARY_CAPTURE
    ds.file_meta = meta
    if hasattr(ds, "preamble"):
        ds.preamble = b"\0" * 128  # it may hold anything, a TIFF header with a name for instance
    target = io.BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return Deidentified(target.getvalue(), "DICOM", True, patient, _about_text(ds))


def _prune(ds: "Dataset", *, depth: int) -> None:
    """Delete what is not on the list, at every level."""
    from pydicom.datadict import keyword_for_tag

    if depth > _MAX_DEPTH:
        raise TruncatedImage("the DICOM file's sequences lie in one another without end; export it again")
    for tag in list(ds.keys()):
        keyword = keyword_for_tag(tag)
        if tag.is_private or keyword not in _STAYS:
            del ds[tag]
        elif keyword.endswith("Sequence"):
            for item in ds[tag].value or ():
                _prune(item, depth=depth + 1)


def _uid(key: bytes, old: str) -> str:
    """A UID made of a UUID (PS3.5 B.2) that stands for the old one."""
    return f"2.25.{int(pseudonym(key, 'uid', old), 16)}"


def _text(ds: "Dataset", keyword: str) -> str:
    return str(ds.get(keyword) or "").strip()


def _pixels(ds: "Dataset") -> bytes:
    return bytes(next(ds[name].value for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in ds))


def _about_text(ds: "Dataset") -> tuple[str, ...]:
    """What the file says of text in its picture (0028,0301)."""
    said = _text(ds, "BurnedInAnnotation").upper()
    if said == "YES":
        return ("the file says that text is burned into the picture, perhaps a name: look before it is passed on",)
    captured = _text(ds, "SOPClassUID").startswith(_SECONDARY_CAPTURE) or bool(_text(ds, "ConversionType"))
    if said != "NO" and (captured or _text(ds, "Modality") in _OFTEN_WITH_TEXT):
        return ("a captured picture that does not say whether text is burned in: look before it is passed on",)
    return ()


# --- PNG and JPEG ----------------------------------------------------------------------------------------------------

_PNG_STAYS = {  # what pixels, transparency and colours need (PNG 3rd edition, 11)
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"cICP"),
    *(b"acTL", b"fcTL", b"fdAT"),
}
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_SOS, _EOI = 0xDA, 0xD9
_JPEG_STAYS = {_APP0: b"JFIF\0", _APP2: b"ICC_PROFILE\0", _APP14: b"Adobe"}


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
    parts, at = [data[:2]], 2
    exif = b"Exif\0\0" + _exif(orientation)
    pending = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif if orientation != 1 else b""
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _EOI:
            return b"".join([*parts, data[at : at + 2]])
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise ValueError("a segment ends beyond the file")
        application = _APP0 <= marker <= _APP15
        if pending and marker != _APP0:
            parts.append(pending)
            pending = b""
        if not (application or marker == _COM) or (
            marker in _JPEG_STAYS and data[at + 4 : end].startswith(_JPEG_STAYS[marker])
        ):
            parts.append(data[at:end])
        at = end
        if marker == _SOS:
            at = _end_of_scan(data, end)
            parts.append(data[end:at])


def _end_of_scan(data: bytes, at: int) -> int:
    """Where the next marker is that is neither a stuffed byte nor a restart (ITU-T T.81 B.1.1.5)."""
    while True:
        at = data.index(b"\xff", at)
        follows = data[at + 1]
        if follows != 0 and follows != 0xFF and not 0xD0 <= follows <= 0xD7:
            return at
        at += 1 if follows == 0xFF else 2


def _exif(orientation: int) -> bytes:
    """An EXIF block (a TIFF of one entry) that holds the orientation alone."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    return b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\0\0\0\0"


def _orientation(data: bytes, kind: str) -> int:
    """As the decoder finds it, so that the picture stays upright."""
    from importlib import import_module

    from secondread.images import raster

    if b"Exif" not in data and b"eXIf" not in data and b"exif" not in data:
        return 1
    module, name = raster._PLUGINS[kind]
    try:
        picture = getattr(import_module(module), name)(raster.BoundedReads(data, max_reads=raster.MAX_READS))
        return raster._orientation(picture)
    except (ImageError, OSError, SyntaxError, ValueError, IndexError):
        return 1
