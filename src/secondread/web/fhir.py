"""A reading for other programs of a hospital: as HL7 FHIR R4 resources, and as DICOM objects; both under pseudonyms.

Nobody who asks over the network is told whose a study was where it came from: what is linked back goes to the archives
that are set, and nowhere else.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid5

from apiflask import APIBlueprint, Schema
from apiflask.validators import OneOf
from flask import Response, current_app

from secondread import __version__
from secondread.errors import ExtraMissing, ImageError, NotThere
from secondread.service import StoredReading, check_shown
from secondread.tasks import Task, list_tasks, task_named
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.document import other
from secondread.web.shapes import Text, said

results = APIBlueprint("results", __name__, url_prefix="/api/v1", tag="results")
RESULTS = "secondread.results"  # of an application's extensions: what makes DICOM objects, where that is installed
MakeResult = Callable[..., bytes]  # of service, number of a reading, kind, and actor= who asks

_ROOT = UUID("0c7f4a52-0f5b-5a41-8a43-6f0d0f2d5c11")
_SCT = "http://snomed.info/sct"
_UCUM = "http://unitsofmeasure.org"
_CAVEAT = "Assists a qualified reader; secondread is no medical device. Preliminary: nobody has confirmed it."
_CATEGORIES = {
    "DiagnosticReport": ("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology"),
    "Observation": ("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging"),
}
_DECISIONS = {  # decision → SNOMED CT, and HL7's ObservationInterpretation
    "positive": (("10828004", "Positive"), ("POS", "Positive")),
    "negative": (("260385009", "Negative"), ("NEG", "Negative")),
    "uncertain": (("42425007", "Equivocal"), ("IND", "Indeterminate")),
}

_BUNDLE: Any = {
    200: {
        "description": "A Bundle of a DiagnosticReport, its Observation and the Device that made it (FHIR R4)",
        "content": {"application/fhir+json": {"schema": {"type": "object"}}},
    }
}


class DicomQuery(Schema):
    """Which object is asked for."""

    kind = Text(
        load_default="sr",
        validate=OneOf(["sr", "capture"]),
        metadata=said("sr: a structured report (TID 1500); capture: a picture with what was found"),
    )


@results.get("/readings/<int:reading_id>/fhir")
@require("read")
@results.doc(
    summary="Tell a reading in FHIR",
    operation_id="getFhir",
    responses=_BUNDLE,
)
def fhir(reading_id: int) -> Response:
    """Answer with the reading as resources of HL7 FHIR R4, under the pseudonyms of patient and study."""
    reading = service().readings.get(reading_id, actor=current_actor())
    check_shown(reading)
    patient, study = service().dicom_exports.stand_ins_of(reading)
    body = current_app.json.dumps(fhir_of(reading, patient=patient, study=study))
    return Response(body, content_type="application/fhir+json")


@results.get("/readings/<int:reading_id>/dicom")
@require("read")
@results.input(DicomQuery, location="query")
@results.doc(
    summary="Write a reading as a DICOM object",
    operation_id="getDicom",
    responses=other("application/dicom", "A DICOM file, under the pseudonyms that the image is kept under"),
)
def dicom(reading_id: int, query_data: dict[str, Any]) -> Response:
    """Answer with a structured report or a picture. 404 where there is none: a refused image may have no picture.

    It names patient and study by pseudonyms, as the kept file does, whoever asks; what goes to an archive names them as
    they were sent (see `secondread dicom send`). 409 where the image is no DICOM object.
    """
    kind, actor = query_data["kind"], current_actor()
    service().readings.get(reading_id, actor=actor)
    make: MakeResult | None = current_app.extensions.get(RESULTS)
    if make is None:
        raise ExtraMissing.of("writing results as DICOM objects", "dicom")
    try:
        data = make(service(), reading_id, kind, actor=actor)
    except ImageError as error:
        raise NotThere(f"there is no picture of this reading: {error}") from error
    headers = {"Content-Disposition": f'attachment; filename="{reading_id}-{kind}.dcm"'}
    return Response(data, content_type="application/dicom", headers=headers)


def fhir_of(reading: StoredReading, *, patient: str, study: str) -> dict[str, Any]:
    """A Bundle of R4 resources. patient, study: pseudonyms, '' where there is none."""
    task = task_named(reading.task) if reading.task in list_tasks() else None
    device, observation = _device(reading), _observation(reading, task, patient)
    observation["device"] = {"reference": _url(reading, "Device")}
    report = _report(reading, task, patient, study)
    report["result"] = [{"reference": _url(reading, "Observation")}]
    resources = (report, observation, device)
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": reading.created_at.isoformat(),
        "entry": [{"fullUrl": _url(reading, one["resourceType"]), "resource": one} for one in resources],
    }


def _report(reading: StoredReading, task: Task | None, patient: str, study: str) -> dict[str, Any]:
    conclusion = reading.refusal_message or reading.decision_text
    return _common("DiagnosticReport", reading, patient) | {
        "code": _concept("http://loinc.org", "18748-4", "Diagnostic imaging study", text=task.question if task else ""),
        **(
            {"imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}}]}
            if study
            else {}
        ),
        "conclusion": " ".join(filter(None, [f"{conclusion}." if conclusion else "", _CAVEAT])),
    }


def _observation(reading: StoredReading, task: Task | None, patient: str) -> dict[str, Any]:
    found = _common("Observation", reading, patient) | {"code": _asked(task)}
    found["note"] = [{"text": text} for text in (*reading.warnings, _CAVEAT)]
    if reading.refusal_code:
        found["dataAbsentReason"] = _concept(
            "http://terminology.hl7.org/CodeSystem/data-absent-reason", "error", "Error",
            text=f"{reading.refusal_code}: {reading.refusal_message}",
        )  # fmt: skip
        return found
    (code, meaning), (short, interpretation) = _DECISIONS[reading.decision]
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    return found | {
        "valueCodeableConcept": _concept(_SCT, code, meaning, text=reading.decision_text or meaning),
        "interpretation": [_concept(system, short, interpretation)],
        "component": list(_components(reading)),
    }


def _components(reading: StoredReading) -> Iterator[dict[str, Any]]:
    numbers = {"probability": reading.probability, "score, 0 to 100": reading.score, "threshold": reading.threshold}
    for name, value in numbers.items():
        if value is not None:
            yield {"code": {"text": name}, "valueQuantity": {"value": value, "system": _UCUM, "code": "1"}}
    yield {"code": {"text": "operating point"}, "valueString": reading.operating_point}
    for one in reading.findings or ():
        box = ", ".join(f"{side:g}" for side in one["box"])
        yield {
            "code": {"text": "box: x, y, width, height in pixels of the image"},
            "valueString": f"{box} (score {one['score']:g})",
        }


def _device(reading: StoredReading) -> dict[str, Any]:
    versions = [{"value": __version__}, *([{"value": reading.bundle_sha256}] if reading.bundle_sha256 else [])]
    return {
        "resourceType": "Device",
        "manufacturer": "secondread",
        "deviceName": [{"name": reading.bundle or "secondread", "type": "model-name"}],
        "version": versions,
        "type": {"text": "software that reads medical images"},
    }


def _common(kind: str, reading: StoredReading, patient: str) -> dict[str, Any]:
    """What report and observation share. A refusal is 'cancelled': not completed, and nothing follows from it."""
    found: dict[str, Any] = {
        "resourceType": kind,
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": _url(reading, kind)}],
        "status": "cancelled" if reading.refusal_code else "preliminary",
        "category": [_concept(*_CATEGORIES[kind])],
        "issued": reading.created_at.isoformat(),
    }
    return found | (
        {"subject": {"identifier": {"system": "urn:secondread:patient", "value": patient}}} if patient else {}
    )


def _asked(task: Task | None) -> dict[str, Any]:
    """What was asked about: in SNOMED CT where the task's file says so."""
    if task is None:
        return {"text": "no task was found for this image"}
    if len(task.coded) == 3 and task.coded[1] == "SCT":
        return _concept(_SCT, task.coded[0], task.coded[2], text=task.title)
    return {"text": task.title}


def _concept(system: str, code: str, display: str, *, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]} | ({"text": text} if text else {})


def _url(reading: StoredReading, kind: str) -> str:
    """The same for the same answer, whoever asks and whenever."""
    parts = (kind, reading.image_sha256, reading.frame, reading.bundle_sha256, reading.point_key, reading.refusal_code)
    return f"urn:uuid:{uuid5(_ROOT, '|'.join(map(str, parts)))}"
