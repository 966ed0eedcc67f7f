"""What is looked after beside the node: leases of long series, rows that nobody needs, and what people are told."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from secondread.dicom.arrivals import arrivals_of
from secondread.dicom.every import Every, beside_node
from secondread.dicom.node import Node
from secondread.dicom.rules import load_rules
from secondread.dicom.series import read_next
from secondread.errors import CannotOpen, Conflict
from secondread.service import LOCAL, NODE, Service, settings_from
from secondread.service.alert_channels import Webhook
from secondread.service.alerts import Alerts, AlertSettings
from secondread.service.dicom_tables import DicomObjectRow
from secondread.service.tables import now
from tests.dicom.scu import radiograph, send
from tests.dicom.slices import mr_slice, take
from tests.dicom.test_series import make_due, readings
from tests.several import bright_reader


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """The statements are those of tests/dicom/test_series.py and of tests/service, which have both databases."""
    return str(request.param)


def test_a_series_that_takes_longer_than_its_lease_is_read_by_one(service: Service) -> None:
    take(service, [mr_slice(number) for number in range(1, 4)])
    make_due(service)
    service.dicom_series.lease = timedelta(seconds=1.5)
    desk = service.desk(lambda *_: bright_reader("brain-tumour/best"))
    renewed, real, look = threading.Event(), service.dicom_series.renew, desk.look_at
    renewals: list[bool] = []

    def renew(claim: Any) -> bool:
        renewals.append(real(claim))
        if len(renewals) == 4:  # more than the lease has gone by
            renewed.set()
        return renewals[-1]

    def slow(*asked: Any) -> Any:
        assert renewed.wait(60)
        assert service.dicom_series.claim() is None, "another would have it by now"
        return look(*asked)

    service.dicom_series.renew, desk.look_at = renew, slow  # type: ignore[method-assign]
    assert read_next(service, desk, actor=NODE) is not None
    assert len(readings(service)) == 1
    assert all(renewals[:4])


def test_rows_of_what_was_ignored_go_with_retention_and_those_of_what_is_kept_stay(
    node: Node, service: Service
) -> None:
    send(node, radiograph(0), radiograph(1, Modality="CT"), radiograph(2, Manufacturer="secondread"))
    service.retention.apply(30, actor=LOCAL)
    assert len(service.dicom.latest()) == 3
    with service.database.begin() as session:
        session.execute(update(DicomObjectRow).values(received_at=now() - timedelta(days=31)))
    found = service.retention.apply(30, actor=LOCAL)
    assert found.objects == 2
    assert [row.state for row in service.dicom.latest()] == ["received"]
    [line] = service.trail.lines(action="dicom.forgotten")
    assert '"objects":2' in line["detail"]


def test_what_waits_is_told_once_by_however_many_processes(node: Node, service: Service) -> None:
    posted: list[str] = []

    class Told(Webhook):
        def send(self, what: str, body: dict[str, Any]) -> None:
            posted.append(what)

    send(node, radiograph())
    send(node, radiograph(PatientID="HOSP-9"))
    settings = AlertSettings(webhook=Told("http://127.0.0.1:1", b"x"), disk_bytes=0)
    both = [Alerts(service.database, service.folder, settings) for _ in range(2)]
    threads = [threading.Thread(target=one.step) for one in both for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert posted == ["correction:1"]


def test_the_node_tells_asks_archives_and_asks_the_worklist_where_the_settings_say_so(tmp_path: Any) -> None:
    given = {
        "DATA_FOLDER": str(tmp_path), "ALERT_WEBHOOK": "http://127.0.0.1:1/", "ALERT_WEBHOOK_SECRET": "x",
        "DICOM_PULL_FROM": "PACS@127.0.0.1:1, https://pacs.example/dicom-web", "DICOM_WORKLIST_FROM": "RIS@127.0.0.1:1",
    }  # fmt: skip
    for settings, n in ((given, 4), ({"DATA_FOLDER": str(tmp_path)}, 0)):
        service = Service.open(settings)
        try:
            arrivals = arrivals_of(service, load_rules())
            found = beside_node(service, arrivals, settings_from({}) | settings, stopping=threading.Event())
            assert len(found) == n
        finally:
            service.close()


def test_what_goes_wrong_once_is_tried_again() -> None:
    done, tries = threading.Event(), []

    def step() -> None:
        tries.append(1)
        if len(tries) <= 3:
            raise (CannotOpen("away"), Conflict("another"), ValueError("a defect"))[len(tries) - 1]
        done.set()

    every = Every("a test", 0.01, step)
    every.start()
    assert done.wait(30)
    every.close()
