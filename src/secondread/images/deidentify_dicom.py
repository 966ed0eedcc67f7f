"""A DICOM file without what identifies: pruned to the list of what may stay (deidentify_list.py), and written anew.

A name that was written into a code's meaning, a body part or a window goes with what cannot be told from it.
"""

import hashlib
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, UID_dictionary

from secondread.errors import TruncatedImage
from secondread.images.deidentify_list import BULK, CODED, NUMBERS, SEQUENCES, UIDS, shown, stays
from secondread.images.deidentify_streams import clean_fragments, clean_stream
from secondread.images.dicom import SECONDARY_CAPTURE, about_text, header_of, translating
from secondread.images.dicom_file import file_meta, open_dicom
from secondread.images.header import NATIVE
from secondread.images.image import Limits
from secondread.images.subject import age_of, code_meaning, words_of_place
from secondread.tasks import modality_said, part_said

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

Header = tuple[tuple[str, str], ...]
Uid = Callable[[str], str]  # what stands for a UID of before

METHOD = "secondread: after PS3.15 basic profile, by a list of what stays; best effort"
_TYPES = (
    "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER PROJECTION VOLUME OTHER NONE M P R I FFE SE NORM DIS2D DIS3D "
    "MPR MIP MINIP M_FFE M_SE M_IR ADC TRACEW RESAMPLED ADDITION SUBTRACT DIFFUSION"
)
_OF_IMAGE_TYPE = frozenset(_TYPES.split())
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
_MAKERS = (  # as they write themselves, in any letters; of others it is not told who made the device
    "AGFA BARCO CANON CARESTREAM DRGEM ESAOTE FUJI FUJIFILM GE HITACHI HOLOGIC KODAK KONICA LUMISYS MINDRAY NEUSOFT "
    "PHILIPS SAMSUNG SHIMADZU SIEMENS STERNMED SWISSRAY TOSHIBA TRIXELL VAREX VATECH VIEWORKS ZEISS"
)
_MAKER = re.compile(rf"\b({'|'.join(_MAKERS.split())})\b", re.IGNORECASE)
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +./_-]{0,31}")
_CHARACTER_SET = re.compile(r"(ISO[_ ]IR[ _]\d{1,3}|ISO 2022 IR \d{1,3}|GB18030|GBK|)(\\(ISO 2022 IR \d{1,3}))*")
_DIRECTIONS = re.compile(r"[LRAPHFTDE]{0,3}")
_PHOTOMETRIC = frozenset(
    re.sub("[^A-Z0-9]", "", name)
    for name in (
        "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB", "YBR_FULL", "YBR_FULL_422",
        "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT",
    )
)  # fmt: skip
_MAX_DEPTH = 8
_ITEM = b"\xfe\xff\x00\xe0"


class Cleaned(NamedTuple):
    """The file, pseudonyms of patient and study, what must be known of text in the picture, and how it was taken."""

    data: bytes
    patient: str
    study: str
    warnings: tuple[str, ...]
    header: Header


def clean_dicom(data: bytes, limits: Limits, *, patient_of: Callable[[str], str], uid_of: Uid) -> Cleaned:
    """The file as it may be kept, and what is known of it.

    patient_of, uid_of: what stands for a person, and for a UID. Raises an ImageError for what cannot be parsed.
    """
    found: Cleaned = translating(lambda: _cleaned(open_dicom(data, limits), patient_of, uid_of))
    return found


def _cleaned(ds: Dataset, patient_of: Callable[[str], str], uid_of: Uid) -> Cleaned:
    age, maker = age_of(ds), _maker_of(ds)
    person = _text(ds, "PatientID") or _text(ds, "PatientName")
    patient = patient_of(f"{person}\0{_text(ds, 'IssuerOfPatientID')}") if person else ""
    _prune(ds, depth=0)
    _clean_words(ds, uid_of)
    _clean_pixels(ds)
    header = (*header_of(ds), *maker)
    for keyword in _EMPTY:
        setattr(ds, keyword, "" if keyword != "SeriesNumber" else None)
    if age is not None:  # whether a task may be asked hangs on it: in whole years, and not told apart in old age
        ds.PatientAge = f"{age:03d}Y"
    ds.PatientID = ds.PatientName = patient[:16].upper()
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", METHOD[:64]
    ds.LongitudinalTemporalInformationModified = "REMOVED"
    meta = FileMetaDataset()
    _set(meta, "FileMetaInformationVersion", b"\0\1")
    meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    kind = _class_of(_text(ds, "SOPClassUID") or str(ds.file_meta.get("MediaStorageSOPClassUID") or ""), uid_of)
    ds.SOPClassUID = kind or SECONDARY_CAPTURE
    if "MediaStorageSOPClassUID" in ds.file_meta or kind:
        meta.MediaStorageSOPClassUID = ds.SOPClassUID
    own = UID(_text(ds, "SOPInstanceUID") or uid_of(hashlib.sha256(_pixels(ds)).hexdigest()))
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = own
    ds.file_meta = meta
    if hasattr(ds, "preamble"):
        ds.preamble = b"\0" * 128  # it may hold anything, a TIFF header with a name for instance
    return Cleaned(_written(ds, meta), patient, _text(ds, "StudyInstanceUID"), about_text(ds), header)


def _prune(ds: Dataset, *, depth: int, inside: str = "") -> None:
    """Delete what is not on the lists, at every level, and what does not keep to what its attribute may be."""
    if depth > _MAX_DEPTH:
        raise TruncatedImage("the DICOM file's sequences lie in one another without end; export it again")
    for tag in list(ds.keys()):
        keyword = keyword_for_tag(tag)
        if not stays(ds, tag, keyword, depth, inside):
            del ds[tag]
            continue
        if getattr(ds.get_item(tag), "VR", "") is None:
            _name_vr(ds, tag)
        if keyword in SEQUENCES and tag in ds:
            items = ds[tag].value
            if not isinstance(items, Sequence):
                del ds[tag]
            elif keyword in CODED:
                _set_codes(ds, tag, [_code(item) for item in items])
            else:
                for item in items:
                    _prune(item, depth=depth + 1, inside=keyword)


def _clean_words(ds: Dataset, uid_of: Uid) -> None:
    """Attributes of which a part may be kept, or of which something must be left for the reading to be the same."""
    for keyword in UIDS:
        old = _text(ds, keyword)
        _set(ds, keyword, uid_of(old) if old else None)
    _set(ds, "SOPClassUID", _class_of(_text(ds, "SOPClassUID"), uid_of) or None)
    if not _CHARACTER_SET.fullmatch("\\".join(_all(ds, "SpecificCharacterSet"))):
        _set(ds, "SpecificCharacterSet", None)
    kept = [word for word in (one.strip(" \0").upper() for one in _all(ds, "ImageType")) if word in _OF_IMAGE_TYPE]
    _set(ds, "ImageType", kept or None)
    if (said := _text(ds, "Modality")) and not modality_said(said) and said.upper() != "UNKNOWN":
        _set(ds, "Modality", "XX")  # as little a modality of any task as what stood there
    if _text(ds, "ConversionType"):
        _set(ds, "ConversionType", said if (said := _text(ds, "ConversionType")) in _CONVERSIONS else "WSD")
    for keyword in ("BodyPartExamined", "ViewPosition"):
        said = _text(ds, keyword)
        if said and not (keyword == "BodyPartExamined" and part_said(said)):
            _set(ds, keyword, words_of_place(said) or None)
    if not all(_DIRECTIONS.fullmatch(one.strip(" \0").upper()) for one in _all(ds, "PatientOrientation")):
        _set(ds, "PatientOrientation", None)
    said = _text(ds, "PhotometricInterpretation")
    if said and (len(said) > 24 or re.sub("[^A-Z0-9]", "", said.upper()) not in _PHOTOMETRIC):
        ds.PhotometricInterpretation = "UNKNOWN"
    intent = " ".join(_text(ds, "PresentationIntentType").upper().split())
    if intent not in ("", "FOR PRESENTATION", "FOR PROCESSING"):
        _set(ds, "PresentationIntentType", "OTHER")
    if said and said.strip() != "PALETTE COLOR":
        for keyword in [one for one in BULK | NUMBERS if "Palette" in one and one in ds]:
            delattr(ds, keyword)


_CONVERSIONS = ("DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN")


def _code(item: Dataset) -> Dataset | None:
    """A code that means something here, with a meaning of ours; None for any other, whose words may be anything."""
    meaning = code_meaning(item)
    if not meaning:
        return None
    kept = _bare(_text(item, "CodingSchemeDesignator"), _text(item, "CodeValue"))
    if not code_meaning(kept):  # it is its words that say the view
        kept = _bare("99SECONDREAD", "0")
    _set(kept, "CodeMeaning", meaning)
    return kept


def _bare(scheme: str, value: str) -> Dataset:
    bare = Dataset()
    _set(bare, "CodingSchemeDesignator", scheme)
    _set(bare, "CodeValue", value)
    return bare


def _set_codes(ds: Dataset, tag: "BaseTag", codes: list[Dataset | None]) -> None:
    kept = [code for code in codes if code is not None]
    if kept:
        ds[tag].value = Sequence(kept)
    else:
        del ds[tag]


def _clean_pixels(ds: Dataset) -> None:
    """Compressed frames without comments, uncompressed ones without what follows the last."""
    if "PixelData" not in ds:
        for keyword, size in (("FloatPixelData", 4), ("DoubleFloatPixelData", 8)):
            if keyword in ds:
                _cut(ds, keyword, size)
        return
    data = ds.PixelData
    tables = [bytes(ds[name].value) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths") if name in ds]
    if data.startswith(_ITEM):
        cleaned, extended = clean_fragments(data, tables if len(tables) == 2 else None)
        if cleaned is not data:
            ds["PixelData"].value = cleaned
        if extended is not None:
            ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = extended
            return
    elif ds.file_meta.TransferSyntaxUID in NATIVE:
        bits, samples = _int(ds, "BitsAllocated"), _int(ds, "SamplesPerPixel")
        kind = _text(ds, "PhotometricInterpretation")
        if data[:2] in (b"\xff\xd8", b"\xff\x4f"):  # a bare stream, perhaps, which decoding then finds (see header)
            cleaned = clean_stream(data)
            if cleaned is not data:
                ds["PixelData"].value = cleaned
        elif bits in (8, 16, 32) and samples in (1, 3) and "42" not in kind:
            _cut(ds, "PixelData", bits // 8 * samples)
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in ds:
            delattr(ds, name)


def _cut(ds: Dataset, keyword: str, size: int) -> None:
    """Cut what is left after whole pictures, and is less than one. size: bytes of a pixel."""
    one = _int(ds, "Rows") * _int(ds, "Columns") * size
    data = ds[keyword].value
    frames = max(_int(ds, "NumberOfFrames"), 1)
    have = one * frames
    if one and len(data) // one == frames and len(data) > have + have % 2:
        ds[keyword].value = data[:have] + b"\0" * (have % 2)


def _written(ds: Dataset, meta: FileMetaDataset) -> bytes:
    """The file, also where its header is not true of its pixels: `decode` mends that, with a note, as before."""
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


def _maker_of(ds: Dataset) -> Header:
    """Who made the device, and its model where its maker is known: what else stands there may be anything."""
    found = _MAKER.search(_text(ds, "Manufacturer"))
    if found is None:
        return ()
    model = _text(ds, "ManufacturerModelName")
    maker = ("Manufacturer", found[1].upper())
    return (maker, ("Manufacturer's Model Name", model)) if _MODEL.fullmatch(model) else (maker,)


def _class_of(uid: str, uid_of: Uid) -> str:
    """A SOP class as it is where the standard has it, else a UID that stands for it; '' for none."""
    return uid if uid in UID_dictionary else uid_of(uid) if uid else ""


def _name_vr(ds: Dataset, tag: "BaseTag") -> None:
    """Parse an element read without its representation, so that it can be written with it; what cannot be goes."""
    try:
        _ = ds[tag]
    except Exception:  # pydicom raises nearly anything for a damaged value
        del ds[tag]


def _set(ds: Dataset, keyword: str, value: object) -> None:
    """None deletes it."""
    if value is not None:
        setattr(ds, keyword, value)
    elif keyword in ds:
        delattr(ds, keyword)


def _all(ds: Dataset, keyword: str) -> list[str]:
    return shown(ds[keyword].value).split("\\") if keyword in ds else []


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip()


def _int(ds: Dataset, keyword: str) -> int:
    """0 where it is missing or no number."""
    try:
        return int(ds.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _pixels(ds: Dataset) -> bytes:
    return bytes(next(ds[name].value for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in ds))
