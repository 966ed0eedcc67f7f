"""A DICOMweb server as a client asks it: pages, one object, who we are; and what a server may not do to us."""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom import dcmread

from secondread import dicomweb
from secondread.dicomweb import Credentials, DicomWeb, NoObject, value
from secondread.errors import CannotOpen, UsageError
from secondread.testing.phantoms import chest_phantom, dicom_bytes

Answer = tuple[int, dict[str, str], bytes]
FILE = b"\0" * 128 + b"DICM" + b"pixels --x and more"


@contextmanager
def serving(answer: Callable[[str, Any], Answer]) -> Iterator[str]:
    """Answers as the function says, of path and headers; where it is."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answer(self.path, self.headers)
            self.send_response(status)
            for name, text in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def asking(answer: Callable[[str, Any], Answer], **more: Any) -> Iterator[DicomWeb]:
    with serving(answer) as url:
        client = DicomWeb(url, timeout=10, **more)
        yield client
        client.close()


def rows(numbers: range) -> bytes:
    return json.dumps([{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in numbers]).encode()


def multipart(data: bytes) -> Answer:
    head = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="x"'}
    return 200, head, b"--x\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--x--\r\n"


def one(client: DicomWeb, most: int = 10**6) -> bytes:
    return client.instance("1.2", "1.3", "1.4", most=most)


@pytest.mark.parametrize("knows_pages", [True, False])
def test_a_list_comes_page_by_page_each_row_once(monkeypatch: pytest.MonkeyPatch, knows_pages: bool) -> None:
    monkeypatch.setattr(dicomweb, "PAGE", 10)

    def answer(path: str, _: Any) -> Answer:
        offset = int(path.partition("offset=")[2].partition("&")[0]) if knows_pages else 0
        found = range(offset, min(offset + 10, 25)) if knows_pages else range(25)
        return 200, {"Content-Type": "application/dicom+json"}, rows(found)

    with asking(answer) as client:
        found = [value(row, "0020000D") for row in client.studies({"StudyDate": "20260301"})]
    assert found == [f"1.2.{number}" for number in range(25)]


def test_an_empty_list_is_no_fault() -> None:
    with asking(lambda *_: (204, {}, b"")) as client:
        assert list(client.studies({})) == []


def test_an_object_is_what_stands_between_the_boundaries() -> None:
    with asking(lambda *_: multipart(FILE)) as client:
        assert one(client) == FILE
    with asking(lambda *_: (200, {"Content-Type": "application/dicom"}, FILE)) as client:
        assert one(client) == FILE


@pytest.mark.parametrize("status", [404, 410, 500])
def test_an_object_that_is_not_given_hinders_no_other(status: int) -> None:
    with asking(lambda *_: (status, {}, b"")) as client, pytest.raises(NoObject, match=str(status)):
        one(client)


def test_an_object_that_is_too_large_is_not_taken_in() -> None:
    with asking(lambda *_: multipart(FILE + b"\0" * 500_000)) as client, pytest.raises(NoObject, match="MB allowed"):
        one(client, most=100_000)


def test_what_is_no_dicom_object_is_said() -> None:
    with asking(lambda *_: multipart(b"<html>")) as client, pytest.raises(NoObject, match="no DICOM object"):
        one(client)


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (Credentials(token="secret"), "Bearer secret"),
        (Credentials("anna", "pass:word"), "Basic " + base64.b64encode(b"anna:pass:word").decode()),
        (Credentials(), None),
    ],
)
def test_who_we_are_is_told_in_the_header_alone(credentials: Credentials, header: str | None) -> None:
    told: list[str | None] = []

    def answer(path: str, headers: Any) -> Answer:
        told.append(headers.get("Authorization"))
        assert "secret" not in path
        return 200, {}, b"[]"

    with asking(answer, credentials=credentials) as client:
        list(client.studies({}))
    assert told == [header]
    assert "secret" not in repr(credentials)
    assert "pass" not in repr(credentials)


def test_an_address_names_no_password() -> None:
    with pytest.raises(UsageError, match="no password"):
        DicomWeb("https://anna:word@pacs.example/dicom-web")
    with pytest.raises(UsageError, match="write https"):
        DicomWeb("pacs.example")


def test_a_redirection_is_not_followed() -> None:
    went: list[str] = []

    def elsewhere(path: str, _: Any) -> Answer:
        went.append(path)
        return 200, {}, b"[]"

    moved = pytest.raises(CannotOpen, match="302")
    with serving(elsewhere) as other, asking(lambda *_: (302, {"Location": other}, b"")) as client, moved:
        list(client.studies({}))
    assert went == []


@pytest.mark.parametrize(
    ("status", "body", "says"), [(401, b"", "dicom_web_token"), (403, b"", "let us in"), (200, b"<html>", "address")]
)
def test_what_hinders_everything_says_what_to_do(status: int, body: bytes, says: str) -> None:
    with asking(lambda *_: (status, {}, body)) as client, pytest.raises(CannotOpen, match=says):
        list(client.studies({}))


def test_a_server_in_trouble_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "_FIRST_PAUSE", 0.0)
    answers = iter([(503, b""), (429, b""), (200, b"[]"), (503, b""), (503, b""), (503, b"")])

    def answer(*_: Any) -> Answer:
        status, body = next(answers)
        return status, {}, body

    with asking(answer) as client:
        assert list(client.studies({})) == []
        with pytest.raises(CannotOpen, match="in trouble"):
            list(client.studies({}))


def test_what_a_server_calls_a_uid_goes_into_no_address_unless_it_is_one() -> None:
    with asking(lambda *_: (200, {}, b"[]")) as client, pytest.raises(CannotOpen, match="not"):
        list(client.series("../../secrets"))


def test_lists_and_objects_are_those_that_another_client_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """dicomweb-client, which asks for pages until one is empty, and parses an object."""
    client_of = pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed: the extra 'dicom'")
    monkeypatch.setattr(dicomweb, "PAGE", 10)
    film = dicom_bytes(chest_phantom(32, random_state=1), PatientName="Doe^Jane", StudyInstanceUID="1.2")

    def answer(path: str, _: Any) -> Answer:
        if "instances/" in path:
            return multipart(film)
        offset = int(parse_qs(urlsplit(path).query)["offset"][0])
        return 200, {"Content-Type": "application/dicom+json"}, rows(range(offset, min(offset + 10, 25)))

    with asking(answer) as client:
        session = client_of.web.requests.Session()
        other = client_of.DICOMwebClient(client.url, session=session)
        asked = {"PatientName": "Doe*", "StudyDate": "20260301-20260302"}
        assert list(client.studies(asked)) == other.search_for_studies(search_filters=asked, get_remaining=True)
        assert list(client.series("1.2")) == other.search_for_series("1.2", get_remaining=True)
        assert list(client.instances("1.2", "1.3")) == other.search_for_instances("1.2", "1.3", get_remaining=True)
        assert dcmread(io.BytesIO(one(client))) == other.retrieve_instance("1.2", "1.3", "1.4")
        session.close()
