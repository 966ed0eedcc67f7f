"""What an incoming object says of itself: for the rules, which need its words, and for its row, which keeps none that
may name anyone.
"""

import io
import re
from dataclasses import dataclass
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from secondread.dicom.identities import number_of, numbers_of, text_of, words_of
from secondread.errors import TruncatedImage
from secondread.images.subject import age_of, parts_of, views_of
from secondread.tasks import modality_said

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Words of a series description that tell sequences, planes and purposes apart; no others are kept, for people write
# names there (PS3.15 annex E.3.4, clean descriptors).
_NAMES_OF_WORDS = (
    "T1 T1W T2 T2W T2* PD FLAIR DARK FLUID STIR SPAIR SWI DWI ADC TRACE TRACEW DTI BOLD EPI GRE SE TSE FSE FFE TFE "
    "MPR MPRAGE BRAVO CUBE SPACE VISTA CISS FIESTA HASTE DIXON VIBE PERFUSION PWI DSC DCE ASL CBV CBF MTT TTP TOF "
    "MRA MRV MIP ANGIO AX AXIAL TRA COR CORONAL SAG SAGITTAL OBL 2D 3D ISO PRE POST GAD GD CE +C C+ FS FATSAT SAT "
    "LOC LOCALIZER LOCALISER SCOUT SURVEY PLAN FIELD FIELDMAP MAP B0 B1 B1000 PHASE MAG SHIM CALIBRATION CAL ASSET "
    "SENSE REF REFERENCE BRAIN HEAD NECK SPINE CHEST THORAX ABDOMEN PELVIS HAND WRIST ELBOW SHOULDER KNEE ANKLE "
    "FOOT HIP PA AP LAT LATERAL SUPINE ERECT BEDSIDE PORTABLE"
)
_VOCABULARY = frozenset(_NAMES_OF_WORDS.split())
_NAMES_OF_TYPES = (
    "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER PROJECTION VOLUME OTHER NONE M P R I FFE SE NORM DIS2D "
    "DIS3D MPR MIP MINIP ADC TRACEW RESAMPLED ADDITION SUBTRACT DIFFUSION FMRI ASL PHASE FIELD_MAP MAP MOSAIC"
)
_IMAGE_TYPES = frozenset(_NAMES_OF_TYPES.split())
_NOT_A_WORD = re.compile(r"[^A-Z0-9*+]+")


@dataclass(frozen=True)
class Header:
    """What rules may ask about. Text in capitals; lists where a header may say several things."""

    modality: str = ""
    sop_class: str = ""
    body_part: tuple[str, ...] = ()  # as written, and as defined terms that it or a code means
    view: tuple[str, ...] = ()  # as written, and as frontal, lateral, oblique, …
    series_description: str = ""
    study_description: str = ""
    protocol: str = ""
    image_type: str = ""  # 'ORIGINAL\\PRIMARY\\…'
    manufacturer: str = ""
    model: str = ""
    station: str = ""
    calling_aet: str = ""
    called_aet: str = ""
    age: int | None = None  # years
    n_frames: int = 1
    has_pixels: bool = True


def open_header(data: bytes) -> Dataset:
    """The data set of a DICOM file, pixels and other large values put off. Raises TruncatedImage."""
    try:
        return dcmread(io.BytesIO(data), defer_size=4096, force=False)
    except InvalidDicomError as error:
        raise TruncatedImage("this is no DICOM file; send it again") from error
    except Exception as error:  # pydicom raises nearly anything for damaged bytes
        raise TruncatedImage("the DICOM data set is damaged and cannot be read; send it again") from error


def header_in(ds: Dataset, *, calling_aet: str = "", called_aet: str = "") -> Header:
    """What rules may ask of this data set."""
    return Header(
        modality=_words(ds, "Modality"),
        sop_class=text_of(ds, "SOPClassUID"),
        body_part=_all(_words(ds, "BodyPartExamined"), parts_of(ds)),
        view=_all(_words(ds, "ViewPosition"), views_of(ds)),
        series_description=_words(ds, "SeriesDescription"),
        study_description=_words(ds, "StudyDescription"),
        protocol=_words(ds, "ProtocolName"),
        image_type=_words(ds, "ImageType"),
        manufacturer=_words(ds, "Manufacturer"),
        model=_words(ds, "ManufacturerModelName"),
        station=_words(ds, "StationName"),
        calling_aet=calling_aet,
        called_aet=called_aet,
        age=age_of(ds),
        n_frames=number_of(ds, "NumberOfFrames") or 1,
        has_pixels=any(name in ds for name in _PIXELS),
    )


def row_facts(ds: Dataset) -> dict[str, Any]:
    """Fields of service.Facts that come from the header: numbers, and words of the standard alone."""
    position, orientation = numbers_of(ds, "ImagePositionPatient"), numbers_of(ds, "ImageOrientationPatient")
    return {
        "modality": modality_said(text_of(ds, "Modality")),
        "series_description": known_words(text_of(ds, "SeriesDescription")),
        "series_number": number_of(ds, "SeriesNumber"),
        "instance_number": number_of(ds, "InstanceNumber"),
        "position": tuple(position) if len(position) == 3 else None,
        "orientation": tuple(orientation) if len(orientation) == 6 else None,
        "image_type": "\\".join(filter(_is_code, words_of(ds, "ImageType")))[:100],
        "rows": number_of(ds, "Rows") or 0,
        "columns": number_of(ds, "Columns") or 0,
        "n_frames": number_of(ds, "NumberOfFrames") or 1,
        "n_expected": number_of(ds, "NumberOfSeriesRelatedInstances"),
    }


def known_words(text: str) -> str:
    """Of a description the words of the field, in their order; no others."""
    words = (word for word in _NOT_A_WORD.split(text.upper()) if word in _VOCABULARY)
    return " ".join(words)[:64]


def _is_code(word: str) -> bool:
    return word.upper() in _IMAGE_TYPES


def _words(ds: Dataset, keyword: str) -> str:
    return " ".join(text_of(ds, keyword).upper().split())


def _all(written: str, meant: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (written, *(one.upper() for one in meant)))))
