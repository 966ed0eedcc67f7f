"""Results of readings as DICOM objects of the study the images came from; the originals are never changed."""

import io

from pydicom import dcmread
from pydicom.dataset import Dataset

from secondread.dicom.results.source import (
    CAPTURE,
    GSPS,
    KINDS,
    MAP,
    SOP_CLASSES,
    SR,
    Source,
    identifying,
    kinds_of,
    result_uid,
    source_of,
)
from secondread.errors import ExtraMissing, NotThere
from secondread.images import decode
from secondread.reading import HeatMap
from secondread.service import Actor, Service, bundle_of

__all__ = [
    "CAPTURE",
    "GSPS",
    "KINDS",
    "MAP",
    "SOP_CLASSES",
    "SR",
    "Source",
    "identifying",
    "kinds_of",
    "make",
    "make_file",
    "result_uid",
    "source_of",
]


def make(service: Service, reading_id: int, kind: str, *, actor: Actor, identified: bool) -> Dataset:
    """One result of a reading. Made again it is the same, with the same UID.

    kind: of KINDS. identified: as of `source_of`, which says what is raised; besides NotThere where there is nothing of
    that kind, an ImageError where the image cannot be decoded any more, and ExtraMissing.
    """
    try:
        from secondread.dicom.results.capture import presentation_state, secondary_capture
        from secondread.dicom.results.common import moment_of
        from secondread.dicom.results.parametric import parametric_map
        from secondread.dicom.results.picture import result_picture
        from secondread.dicom.results.report import structured_report
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("writing results as DICOM objects", "dicom") from error
    source = source_of(service, reading_id, actor=actor, identified=identified)
    if kind not in kinds_of(source.reading, KINDS):
        raise NotThere(f"of reading {reading_id} there is no '{kind}': nothing could be decoded, or it was not read")
    zone = service.zone
    if kind == SR:
        return structured_report(source, zone=zone)
    bundle = bundle_of(source.reading)
    lesions = bundle is not None and bundle.maps_lesions
    heatmap = _map_to_draw(service, source)
    if kind == MAP:
        if heatmap is None:
            raise NotThere(f"reading {reading_id} has no heat map to send: it is negative, or its bundle draws none")
        geometry = _geometry_in(service.images.image(source.picture.sha256))
        return parametric_map(source, heatmap, geometry, zone=zone)
    if kind == CAPTURE:
        service.readings.look_at_image(reading_id, actor=actor)
        image = decode(service.images.image(source.picture.sha256), frame=source.picture.frame, limits=service.limits)
        pixels = result_picture(source, image, heatmap, moment=moment_of(source, zone), maps_lesions=lesions)
        return secondary_capture(source, pixels, zone=zone)
    state = presentation_state(source, heatmap, maps_lesions=lesions, zone=zone)
    if state is None:
        raise NotThere(f"reading {reading_id} has neither boxes nor outlines to lay over its image")
    return state


def make_file(service: Service, reading_id: int, kind: str, *, actor: Actor, identified: bool = False) -> bytes:
    """The same as the bytes of a DICOM file."""
    target = io.BytesIO()
    made = make(service, reading_id, kind, actor=actor, identified=identified)
    made.save_as(target, enforce_file_format=True)
    return target.getvalue()


def _geometry_in(data: bytes) -> Dataset | None:
    """The header of a kept file, where it says how its one frame lies in the patient; else None."""
    ds = dcmread(io.BytesIO(data), stop_before_pixels=True) if data[128:132] == b"DICM" else Dataset()
    lengths = {"PixelSpacing": 2, "ImageOrientationPatient": 6, "ImagePositionPatient": 3}
    whole = all(len(ds.get(name) or ()) == n for name, n in lengths.items())
    return ds if whole and int(ds.get("NumberOfFrames") or 1) == 1 else None


def _map_to_draw(service: Service, source: Source) -> HeatMap | None:
    """As on the report: not on a negative, where colours would show nothing that decided."""
    if source.reading.decision not in ("positive", "uncertain"):
        return None
    return service.readings.cells(source.reading)
