"""What every object that is written here says of itself: who made it, when, and under which numbers."""

from datetime import datetime, tzinfo
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from secondread import __version__
from secondread.dicom.results.source import MAKER, Source, made_uid

IMPLEMENTATION = UID(made_uid("implementation"))  # (0002,0012), of what writes files here
_VERSION_NAME = f"SECONDREAD_{__version__}"[:16]
_SERIES = {  # kind → Series Number and Series Description; beyond those of scanners
    "sr": (9901, "secondread: report"),
    "capture": (9902, "secondread: picture, not for diagnosis"),
    "gsps": (9903, "secondread: outlines, not for diagnosis"),
    "map": (9904, "secondread: heat map, not for diagnosis"),
}
CAVEAT = "Not for diagnosis. Assists a qualified reader; secondread is no medical device."


def numbering(source: Source, kind: str) -> dict[str, Any]:
    """Keywords of every constructor: a series of its own for each kind, study and bundle; the UID always the same."""
    number, description = _SERIES[kind]
    return {
        "series_instance_uid": made_uid("series", kind, source.uid(kind)),
        "series_number": number,
        "series_description": description,
        "sop_instance_uid": source.uid(kind),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": "secondread",
        "software_versions": __version__,
        "device_serial_number": source.reading.bundle_sha256[:16] or "none",
    }


def sign(ds: Dataset, source: Source, zone: tzinfo | None) -> Dataset:
    """Write the patient's name, and the moment of the reading wherever one stands: made again it is the same."""
    moment = moment_of(source, zone)
    ds.PatientName = source.identity.patient_name
    day, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    ds.InstanceCreationDate, ds.InstanceCreationTime = day, time
    for name, value in (("ContentDate", day), ("ContentTime", time), ("SeriesDate", day), ("SeriesTime", time)):
        setattr(ds, name, value)
    for item in ds.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = day + time
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION
    ds.file_meta.ImplementationVersionName = _VERSION_NAME
    return ds


def request_of(source: Source) -> Dataset | None:
    """The order that the study was made for (PS3.3 table C.17-3), where a worklist told it."""
    order = source.order
    if order is None:
        return None
    ds = Dataset()
    ds.StudyInstanceUID = source.identity.study_instance_uid
    ds.ReferencedStudySequence = []
    ds.AccessionNumber = order.accession_number
    ds.PlacerOrderNumberImagingServiceRequest = ds.FillerOrderNumberImagingServiceRequest = ""
    ds.RequestedProcedureID = order.requested_procedure_id
    ds.RequestedProcedureDescription = order.requested_procedure_description
    ds.RequestedProcedureCodeSequence = []
    return ds


def say_side(ds: Dataset, source: Source) -> None:
    """Of a paired part as the original says; empty is what PS3.3 C.7.3.1 lets stand for unknown."""
    ds.Laterality = source.shown.laterality if source.shown.laterality in ("L", "R") else ""


def moment_of(source: Source, zone: tzinfo | None) -> datetime:
    """When it was read, by the clock of the site; zone None: the machine's."""
    return source.reading.created_at.astimezone(zone)


def answer_in_words(source: Source) -> str:
    """One line for people."""
    reading, title = source.reading, source.task.title if source.task else "Reading"
    if reading.refusal_code:
        return f"{title}: not read ({reading.refusal_code.replace('_', ' ')})"
    return f"{title}: {reading.decision}, {reading.score} of 100 at operating point '{reading.operating_point}'"
