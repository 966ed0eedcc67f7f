"""The attributes that stay in a DICOM file without names, each with what its value may be.

After the basic profile of PS3.15 annex E, turned round: the profile lists what must go; here only what is needed to
show and to judge the image stays, and everything else goes, private elements, overlays, curves, annotations and what
nobody thought of included. Numbers must be numbers, and words must be words of the standard.
"""

import re
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

_NAMES_OF_NUMBERS = (
    # how pixels are stored and shown (PS3.3 C.7.6.3, C.7.6.6, C.11)
    "SamplesPerPixel PlanarConfiguration Rows Columns PixelAspectRatio BitsAllocated BitsStored HighBit "
    "PixelRepresentation SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit "
    "NumberOfFrames FrameIncrementPointer LossyImageCompressionRatio LUTDescriptor "
    "RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor "
    "BluePaletteColorLookupTableDescriptor RescaleIntercept RescaleSlope WindowCenter WindowWidth "
    "PixelIntensityRelationshipSign "
    # at what size, from where, and how it was made
    "PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing SliceThickness SpacingBetweenSlices "
    "ImagePositionPatient ImageOrientationPatient SliceLocation InstanceNumber KVP Exposure ExposureTime "
    "XRayTubeCurrent DistanceSourceToDetector DistanceSourceToPatient MagneticFieldStrength EchoTime RepetitionTime "
    "InversionTime FlipAngle"
)
NUMBERS = frozenset(_NAMES_OF_NUMBERS.split())
_WORDS = {  # attributes of one or several words, and every word that may stand there
    "BurnedInAnnotation": "YES NO",
    "RecognizableVisualFeatures": "YES NO",
    "LossyImageCompression": "00 01",
    "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_15444_15 ISO_13818_2 ISO_14496_10",
    "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
    "PresentationLUTShape": "IDENTITY INVERSE",
    "PixelIntensityRelationship": "LIN LOG DISP",
    "RescaleType": "HU US OD MGML HU_MOD PCT Z_EFF ED EDW",
    "ModalityLUTType": "HU US OD MGML HU_MOD PCT Z_EFF ED EDW",
    "Laterality": "R L",
    "ImageLaterality": "R L U B",
    "ScanningSequence": "SE IR GR EP RM",
    "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
    "MRAcquisitionType": "1D 2D 3D",
}
_NAMES_OF_BULK = (  # pixels and tables of numbers
    "PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths LUTData "
    "RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData "
    "SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData "
    "SegmentedBluePaletteColorLookupTableData"
)
BULK = frozenset(_NAMES_OF_BULK.split())
_OF_TABLES = frozenset(("LUTDescriptor", "LUTData", "ModalityLUTType"))
CODED = ("AnatomicRegionSequence", "ViewCodeSequence")
SEQUENCES = frozenset(
    (*CODED, "ModalityLUTSequence", "VOILUTSequence", "FrameAnatomySequence", "SharedFunctionalGroupsSequence",
     "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence",
     "FrameVOILUTSequence", "PixelValueTransformationSequence")
)  # fmt: skip
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_OF_THE_WHOLE = frozenset(  # treated one by one, and at the top alone
    (*UIDS, "SOPClassUID", "SpecificCharacterSet", "ImageType", "Modality", "ConversionType", "BodyPartExamined",
     "ViewPosition", "PatientOrientation", "PhotometricInterpretation", "PresentationIntentType")
)  # fmt: skip
_NUMBER = re.compile(r"[ \0]*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?)?[ \0]*")
_LONGEST_NUMBER = 32  # characters; the standard has 16, and devices write more
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "AT": 4, "FL": 4, "FD": 8}  # bytes of a value
_TEXT_VRS = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT"
_AS_TEXT = frozenset(_TEXT_VRS.split())
_MOST_VALUES = 32  # of an attribute of any number of values


def stays(ds: Dataset, tag: "BaseTag", keyword: str, depth: int, inside: str) -> bool:
    """Whether an element may stay. depth: of how many sequences it lies in; inside: the keyword of the innermost."""
    if tag.is_private:
        return False
    if keyword in SEQUENCES:
        return True
    of_table = keyword in _OF_TABLES
    if of_table != inside.endswith("LUTSequence") and (of_table or inside in ("ModalityLUTSequence", "VOILUTSequence")):
        return False
    if keyword in BULK:
        return depth == 0 or keyword == "LUTData"
    if keyword in NUMBERS:
        return _is_number(ds, tag)
    if keyword in _WORDS:
        known = _WORDS[keyword].split()
        return all(word in known for word in _words(ds, tag))
    return depth == 0 and keyword in _OF_THE_WHOLE


def _is_number(ds: Dataset, tag: "BaseTag") -> bool:
    """Whether the value can be nothing but numbers, so many as the attribute has."""
    element, vr = ds.get_item(tag), dictionary_VR(tag).split()[0]
    most = dictionary_VM(tag).rpartition("-")[2]
    n = int(most) if most.isdigit() else _MOST_VALUES
    value = element.value
    if value is None or value == "" or value == b"":
        return True
    written = getattr(element, "VR", None) or vr
    if isinstance(value, bytes) and vr in _SIZES and written not in _AS_TEXT:
        return len(value) <= _SIZES[vr] * n
    if isinstance(value, bytes) and written not in _AS_TEXT and written != "UN":
        return len(value) <= 8 * n  # numbers, in another way than the standard has
    parts = shown(value).split("\\")
    return len(parts) <= n and all(len(part) <= _LONGEST_NUMBER and _NUMBER.fullmatch(part) for part in parts)


def _words(ds: Dataset, tag: "BaseTag") -> list[str]:
    return [part.strip(" \0").upper() for part in shown(ds.get_item(tag).value).split("\\")]


def shown(value: object) -> str:
    """A value as the file writes it: raw, or parsed already."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str | int | float) or not hasattr(value, "__iter__"):
        return "" if value is None else str(value)
    return "\\".join(map(str, value))
