"""Alerts: each told once, signed or encrypted, again until it arrives, and of nobody."""

import json
import shutil
import ssl
import subprocess
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from secondread.errors import UsageError
from secondread.service import LOCAL, NewItem, ReadingRequest, Service, settings_from
from secondread.service.alert_channels import signature
from secondread.service.alerts import Alerts, AlertSettings
from secondread.service.dicom_tables import AlertRow, DicomExportRow, DicomObjectRow
from secondread.service.tables import BatchRow, now
from tests.service.stubs import draft, image_bytes, stage

SECRET = "of this house"
Usage = namedtuple("Usage", "total used free")
Post = namedtuple("Post", "path headers body")


@contextmanager
def receiving(statuses: list[int] | None = None) -> Iterator[tuple[str, list[Post]]]:
    """A web server that answers with these statuses in turn, then 200; its address and what came."""
    came: list[Post] = []
    left = list(statuses or ())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(Post(self.path, dict(self.headers), body))
            status = left.pop(0) if left else 200
            self.send_response(status)
            if status in (301, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/alerts", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def alerts_of(service: Service, **settings: Any) -> Alerts:
    """Settings by name in lower case."""
    use = settings_from({}) | {"ALERT_DISK_MB": 0, "ALERT_WEBHOOK_SECRET": SECRET}
    use |= {f"ALERT_{name.upper()}": value for name, value in settings.items()}
    return Alerts(service.database, service.folder, AlertSettings.of(use))


def read(service: Service, probability: float, number: int = 0) -> int:
    """A reading of an image."""
    sha256 = stage(service, image_bytes(number))
    kept, _ = service.readings.add(draft(probability), image_sha256=sha256, name="Jane Doe.png", actor=LOCAL)
    return kept.id


def make_due(service: Service) -> None:
    """As if the time until the next attempt had passed."""
    with service.database.begin() as session:
        session.execute(update(AlertRow).values(next_attempt_at=now()))


def test_a_positive_from_the_level_on_is_told_once(service: Service) -> None:
    with receiving() as (url, came):
        alerts = alerts_of(service, webhook=url, score=90)
        number = read(service, 0.93)
        read(service, 0.6, 1)
        read(service, 0.2, 2)
        assert alerts.step() == 1
        assert alerts.step() == 0
        assert alerts_of(service, webhook=url, score=90).step() == 0  # another process, or after a restart
    [post] = came
    told = json.loads(post.body)
    assert (told["event"], told["reading"], told["probability"]) == ("positive", number, 0.93)


def test_a_post_is_signed_and_names_nobody(service: Service) -> None:
    with receiving() as (url, came):
        read(service, 0.93)
        alerts_of(service, webhook=url, score=50).step()
    [post] = came
    sign = post.headers["Secondread-Signature"]
    at = int(sign.partition(",")[0].removeprefix("t="))
    assert sign == signature(SECRET.encode(), post.body, at=at)
    assert sign != signature(b"another", post.body, at=at)
    assert sign != signature(SECRET.encode(), post.body + b" ", at=at)
    assert set(json.loads(post.body)) == {
        "id", "event", "reading", "task", "bundle", "operating_point", "probability", "at",
    }  # fmt: skip
    assert b"Doe" not in post.body


def test_one_that_did_not_arrive_is_sent_again(service: Service) -> None:
    with receiving([503, 429]) as (url, came):
        alerts = alerts_of(service, webhook=url, score=50)
        read(service, 0.93)
        assert alerts.step() == 0
        assert alerts.step() == 0  # not yet
        assert len(came) == 1
        for arrived in (0, 1):
            make_due(service)
            assert alerts.step() == arrived
    assert len({post.body for post in came}) == 1
    assert alerts.counts() == {"waiting": 0, "sent": 1, "failed": 0}


@pytest.mark.parametrize("status", [301, 307, 400])
def test_no_redirection_is_followed_and_a_refusal_is_final(service: Service, status: int) -> None:
    with receiving([status]) as (url, came):
        read(service, 0.93)
        alerts = alerts_of(service, webhook=url, score=50)
        alerts.step()
        make_due(service)
        alerts.step()
    assert [post.path for post in came] == ["/alerts"]
    assert alerts.counts()["failed"] == 1


def test_no_proxy_of_the_environment_is_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with receiving() as (url, came):
        read(service, 0.93)
        assert alerts_of(service, webhook=url, score=50).step() == 1
    assert len(came) == 1


def test_a_receiver_that_is_away_stops_nothing(service: Service) -> None:
    with receiving() as (url, _):
        pass  # nobody listens there any more
    read(service, 0.93)
    alerts = alerts_of(service, webhook=url, score=50)
    assert alerts.step() == 0
    [alert] = alerts.latest()
    assert (alert.state, alert.attempts) == ("waiting", 1)


def test_what_is_old_news_is_given_up(service: Service) -> None:
    with receiving([503, 503]) as (url, _):
        alerts = alerts_of(service, webhook=url, score=50)
        read(service, 0.93)
        alerts.step()
        with service.database.begin() as session:
            session.execute(update(AlertRow).values(created_at=now() - timedelta(days=2), next_attempt_at=now()))
        alerts.step()
    assert alerts.counts()["failed"] == 1


def test_a_full_disk_is_told_once_a_day(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as (url, came):
        alerts = alerts_of(service, webhook=url, disk_mb=100)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 0, 100 * 10**6))
        assert alerts.step() == 0
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 0, 99 * 10**6))
        assert [alerts.step(), alerts.step()] == [1, 0]
    assert json.loads(came[0].body)["free_mb"] == 99


def test_a_queue_that_stands_still_is_told_and_one_that_moves_is_not(service: Service) -> None:
    images = [stage(service, image_bytes(number)) for number in range(2)]
    with receiving() as (url, came):
        alerts = alerts_of(service, webhook=url, queue_minutes=10)
        items = [NewItem(name="a.png", image_sha256=sha256) for sha256 in images]
        service.queue.submit(ReadingRequest("tuberculosis"), items, actor=LOCAL)
        assert alerts.step() == 0  # young
        with service.database.begin() as session:
            session.execute(update(BatchRow).values(created_at=now() - timedelta(minutes=11)))
        claim = service.queue.claim()
        assert claim is not None
        service.queue.finish(claim, draft())
        assert alerts.step() == 0  # old, but one was read just now
        from secondread.service.tables import ItemRow

        with service.database.begin() as session:
            session.execute(
                update(ItemRow).where(ItemRow.id == claim.id).values(finished_at=now() - timedelta(minutes=11))
            )
        assert [alerts.step(), alerts.step()] == [1, 0]
    told = json.loads(came[0].body)
    assert (told["event"], told["waiting"]) == ("queue", 1)


def test_objects_of_a_node_that_nobody_reads_are_told(service: Service) -> None:
    with receiving() as (url, came):
        alerts = alerts_of(service, webhook=url, queue_minutes=10)
        for age, n in ((9, 0), (11, 1)):
            with service.database.begin() as session:
                session.execute(delete(DicomObjectRow))
                at = now() - timedelta(minutes=age)
                session.add(DicomObjectRow(sop_instance_uid="1.2", sop_class="1.3", received_at=at))
            assert [alerts.step(), alerts.step()] == [n, 0]
        with service.database.begin() as session:
            session.execute(update(DicomObjectRow).values(state="refused"))
            session.execute(delete(AlertRow))
        assert alerts.step() == 0
    told = json.loads(came[0].body)
    assert (told["event"], told["waiting"]) == ("queue", 1)


@pytest.mark.parametrize(
    ("state", "age", "n"),
    [("waiting", 9, 0), ("waiting", 11, 1), ("failed", 0, 1), ("failed", 3000, 0), ("sent", 11, 0)],
)
def test_results_that_no_archive_takes_are_told_once_a_day(service: Service, state: str, age: int, n: int) -> None:
    number = read(service, 0.1)
    with service.database.begin() as session:
        row = DicomExportRow(reading_id=number, destination="A@b:1", kind="sr", sop_instance_uid="1.2", state=state)
        row.created_at = now() - timedelta(minutes=age)
        session.add(row)
    with receiving() as (url, came):
        alerts = alerts_of(service, webhook=url, queue_minutes=10)
        assert [alerts.step(), alerts.step()] == [n, 0]
    assert [json.loads(one.body)["event"] for one in came] == ["results"] * n


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook": "file:///etc/passwd"},
        {"webhook": "hospital.example"},
        {"webhook": "https://user:word@hospital.example/"},
        {"webhook": "https://hospital.example/", "webhook_secret": ""},
        {"mail_to": "nobody"},
        {"mail_to": "a@b.example\r\nBcc: c@d.example"},
        {"mail_to": "a@b.example", "smtp": "mail.example"},
        {"mail_to": "a@b.example", "smtp_tls": "off", "smtp_user": "anna"},
        {"score": 101},
    ],
    ids=str,
)
def test_what_cannot_be_stops_the_start(service: Service, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        alerts_of(service, **wrong)


def test_where_nothing_is_set_nothing_is_looked_for(service: Service) -> None:
    read(service, 0.99)
    alerts = alerts_of(service, score=1)
    assert not alerts.are_wanted
    assert alerts.step() == 0
    assert alerts.latest() == []


class Mailbox:
    """Takes mail, and notes whether it came over TLS."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bool]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append((envelope.content.decode(), envelope.rcpt_tos, session.ssl is not None))
        return "250 taken"


@contextmanager
def mail_server(box: Mailbox, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """An SMTP server on a free port; where it is."""
    controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = controller.Controller(
        box, hostname="127.0.0.1", port=port, tls_context=tls, require_starttls=tls is not None
    )
    running.start()
    try:
        yield f"localhost:{port}" if tls else f"127.0.0.1:{port}"
    finally:
        running.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    found = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(found[0]), "-keyout", str(found[1])]
    subprocess.run(command, check=True, capture_output=True)
    return found


def test_a_mail_says_it_in_a_sentence(service: Service) -> None:
    box = Mailbox()
    with mail_server(box) as place:
        number = read(service, 0.93)
        alerts = alerts_of(service, mail_to="a@b.example, c@d.example", smtp=place, smtp_tls="off", score=90)
        assert [alerts.step(), alerts.step()] == [1, 0]
    [(text, to, _)] = box.mails
    assert to == ["a@b.example", "c@d.example"]
    assert f"Reading {number} (tuberculosis) is positive" in text
    assert "Doe" not in text


def test_a_mail_goes_over_tls_to_a_server_that_is_who_it_says(
    service: Service, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    box = Mailbox()
    with mail_server(box, tls) as place:
        read(service, 0.93)
        alerts = alerts_of(service, mail_to="a@b.example", smtp=place, score=90)
        assert alerts.step() == 0  # nobody that is trusted signed its certificate
        assert box.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        make_due(service)
        assert alerts.step() == 1
    assert [secure for _, _, secure in box.mails] == [True]


def test_nothing_is_sent_where_tls_is_wanted_and_not_offered(service: Service) -> None:
    box = Mailbox()
    with mail_server(box) as place:
        read(service, 0.93)
        assert alerts_of(service, mail_to="a@b.example", smtp=place, score=90).step() == 0
    assert box.mails == []
