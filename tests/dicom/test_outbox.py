"""Results on their way: to a node and to a DICOMweb server, through refusals, absences and kills, each object once."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from sqlalchemy import update

from secondread.dicom.node import Node
from secondread.dicom.outbox import enqueue, send_due
from secondread.errors import ExtraMissing, ServiceError, UsageError
from secondread.service import LOCAL, Service
from secondread.service.dicom_tables import DicomExportRow
from secondread.service.outgoing import waiting_time
from secondread.service.tables import now
from tests.dicom.answered import WHO, answer, answered, sent
from tests.dicom.scu import Called, send
from tests.dicom.test_commitment_and_tls import certificate

pytestmark = [  # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Archive:
    """An archive that keeps by SOP instance UID, as archives do, and counts what came."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.came: list[str] = []
        self.told: list[str | None] = []  # who they are, as senders by STOW-RS say
        self.status = 0x0000

    def take(self, ds: Any) -> int:
        """Keep it, unless told to refuse."""
        self.came.append(str(ds.SOPInstanceUID))
        if self.status == 0x0000:
            self.kept[str(ds.SOPInstanceUID)] = ds
        return self.status


@contextmanager
def listening(archive: Archive, *classes: str, syntax: str = ExplicitVRLittleEndian) -> Iterator[str]:
    """A C-STORE provider of these classes on a free port; where it is."""
    ae = AE("ARCHIVE")
    for one in classes or (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
        ae.add_supported_context(one, syntax)

    def stored(event: Any) -> int:
        return archive.take(event.dataset)

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, stored)])
    try:
        yield f"ARCHIVE@127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()


@contextmanager
def serving(
    archive: Archive,
    status: int = 200,
    *,
    answer: bytes = b"{}",
    kind: str = "application/dicom+json",
    tls: tuple[Path, Path] | None = None,
) -> Iterator[str]:
    """A STOW-RS server that keeps, and answers, in words of that media type; where it is. tls: certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            archive.told.append(self.headers.get("Authorization"))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while n := int(self.rfile.readline(), 16):
                    body += self.rfile.read(n)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            if status == 200:
                start = body.index(b"DICM") - 128
                archive.take(dcmread(BytesIO(body[start:]), force=True, stop_before_pixels=True))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def states(service: Service) -> list[str]:
    """Of all rows, the oldest first."""
    return [row.state for row in reversed(service.dicom_exports.latest())]


def make_due(service: Service) -> None:
    """As if the time until the next attempt had passed."""
    with service.database.begin() as session:
        session.execute(update(DicomExportRow).values(next_attempt_at=now()))


def test_report_and_picture_arrive_in_the_study_they_came_from(service: Service) -> None:
    archive = Archive()
    number = answered(service, answer())
    with listening(archive) as place:
        enqueue(service, number, [place])
        assert send_due(service) == 2
    assert {ds.SOPClassUID for ds in archive.kept.values()} == {ComprehensiveSRStorage, SecondaryCaptureImageStorage}
    for ds in archive.kept.values():
        assert (ds.StudyInstanceUID, ds.PatientID, ds.AccessionNumber) == (
            WHO["StudyInstanceUID"], WHO["PatientID"], WHO["AccessionNumber"],
        )  # fmt: skip
    assert states(service) == ["sent", "sent"]
    told = [line["subject"] for line in service.trail.latest() if line["action"] == "dicom.sent"]
    assert told == [f"reading:{number}"] * 2


def test_they_arrive_by_stow_too(service: Service) -> None:
    archive = Archive()
    with serving(archive) as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service) == 2
    assert len(archive.kept) == 2
    assert states(service) == ["sent", "sent"]


def test_who_we_are_is_told_a_dicomweb_server(service: Service) -> None:
    archive = Archive()
    account = {"DICOM_WEB_USER": "anna", "DICOM_WEB_PASSWORD": "pass:word"}
    with serving(archive) as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service, account) == 2
    assert archive.told == ["Basic " + base64.b64encode(b"anna:pass:word").decode()] * 2


def test_a_page_is_no_word_of_an_archive(service: Service) -> None:
    """A proxy that asks for a login answers with status 200, too."""
    archive = Archive()
    with serving(archive, answer=b"<html>log in</html>", kind="text/html; charset=utf-8") as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service) == 0
    assert states(service) == ["waiting", "waiting"]
    assert all("look at the address" in row.last_error for row in service.dicom_exports.latest())


def test_what_a_dicomweb_server_says_it_did_not_keep_has_failed(service: Service) -> None:
    failed = json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}).encode()
    with serving(Archive(), answer=failed, kind="application/dicom+json; charset=utf-8") as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service) == 0
    assert states(service) == ["failed", "failed"]


@pytest.mark.parametrize("way", ["named", "of this machine", "of nobody"])
def test_a_dicomweb_server_is_believed_whose_certificate_is(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    own = certificate(tmp_path, "archive")
    settings = {"DICOM_TLS_ARCHIVE_CA": str(own[0])} if way == "named" else {}
    if way == "of this machine":
        monkeypatch.setenv("SSL_CERT_FILE", str(own[0]))
    archive = Archive()
    with serving(archive, tls=own) as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service, settings) == (0 if way == "of nobody" else 2)
    if way == "of nobody":
        assert archive.told == []
        assert all("SSLError" in row.last_error for row in service.dicom_exports.latest())


def test_handed_on_twice_they_go_once(service: Service) -> None:
    archive = Archive()
    number = answered(service, answer())
    with listening(archive) as place:
        first = enqueue(service, number, [place])
        assert [row.id for row in enqueue(service, number, [place, place])] == [row.id for row in first]
        send_due(service)
        enqueue(service, number, [place])
        assert send_due(service) == 0
    assert len(archive.came) == 2


def test_sent_again_by_hand_the_archive_has_them_once(service: Service) -> None:
    archive = Archive()
    number = answered(service, answer())
    with listening(archive) as place:
        for again in (False, True, True):
            enqueue(service, number, [place], again=again)
            assert send_due(service) == 2
    assert (len(archive.came), len(archive.kept)) == (6, 2)


def test_killed_between_sending_and_noting_it_the_archive_has_them_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive()
    with listening(archive) as place:
        enqueue(service, answered(service, answer()), [place])

        class Killed(BaseException):
            pass

        def killed(number: int) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(service.dicom_exports, "arrived", killed)
            with pytest.raises(Killed):
                send_due(service)
        assert send_due(service) == 0  # the lease of the killed one runs still
        make_due(service)
        assert send_due(service) == 2
    assert states(service) == ["sent", "sent"]
    assert len(archive.kept) == 2


def test_an_archive_that_is_away_is_tried_again_later_and_later(service: Service) -> None:
    with listening(Archive()) as place:
        pass  # a port where nobody listens any more
    enqueue(service, answered(service, answer()), [place])
    assert send_due(service) == 0
    first = service.dicom_exports.latest()
    assert {(row.state, row.attempts) for row in first} == {("waiting", 1)}
    assert all(row.last_error and row.next_attempt_at > now() for row in first)
    make_due(service)
    send_due(service)
    assert {row.attempts for row in service.dicom_exports.latest()} == {2}


def test_waiting_doubles_up_to_an_hour() -> None:
    waits = [waiting_time(attempts).total_seconds() for attempts in range(1, 40)]
    assert waits == sorted(waits)
    assert all(after == 2 * before or after == 3600 for before, after in pairwise(waits))
    assert (waits[0], waits[-1]) == (15, 3600)


def test_one_that_is_away_does_not_keep_another_waiting(service: Service) -> None:
    archive = Archive()
    with listening(Archive()) as away:
        pass
    with listening(archive) as here:
        enqueue(service, answered(service, answer()), [away, here])
        send_due(service)
        assert send_due(service) + len(archive.kept) >= 2
    assert len(archive.kept) == 2


@pytest.mark.parametrize(
    ("status", "state"), [(0xA700, "waiting"), (0x0110, "waiting"), (0xA900, "failed"), (0xC000, "failed")]
)
def test_a_refusal_is_final_unless_the_archive_is_in_trouble_itself(service: Service, status: int, state: str) -> None:
    archive = Archive()
    archive.status = status
    with listening(archive) as place:
        enqueue(service, answered(service, answer()), [place])
        send_due(service)
    assert states(service) == [state, state]
    assert all(f"{status:04X}" in row.last_error for row in service.dicom_exports.latest())


@pytest.mark.parametrize(("status", "state"), [(503, "waiting"), (401, "waiting"), (400, "failed"), (409, "failed")])
def test_of_http_too(service: Service, status: int, state: str) -> None:
    with serving(Archive(), status) as place:
        enqueue(service, answered(service, answer()), [place])
        send_due(service)
    assert states(service) == [state, state]


def test_an_archive_that_takes_no_reports_gets_the_picture(service: Service) -> None:
    archive = Archive()
    with listening(archive, SecondaryCaptureImageStorage) as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service) == 1
    assert sorted(states(service)) == ["failed", "sent"]


def test_an_archive_that_speaks_the_default_syntax_alone_gets_both(service: Service) -> None:
    archive = Archive()
    with listening(archive, syntax=ImplicitVRLittleEndian) as place:
        enqueue(service, answered(service, answer()), [place])
        assert send_due(service) == 2
    assert [str(ds.PatientName) for ds in archive.kept.values()] == [WHO["PatientName"]] * 2


def test_what_was_erased_meanwhile_is_not_sent(service: Service) -> None:
    archive = Archive()
    number = answered(service, answer())
    with listening(archive) as place:
        enqueue(service, number, [place])
        service.readings.delete([number], actor=LOCAL)
        assert send_due(service) == 0
    assert archive.came == []
    assert states(service) == ["failed", "failed"]


def test_a_study_that_cannot_be_written_keeps_nothing_else_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive()
    bad = answered(service, answer())
    good = answered(service, answer(), data=sent(SOPInstanceUID="1.2.3.4"))
    from secondread.dicom import outbox

    real = outbox.make

    def make(service: Service, number: int, *more: Any, **options: Any) -> Any:
        if number == bad:
            raise ValueError("a value that may not be written")
        return real(service, number, *more, **options)

    monkeypatch.setattr(outbox, "make", make)
    with listening(archive) as place:
        for number in (bad, good):
            enqueue(service, number, [place])
        assert send_due(service) == 2
    assert states(service) == ["failed", "failed", "sent", "sent"]


@pytest.mark.parametrize("error", [ServiceError("sealed with another key"), ExtraMissing("install highdicom")])
def test_what_an_administrator_can_mend_waits_for_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    archive = Archive()
    with listening(archive) as place:
        enqueue(service, answered(service, answer()), [place])
        with monkeypatch.context() as patch:
            patch.setattr("secondread.dicom.outbox.make", Mock(side_effect=error))
            assert send_due(service) == 0
        assert [(row.state, row.last_error) for row in service.dicom_exports.latest()] == [("waiting", str(error))] * 2
        make_due(service)
        assert send_due(service) == 2


@pytest.mark.parametrize("place", ["A@127.0.0.1:1", "https://127.0.0.1:1/dicom-web"])
def test_certificates_that_cannot_be_used_are_said_with_the_result(
    service: Service, tmp_path: Path, place: str
) -> None:
    enqueue(service, answered(service, answer()), [place])
    assert send_due(service, {"DICOM_SEND_TLS": "on", "DICOM_TLS_CA": str(tmp_path / "none.pem")}) == 0
    assert all("dicom_tls_" in row.last_error for row in service.dicom_exports.latest())
    assert states(service) == ["waiting", "waiting"]


def test_a_result_that_comes_back_under_another_makers_name_is_not_read(service: Service, node: Node) -> None:
    archive = Archive()
    with listening(archive) as place:
        enqueue(service, answered(service, answer()), [place])
        send_due(service)
    [picture] = [ds for ds in archive.kept.values() if ds.SOPClassUID == SecondaryCaptureImageStorage]
    picture.Manufacturer = "a router"
    picture.file_meta = FileMetaDataset()
    picture.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    assert send(node, picture) == [Called(0x0000)]
    newest = service.dicom.latest()[0]
    assert (newest.state, newest.reason) == ("ignored", "a result of this program")


def test_what_goes_back_is_a_setting(service: Service) -> None:
    number = answered(service, answer())
    kinds = {row.kind for row in enqueue(service, number, ["A@127.0.0.1:1"], settings={"DICOM_RESULTS": "sr"})}
    assert kinds == {"sr"}


def test_where_it_goes_must_be_a_place(service: Service) -> None:
    with pytest.raises(UsageError, match="destination"):
        enqueue(service, answered(service, answer()), ["somewhere"])
    assert states(service) == []
