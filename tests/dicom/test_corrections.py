"""An object that comes again under its number as another patient's: refused, told, and decided by a person."""

import json
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from click.testing import CliRunner

from secondread.cli.dicom import dicom
from secondread.dicom.node import Node
from secondread.dicom.outbox import enqueue
from secondread.dicom.results import make
from secondread.dicom.storing import DUPLICATE
from secondread.errors import Conflict, NotThere
from secondread.service import LOCAL, NODE, Service
from secondread.service.alert_channels import Webhook
from secondread.service.alerts import Alerts, AlertSettings
from tests.dicom.answered import answer
from tests.dicom.scu import Called, radiograph, send
from tests.dicom.test_two_people import patient_of

OTHER = {"PatientID": "HOSP-9", "PatientName": "Roe^Richard", "AccessionNumber": "ACC-9"}
PLACE = "ARCHIVE@127.0.0.1:1"


def read(service: Service) -> int:
    """Read what is due; the reading's number."""
    claim = service.dicom.claim()
    assert claim is not None
    stored = service.dicom.finish(claim, answer())
    assert stored is not None
    return stored.id


def whose(service: Service, number: int) -> tuple[Any, ...]:
    ds = make(service, number, "sr", actor=NODE, identified=True)
    return str(ds.PatientID), str(ds.PatientName), str(ds.AccessionNumber), str(ds.StudyInstanceUID)


@pytest.mark.parametrize("facts", [OTHER, {"StudyInstanceUID": "1.2.3.77"}])
def test_it_is_refused_and_the_first_stays_with_its_name(node: Node, service: Service, facts: dict[str, str]) -> None:
    send(node, radiograph())
    first = read(service)
    before = whose(service, first)
    [told] = send(node, radiograph(**facts))
    assert told == Called(DUPLICATE, "here as another patient's; an administrator decides")
    assert send(node, radiograph(**facts))[0].status == DUPLICATE  # again and again: one correction
    [one] = service.corrections.latest()
    assert (one.reading, one.calling_aet, one.state) == (first, "MODALITY", "open")
    assert whose(service, first) == before
    assert service.dicom.claim() is None
    assert len(list(service.trail.lines(action="dicom.conflict"))) == 1
    assert send(node, radiograph()) == [Called(0x0000)]  # the first, sent again, is as it was


def test_accepted_it_is_read_anew_under_its_own_name_and_its_results_go_out(node: Node, service: Service) -> None:
    send(node, radiograph())
    first = read(service)
    for row in enqueue(service, first, [PLACE]):
        service.dicom_exports.arrived(row.id)
    enqueue(service, first, ["OTHER@127.0.0.1:1"])
    send(node, radiograph(**OTHER))
    [one] = service.corrections.latest()
    left = service.corrections.accept(one.id, actor=LOCAL)
    assert {(row.destination, row.kind) for row in left} == {(PLACE, "sr"), (PLACE, "capture")}
    assert service.dicom_exports.counts() == {"waiting": 0, "sent": 2, "failed": 2}
    with pytest.raises(NotThere):
        service.readings.get(first, actor=LOCAL)
    second = read(service)
    assert second != first
    assert whose(service, second)[:3] == ("HOSP-9", "Roe^Richard", "ACC-9")
    assert patient_of(service, second) != ""
    assert service.corrections.latest() == []
    assert send(node, radiograph(**OTHER)) == [Called(0x0000)]
    with pytest.raises(Conflict, match="accepted"):
        service.corrections.accept(one.id, actor=LOCAL)
    [line] = service.trail.lines(action="dicom.correction_accepted")
    assert json.loads(line["detail"])["reading"] == first


def test_rejected_nothing_of_it_is_kept(node: Node, service: Service) -> None:
    send(node, radiograph())
    first = read(service)
    before = whose(service, first)
    kept = {path for path in service.folder.rglob("*") if path.is_file() and path.suffix != ".db-wal"}
    send(node, radiograph(**OTHER))
    [one] = service.corrections.latest()
    service.corrections.reject(one.id, actor=LOCAL)
    now = {path for path in service.folder.rglob("*") if path.is_file() and path.suffix != ".db-wal"}
    assert now - kept == set()
    assert whose(service, first) == before
    assert send(node, radiograph(**OTHER))[0].status == DUPLICATE
    assert service.corrections.latest() == []  # it was decided


def test_an_erasure_of_either_person_takes_what_waits(node: Node, service: Service) -> None:
    send(node, radiograph())
    first = read(service)
    send(node, radiograph(**OTHER))
    service.erasure.erase(patient=patient_of(service, first), actor=LOCAL)
    assert service.corrections.latest() == []


def test_it_is_told_once(node: Node, service: Service) -> None:
    alerts = Alerts(service.database, service.folder, AlertSettings(webhook=Webhook("http://127.0.0.1:1", b"x")))
    send(node, radiograph())
    send(node, radiograph(**OTHER))
    assert alerts.look() == 1
    assert alerts.look() == 0
    [told] = alerts.latest()
    [one] = service.corrections.latest()
    assert (told.what, told.body["correction"]) == (f"correction:{one.id}", one.id)
    assert not any(word in str(told.body) for word in ("Roe", "HOSP", "ACC"))


def test_the_commands_list_and_decide(node: Node, service: Service) -> None:
    if not service.database.is_sqlite:
        pytest.skip("the commands find SQLite in the folder")
    send(node, radiograph())
    first = read(service)
    send(node, radiograph(**OTHER))
    where = ["--data-folder", str(service.folder)]
    listed = CliRunner().invoke(dicom, ["corrections", *where])
    assert f"reading {first}" in listed.output
    done = CliRunner().invoke(dicom, ["correct", "1", "--accept", *where])
    assert (done.exit_code, "accepted" in done.output) == (0, True), done.output
    assert "no object waits" in CliRunner().invoke(dicom, ["corrections", *where]).output
    assert isinstance(CliRunner().invoke(dicom, ["correct", "9", "--reject", *where]).exception, NotThere)
