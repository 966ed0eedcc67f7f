"""A site's worklist: asked, shown without names, kept sealed, and linked to what arrives."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from click.testing import CliRunner
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, evt

from secondread.cli.dicom import dicom
from secondread.dicom.classes import WORKLIST
from secondread.dicom.destinations import Destination
from secondread.dicom.results import make
from secondread.dicom.worklist import Worklist
from secondread.errors import CannotOpen
from secondread.service import LOCAL, NODE, Service
from tests.dicom.answered import WHO, answer, answered, sent
from tests.dicom.test_two_people import patient_of

DAY = date(2026, 3, 1)


def scheduled(number: int = 1, **facts: Any) -> Dataset:
    """What a worklist says of one step."""
    ds, step = Dataset(), Dataset()
    ds.AccessionNumber, ds.PatientID, ds.PatientName = f"ACC-{number}", "P-123", "Doe^Jane"
    ds.RequestedProcedureID, ds.RequestedProcedureDescription = f"RP{number}", "Chest, two views"
    ds.StudyInstanceUID, ds.IssuerOfPatientID = f"1.2.3.{number}", ""
    step.Modality, step.ScheduledStationAETitle, step.ScheduledProcedureStepID = "DX", "XRAY1", f"SPS{number}"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260301", f"0{number}3000"
    step.ScheduledProcedureStepDescription = "Thorax PA"
    for keyword, value in facts.items():
        setattr(ds, keyword, value)
    ds.ScheduledProcedureStepSequence = Sequence([step])
    return ds


@contextmanager
def worklist(*steps: Dataset, status: int = 0x0000) -> Iterator[tuple[Worklist, list[Dataset]]]:
    """One on a free port, and what it was asked."""
    asked: list[Dataset] = []

    def found(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier)
        for step in steps:
            yield 0xFF00, step
        yield status, None

    ae = AE("RIS")
    ae.add_supported_context(WORKLIST)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, found)])
    try:
        yield Worklist(Destination("RIS", "127.0.0.1", server.socket.getsockname()[1]), "SECONDREAD", zone=UTC), asked
    finally:
        server.shutdown()


def test_what_is_scheduled_is_told_in_its_order_and_asked_for_by_day() -> None:
    with worklist(scheduled(2), scheduled(1)) as (place, asked):
        found = place.orders(since=DAY, until=DAY, modality="DX")
    assert [(one.accession_number, one.requested_procedure_id) for one in found] == [("ACC-1", "RP1"), ("ACC-2", "RP2")]
    assert f"{found[0].scheduled_at:%H:%M}" == "01:30"
    [question] = asked
    [step] = question.ScheduledProcedureStepSequence
    assert (step.ScheduledProcedureStepStartDate, step.Modality) == ("20260301", "DX")


def test_a_worklist_that_cannot_be_used_says_so() -> None:
    with worklist(status=0xA700) as (place, _), pytest.raises(CannotOpen, match="A700"):
        place.orders(since=DAY, until=DAY)


@pytest.mark.parametrize("by", ["study", "accession number"])
def test_a_result_names_the_order_that_its_study_was_made_for(service: Service, by: str) -> None:
    order = scheduled(StudyInstanceUID=WHO["StudyInstanceUID"] if by == "study" else "")
    with worklist(order) as (place, _):
        found = place.orders(since=DAY, until=DAY)
    assert service.orders.keep(found, worklist="RIS", actor=NODE) == 1
    assert service.orders.keep(found, worklist="RIS", actor=NODE) == 0  # asked again: the same
    assert service.orders.counts() == {"scheduled": 1, "arrived": 0}
    number = answered(service, answer(), data=sent(AccessionNumber="" if by == "study" else "ACC-1"))
    assert service.orders.counts() == {"scheduled": 1, "arrived": 1}
    ds = make(service, number, "sr", actor=NODE, identified=True)
    assert ds.AccessionNumber == "ACC-1"
    [request] = ds.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "ACC-1")
    assert request.RequestedProcedureDescription == "Chest, two views"


def test_an_order_is_of_nobody_else_with_the_same_accession_number(service: Service) -> None:
    with worklist(scheduled(StudyInstanceUID="", PatientID="P-9")) as (place, _):
        service.orders.keep(place.orders(since=DAY, until=DAY), worklist="RIS", actor=NODE)
    ds = make(service, answered(service, answer()), "sr", actor=NODE, identified=True)
    assert "ReferencedRequestSequence" not in ds
    assert service.orders.counts()["arrived"] == 0


def test_nothing_that_is_kept_of_it_names_anyone_and_an_erasure_takes_it(service: Service) -> None:
    with worklist(scheduled()) as (place, _):
        service.orders.keep(place.orders(since=DAY, until=DAY), worklist="RIS", actor=NODE)
    number = answered(service, answer())
    service.database.settle()
    for path in service.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(word in data for word in (b"Doe", b"P-123", b"ACC-1", b"RP1", b"two views")), path
    service.erasure.erase(patient=patient_of(service, number), actor=LOCAL)
    assert service.orders.counts()["scheduled"] == 0


def test_the_command_shows_no_names_unless_it_is_told_to(service: Service) -> None:
    if not service.database.is_sqlite:
        pytest.skip("the commands find SQLite in the folder")
    with worklist(scheduled()) as (place, _):
        where = ["worklist", "--from", str(place.place), "--since", "2026-03-01", "--data-folder", str(service.folder)]
        plain = CliRunner().invoke(dicom, [*where, "--keep"])
        named = CliRunner().invoke(dicom, [*where, "--identified", "--json"])
    assert plain.exit_code == 0, plain.output
    assert "ACC-1" in plain.output
    assert "1 scheduled, 1 of them kept anew" in plain.output
    assert "Doe" not in plain.output
    assert json.loads(named.output.splitlines()[0])["patient_name"] == "Doe^Jane"
    assert [json.loads(line["detail"])["identified"] for line in service.trail.lines(action="worklist.seen")] == [
        False,
        True,
    ]
