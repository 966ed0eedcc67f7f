"""Whom a DICOM file names, where that was not taken out of it."""

from io import BytesIO

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

_NAMES = ("PatientName", "PatientID", "AccessionNumber", "StudyDate")
_LONGEST = 64  # characters of a value (PS3.5 table 6.2-1: 64 of a PN's component group and of an LO)


def identity_of(data: bytes) -> dict[str, str]:
    """Keyword → value of a DICOM file, without what is empty; nothing of another file or of a de-identified one."""
    try:
        ds = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=[*_NAMES, "PatientIdentityRemoved"])
        if str(ds.get("PatientIdentityRemoved", "")).strip().upper() == "YES":
            return {}
        found = {name: " ".join(str(ds.get(name) or "").replace("^", " ").split())[:_LONGEST] for name in _NAMES}
    except (InvalidDicomError, OSError, ValueError, LookupError, AttributeError, TypeError, NotImplementedError):
        return {}
    return {name: value for name, value in found.items() if value}
