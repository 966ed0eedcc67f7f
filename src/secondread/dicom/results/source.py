"""What results are made of: the reading, whose it is, and which objects it read."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from secondread.dicom.identities import identity_in, instance_in
from secondread.errors import Conflict, NotThere
from secondread.service import (
    IDENTIFY,
    Actor,
    DicomObject,
    Identity,
    Instance,
    Order,
    Service,
    Slice,
    StoredReading,
    check_shown,
)
from secondread.tasks import Task, list_tasks, task_named

SR, CAPTURE, GSPS, MAP = "sr", "capture", "gsps", "map"
SOP_CLASSES = {
    SR: ComprehensiveSRStorage,
    CAPTURE: SecondaryCaptureImageStorage,
    GSPS: GrayscaleSoftcopyPresentationStateStorage,
    MAP: ParametricMapStorage,
}
KINDS = tuple(SOP_CLASSES)
MAKER = "secondread"  # Manufacturer of all that is written here: by it the node knows its own results again
_ERASED = "whose study this is is not kept here; it may have been erased"
_ROOT = UUID("6f9fb5d1-6a9c-5e0e-9d0a-0f4b6c6f3a58")  # of our UIDs, which are UUIDs (PS3.5 annex B.2)


@dataclass(frozen=True)
class Source:
    """One reading with all that its results say.

    instances: what it read, by their numbers; shown: the one that the answer came from; picture: the file it is kept
    as, and which of its frames answered, from 0.
    """

    reading: StoredReading
    task: Task | None
    identity: Identity
    instances: tuple[Instance, ...]
    shown: Instance
    picture: Slice
    order: Order | None = None  # the one that the study was made for, where a worklist said it

    @property
    def frame(self) -> int | None:
        """Which frame answered as DICOM counts, from 1; None where there is but one."""
        return self.picture.frame + 1 if self.shown.n_frames > 1 else None

    def uid(self, kind: str) -> str:
        """The SOP instance UID of its result of this kind."""
        return result_uid(self.reading, kind)

    @property
    def evidence(self) -> list[Dataset]:
        """What a result refers to: patient, study and UIDs of every object, the shown one first."""
        return [
            _told(self.identity, one) for one in (self.shown, *(one for one in self.instances if one != self.shown))
        ]


def result_uid(reading: StoredReading, kind: str) -> str:
    """A UID that is always the same for this answer: whoever gets it twice has it once.

    From what makes a reading one of its kind: the file as it is kept (whose UIDs are this site's own pseudonyms), the
    frame, the bundle and the operating point; for a refusal its code, which may change.
    """
    parts = (kind, reading.image_sha256, reading.frame, reading.bundle_sha256, reading.point_key, reading.refusal_code)
    return made_uid(*parts)


def made_uid(*parts: object) -> str:
    """2.25 and a UUID of version 5 as one number (PS3.5 B.2)."""
    return f"2.25.{uuid5(_ROOT, '|'.join(map(str, parts))).int}"


def kinds_of(reading: StoredReading, wanted: Sequence[str] = (SR, CAPTURE)) -> tuple[str, ...]:
    """Which results there are of a reading: pictures only of what could be decoded, maps where one decided.

    Outlines are of boxes or of such a map.
    """
    mapped = bool(reading.heat_map) and reading.decision in ("positive", "uncertain")
    outlined = reading.has_thumbnail and not reading.refusal_code and (mapped or bool(reading.findings))
    there = {SR: True, CAPTURE: reading.has_thumbnail, GSPS: outlined, MAP: mapped}
    return tuple(kind for kind in wanted if there[kind])


def source_of(service: Service, reading_id: int, *, actor: Actor, identified: bool) -> Source:
    """Gather it; noted in the trail.

    identified: with the patient and UIDs that the objects had where they came from, for who may see them; else as they
    are kept, under pseudonyms. Raises NotThere, NotAllowed, Conflict where the image is no DICOM object.
    """
    reading = service.readings.get(reading_id, actor=actor)
    check_shown(reading)
    rows, order = service.dicom.of_reading(reading_id), None
    picture = _answering(service, reading, rows)
    at = next((at for at, row in enumerate(rows) if row.image_sha256 == picture.sha256), 0)
    if identified and rows:
        study = _study(service, rows[0].study_uid, actor)
        named = service.identities.unseal_instances([row.sop_instance_uid for row in rows], actor=actor)
        instances = tuple(named[row.sop_instance_uid] for row in rows if row.sop_instance_uid in named)
        if rows[at].sop_instance_uid not in named:
            raise NotThere(_ERASED)
        shown = named[rows[at].sop_instance_uid]
        whose = shown.belongs_to(study)
        if whose is None:
            raise NotThere(_ERASED)
        identity = whose
        order = _order_of(service, rows[at], identity, actor)
        if order is not None and not identity.accession_number:
            identity = replace(identity, accession_number=order.accession_number)
    else:
        kept = _kept(service, reading, picture, actor)
        if identified and kept.get("PatientIdentityRemoved") == "YES":
            raise Conflict(
                f"whose reading {reading_id} is is not known here: its image came in by another way than the DICOM "
                "node, and its names were taken out; send the object to the node, or export it under pseudonyms"
            )
        identity = identity_in(kept)
        instances = tuple(map(_pseudonymous, rows)) or (instance_in(kept),)
        shown = instances[at]
    task = task_named(reading.task) if reading.task in list_tasks() else None
    return Source(reading, task, identity, instances, shown, picture, order)


def _order_of(service: Service, row: DicomObject, identity: Identity, actor: Actor) -> Order | None:
    """The order of the object that answered: by its study, or by accession number and patient."""
    patient = service.orders.patient_of(identity)
    return service.orders.find(
        study_uid=row.study_uid, accession_number=identity.accession_number, patient=patient, actor=actor
    )


def _study(service: Service, study_uid: str, actor: Actor) -> Identity | None:
    """Whose a study is; None where who came last under its number was erased."""
    try:
        return service.identities.unseal(study_uid, actor=actor)
    except NotThere:
        return None


def _answering(service: Service, reading: StoredReading, rows: Sequence[DicomObject]) -> Slice:
    """Where the answer came from: the image itself, or of a series the slice."""
    own = Slice(reading.image_sha256, reading.frame)
    if any(row.image_sha256 == reading.image_sha256 for row in rows):
        return own
    slices = service.dicom_series.slices(reading.image_sha256)
    return slices[reading.frame] if slices else own


def _kept(service: Service, reading: StoredReading, picture: Slice, actor: Actor) -> Dataset:
    service.readings.look_at_image(reading.id, actor=actor)
    data = service.images.image(picture.sha256)
    if data[128:132] != b"DICM":
        raise Conflict(
            f"reading {reading.id} is of a {reading.facts.get('format') or 'file'}, and what DICOM says of a result "
            "refers to DICOM objects alone; send the image as one"
        )
    return dcmread(io.BytesIO(data), stop_before_pixels=True, defer_size=4096)


def _pseudonymous(row: DicomObject) -> Instance:
    return Instance(
        sop_class_uid=row.sop_class,
        sop_instance_uid=row.sop_instance_uid,
        series_instance_uid=row.series_uid,
        series_number=row.series_number,
        instance_number=row.instance_number,
        modality=row.modality,
        rows=row.rows,
        columns=row.columns,
        n_frames=row.n_frames,
    )


def _told(identity: Identity, one: Instance) -> Dataset:
    """An object that is referred to: what makes the result part of its study. Text is UTF-8 (PS3.3 C.12.1.1.2)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientID = identity.patient_id
    ds.PatientName = ""  # of the result itself it is set at the end: names of one part alone are warned of on the way
    ds.PatientBirthDate = _digits(identity.patient_birth_date, 8)
    ds.PatientSex = identity.patient_sex if identity.patient_sex in ("M", "F", "O") else ""
    if identity.issuer_of_patient_id:
        ds.IssuerOfPatientID = identity.issuer_of_patient_id
    ds.StudyInstanceUID = identity.study_instance_uid
    ds.StudyID = identity.study_id
    ds.StudyDate = _digits(identity.study_date, 8)
    ds.StudyTime = _digits(identity.study_time, 6)
    ds.AccessionNumber = identity.accession_number
    ds.ReferringPhysicianName = identity.referring_physician_name
    if identity.study_description:
        ds.StudyDescription = identity.study_description
    ds.SeriesInstanceUID = one.series_instance_uid
    ds.SOPClassUID, ds.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    ds.Modality = one.modality or "OT"
    ds.Rows, ds.Columns = one.rows, one.columns
    if one.n_frames > 1:
        ds.NumberOfFrames = one.n_frames
    return ds


def _digits(text: str, n: int) -> str:
    """A date or time as far as it is one: what a scanner wrote wrongly is not written on."""
    found = text.strip().partition(".")[0]
    return found if len(found) == n and found.isascii() and found.isdigit() else ""


def identifying(actor: Actor) -> Actor:
    """The same with the right to see whose a study is; each look is in the trail under their name."""
    return replace(actor, scopes=actor.scopes | {IDENTIFY})
