"""Whose image it is: taken down only where the site wants it, seen on the report alone, gone with the image."""

import io
from datetime import timedelta

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import update

from secondread.errors import Conflict, NotThere, UsageError
from secondread.images.identity import identity_of
from secondread.service import PatientLine, Service, report_facts
from secondread.service.patient_lines import PatientLines
from secondread.service.tables import ImageRow, now
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

LINE = PatientLine("Doe, Jane", "A-17", "2026-03-01")


def _reading(service: Service, number: int = 0) -> int:
    sha = stage(service, image_bytes(number))
    return service.readings.add(draft(0.9, map_cells=None), image_sha256=sha, name="film.png", actor=ANNA)[0].id


def _lines(service: Service, mode: str = "typed") -> PatientLines:
    return PatientLines(service.database, service.images, mode)


def _sha(service: Service, reading: int) -> str:
    return service.readings.get(reading, actor=ANNA).image_sha256


def test_it_is_off_unless_a_setting_says_otherwise(service: Service) -> None:
    reading = _reading(service)
    assert report_facts(service, reading, actor=ANNA).patient is None
    with pytest.raises(Conflict, match="patient_line"):
        service.patient_lines.write(reading, LINE, actor=ANNA)
    with service.database.reading() as session:
        assert session.get_one(ImageRow, _sha(service, reading)).patient_line == {}


def test_what_was_typed_comes_back_and_the_trail_knows_only_that_it_was(service: Service) -> None:
    reading, lines = _reading(service), _lines(service)
    lines.write(reading, PatientLine("  Doe,  Jane\0 ", "A-17", "2026-03-01"), actor=ANNA)
    assert lines.of(_sha(service, reading)) == LINE
    (line,) = service.trail.lines(action="patient_line.typed")
    assert "patient" in line["detail"]
    assert "Doe" not in str(list(service.trail.lines()))
    assert "Doe" not in str(service.readings.get(reading, actor=ANNA).to_dict())
    lines.write(reading, PatientLine(), actor=ANNA)
    assert not lines.of(_sha(service, reading))


def test_switched_off_again_nothing_is_shown_and_all_can_be_erased(service: Service) -> None:
    reading, lines = _reading(service), _lines(service)
    lines.write(reading, LINE, actor=ANNA)
    assert service.patient_lines.of(_sha(service, reading)) is None
    assert (lines.erase_all(actor=ANNA), lines.erase_all(actor=ANNA)) == (1, 0)
    assert not lines.of(_sha(service, reading))


def test_retention_erases_it_with_the_image(service: Service) -> None:
    reading, lines = _reading(service), _lines(service)
    lines.write(reading, LINE, actor=ANNA)
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(received_at=now() - timedelta(days=31)))
    service.retention.apply(30, actor=ANNA)
    with service.database.reading() as session:
        assert session.get_one(ImageRow, _sha(service, reading)).patient_line == {}
    with pytest.raises(Conflict, match="erased"):
        lines.write(reading, LINE, actor=ANNA)


@pytest.mark.parametrize(
    ("line", "told"),
    [(PatientLine("x" * 65), "64"), (PatientLine(study_date="1.3.2026"), "2026-03-01")],
)
def test_a_wrong_part_is_told(service: Service, line: PatientLine, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        _lines(service).write(_reading(service), line, actor=ANNA)


def test_a_reading_that_is_not_there_has_none(service: Service) -> None:
    with pytest.raises(NotThere):
        _lines(service).write(7, LINE, actor=ANNA)


def test_an_unknown_mode_stops_the_start(service: Service) -> None:
    with pytest.raises(UsageError, match="off, typed, file"):
        _lines(service, "on")


def _dicom(**said: str) -> bytes:
    ds = dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientName, ds.PatientID, ds.AccessionNumber, ds.StudyDate = "Doe^Jane", "17", "A-17", "20260301"
    for name, value in said.items():
        setattr(ds, name, value)
    packed = io.BytesIO()
    ds.save_as(packed)
    return packed.getvalue()


def test_the_file_says_it_where_it_was_let_stay(service: Service) -> None:
    sha = service.images.add(_dicom())
    with service.database.begin() as session:
        session.add(ImageRow(sha256=sha, n_bytes=1, format="DICOM", warnings=[]))
    assert _lines(service, "file").of(sha) == PatientLine("Doe Jane (17)", "A-17", "2026-03-01")
    assert _lines(service).of(sha) == PatientLine()


def test_what_was_de_identified_or_is_no_dicom_names_nobody() -> None:
    assert identity_of(_dicom(PatientIdentityRemoved="YES")) == {}
    assert identity_of(image_bytes(1)) == {}
    assert identity_of(_dicom()[:300]) in ({}, {"StudyDate": "20260301"})
