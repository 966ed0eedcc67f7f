"""What of an incoming data set goes into the sealed identity (see service.identities), and nowhere else."""

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from secondread.service import Identity, Instance

_OF_STUDY = {  # field of Identity → attribute
    "study_instance_uid": "StudyInstanceUID",
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "issuer_of_patient_id": "IssuerOfPatientID",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "patient_age": "PatientAge",
    "accession_number": "AccessionNumber",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "referring_physician_name": "ReferringPhysicianName",
}
_LONGEST = 400  # characters of a value: a name in three writings has 194 (PS3.5 table 6.2-1)


def identity_in(ds: Dataset) -> Identity:
    """Whose the study is, as this object says it. Values that cannot be read are empty."""
    found = {field: text_of(ds, keyword) for field, keyword in _OF_STUDY.items()}
    return Identity(**found, character_set=tuple(words_of(ds, "SpecificCharacterSet")))


def instance_in(ds: Dataset) -> Instance:
    """What this object is called where it comes from."""
    return Instance(
        sop_class_uid=text_of(ds, "SOPClassUID"),
        sop_instance_uid=text_of(ds, "SOPInstanceUID"),
        series_instance_uid=text_of(ds, "SeriesInstanceUID"),
        series_number=number_of(ds, "SeriesNumber"),
        instance_number=number_of(ds, "InstanceNumber"),
        series_description=text_of(ds, "SeriesDescription"),
        modality=text_of(ds, "Modality"),
        frame_of_reference_uid=text_of(ds, "FrameOfReferenceUID"),
        laterality=text_of(ds, "ImageLaterality") or text_of(ds, "Laterality"),
        rows=number_of(ds, "Rows") or 0,
        columns=number_of(ds, "Columns") or 0,
        n_frames=number_of(ds, "NumberOfFrames") or 1,
        identity=identity_in(ds),
    )


def text_of(ds: Dataset, keyword: str) -> str:
    """An attribute as text; '' where it is missing or cannot be read."""
    return "\\".join(words_of(ds, keyword))[:_LONGEST]


def words_of(ds: Dataset, keyword: str) -> list[str]:
    """The values of an attribute as text; none where it is missing or cannot be read."""
    try:
        value = ds.get(keyword)
    except Exception:  # pydicom raises nearly anything for a damaged value
        return []
    if value is None or value == "":
        return []
    return [str(one).strip(" \0") for one in (value if isinstance(value, MultiValue | list) else [value])]


def numbers_of(ds: Dataset, keyword: str) -> list[float]:
    """The values of an attribute as numbers; none where one of them is no number."""
    try:
        return [float(one) for one in words_of(ds, keyword)]
    except ValueError:
        return []


def number_of(ds: Dataset, keyword: str) -> int | None:
    """A whole number that a column of the database can hold, or None."""
    found = numbers_of(ds, keyword)
    return int(found[0]) if found and abs(found[0]) < 2**31 else None
