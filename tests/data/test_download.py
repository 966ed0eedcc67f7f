"""Downloads from a local server that resumes, refuses to, breaks off and lies."""

import contextlib
import hashlib
import importlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from secondread.data import download
from secondread.errors import DownloadError
from secondread.tasks import Source

download_module = importlib.import_module("secondread.data.download")  # the package has a function of that name

BODY = bytes(range(256)) * 12_000  # 3 MB: several chunks


@dataclass
class Server:
    """How the server behaves, and what it was asked for."""

    port: int = 0
    body: bytes = BODY
    ranges: bool = True
    etag: str = '"v1"'
    modified: str = ""
    breaks_after: list[int] = field(default_factory=list)  # bytes sent of each answer before the connection is cut
    status: list[int] = field(default_factory=list)  # of the next answers; then 200
    kind: str = "application/zip"
    redirect: str = ""
    lies_about_range: bool = False
    with_length: bool = True
    asked: list[str] = field(default_factory=list)  # Range of every request, '' if none


class Handler(BaseHTTPRequestHandler):
    """Answers as `Server` says."""

    state: Server

    def do_GET(self) -> None:
        state = self.state
        state.asked.append(self.headers.get("Range", ""))
        if state.redirect and not self.path.endswith("/there.zip"):
            self._head(302, {"Location": state.redirect, "Content-Length": "0"})
        elif state.status:
            self._head(state.status.pop(0), {"Content-Length": "0"})
        else:
            self._send()

    def _send(self) -> None:
        state, start = self.state, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        known = self.headers.get("If-Range") in (None, state.etag, state.modified)
        if wanted and state.ranges and known:
            start = int(wanted[1])
        if start and start >= len(state.body):
            self._head(416, {"Content-Range": f"bytes */{len(state.body)}", "Content-Length": "0"})
            return
        start += state.lies_about_range and start > 0
        headers = {"Content-Type": state.kind, "ETag": state.etag, "Last-Modified": state.modified}
        if state.with_length:
            headers["Content-Length"] = str(len(state.body) - start)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(state.body) - 1}/{len(state.body)}"
        self._head(206 if start else 200, {key: value for key, value in headers.items() if value})
        length = state.breaks_after.pop(0) if state.breaks_after else len(state.body)
        with contextlib.suppress(ConnectionError):  # who asked may have hung up
            self.wfile.write(state.body[start : start + length])
        self.close_connection = True

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download_module, "_PAUSE_S", 0.001)
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    state.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def source(server: Server) -> Source:
    return Source(
        name="set",
        title="A set of films",
        page="the page of the set",
        terms="Cite the authors.",
        citation="Nobody, 2020",
        url=f"http://127.0.0.1:{server.port}/files/films.zip?version=2",
        sha256=hashlib.sha256(BODY).hexdigest(),
    )


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_arrives_whole_with_progress(source: Source, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    path = download(
        source, tmp_path / "new", accept_terms=True, progress=lambda done, total: steps.append((done, total))
    )
    assert path == tmp_path / "new" / "films.zip"
    assert path.read_bytes() == BODY
    assert steps[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert left_over(path.parent) == ["films.zip"]


def test_terms_are_shown_and_accepted_first(source: Source, server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"Cite the authors\. See the page of the set.*--accept-terms"):
        download(source, tmp_path, accept_terms=False)
    assert server.asked == []


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/films.zip", "file:///etc/hosts"])
def test_what_cannot_be_fetched_is_to_be_fetched_by_hand(source: Source, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="fetch it by hand from the page of the set"):
        download(replace(source, url=url), tmp_path, accept_terms=True)


@pytest.mark.parametrize(
    ("etag", "modified"), [('"v1"', ""), ('W/"v1"', "Mon, 01 Jan 2024 00:00:00 GMT"), ('W/"v1"', ""), ("", "")]
)
def test_a_broken_connection_is_resumed(
    source: Source, server: Server, tmp_path: Path, etag: str, modified: str
) -> None:
    server.etag, server.modified, server.breaks_after = etag, modified, [1_000_000, 700_000]
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY
    assert server.asked == ["", "bytes=1000000-", "bytes=1700000-"]


def test_many_breaks_are_borne_while_bytes_arrive(source: Source, server: Server, tmp_path: Path) -> None:
    server.breaks_after = [300_000] * 9
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY


def test_a_later_run_goes_on_with_what_was_kept(source: Source, server: Server, tmp_path: Path) -> None:
    server.breaks_after = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"failed 4 times in a row.*1\.0 MB are kept: run again to go on"):
        download(source, tmp_path, accept_terms=True)
    assert left_over(tmp_path) == ["films.zip.part", "films.zip.part.json"]
    server.breaks_after, server.asked = [], []
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY
    assert server.asked == ["bytes=1000000-"]
    assert left_over(tmp_path) == ["films.zip"]


def test_a_server_that_ignores_ranges_starts_over(source: Source, server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks_after = False, [1_000_000]
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY
    assert server.asked == ["", "bytes=1000000-"]


def test_a_server_that_always_breaks_at_one_place_is_given_up(source: Source, server: Server, tmp_path: Path) -> None:
    server.ranges, server.breaks_after = False, [1_000_000] * 50
    with pytest.raises(DownloadError, match="failed 4 times"):
        download(source, tmp_path, accept_terms=True)
    assert len(server.asked) < 10


def test_a_file_that_changed_there_starts_over(source: Source, server: Server, tmp_path: Path) -> None:
    server.breaks_after = [1_000_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        download(source, tmp_path, accept_terms=True)
    server.body, server.etag, server.breaks_after = BODY[::-1], '"v2"', []
    newer = replace(source, sha256="")
    assert download(newer, tmp_path, accept_terms=True).read_bytes() == BODY[::-1]


@pytest.mark.parametrize("length", [600_000, 1_000_000, 2_000_000])
def test_without_a_validator_another_length_starts_over(
    source: Source, server: Server, tmp_path: Path, length: int
) -> None:
    server.etag, server.breaks_after = "", [1_000_000, 0, 0, 0, 0]
    with pytest.raises(DownloadError):
        download(source, tmp_path, accept_terms=True)
    server.body, server.breaks_after = BODY[::-1][:length], []
    assert download(replace(source, sha256=""), tmp_path, accept_terms=True).read_bytes() == server.body


def test_a_part_of_unknown_origin_is_dropped(source: Source, server: Server, tmp_path: Path) -> None:
    (tmp_path / "films.zip.part").write_bytes(b"something else")
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY
    assert server.asked == [""]


def test_a_range_that_was_not_asked_for_is_not_appended(source: Source, server: Server, tmp_path: Path) -> None:
    server.lies_about_range, server.breaks_after = True, [1_000_000]
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY


def test_a_wrong_checksum_deletes_what_arrived(source: Source, server: Server, tmp_path: Path) -> None:
    server.body = b"damaged"
    with pytest.raises(DownloadError, match="SHA-256"):
        download(source, tmp_path, accept_terms=True)
    assert left_over(tmp_path) == []


def test_a_complete_file_is_used_as_it_is(source: Source, server: Server, tmp_path: Path) -> None:
    (tmp_path / "films.zip").write_bytes(BODY)
    download(source, tmp_path, accept_terms=True)
    (tmp_path / "films.zip").write_bytes(b"mine")
    download(replace(source, sha256=""), tmp_path, accept_terms=True)
    with pytest.raises(DownloadError, match=r"not the published file.*delete it"):
        download(source, tmp_path, accept_terms=True)
    assert server.asked == []
    assert (tmp_path / "films.zip").read_bytes() == b"mine"


def test_a_server_that_is_busy_is_asked_again(source: Source, server: Server, tmp_path: Path) -> None:
    server.status = [503, 429]
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(source: Source, server: Server, tmp_path: Path, status: int) -> None:
    server.status = [status] * 9
    with pytest.raises(DownloadError, match=f"answered {status} .*by hand from the page of the set"):
        download(source, tmp_path, accept_terms=True)
    assert len(server.asked) == 1


def test_a_web_page_is_not_the_collection(source: Source, server: Server, tmp_path: Path) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="answered with a web page"):
        download(source, tmp_path, accept_terms=True)
    assert left_over(tmp_path) == []


def test_redirects_are_followed_but_never_to_another_scheme(source: Source, server: Server, tmp_path: Path) -> None:
    server.redirect = f"http://127.0.0.1:{server.port}/there.zip"
    assert download(source, tmp_path, accept_terms=True).read_bytes() == BODY
    server.redirect = "ftp://127.0.0.1/there.zip"
    with pytest.raises(DownloadError, match="not followed"):
        download(source, tmp_path / "other", accept_terms=True)


def test_a_length_that_is_not_told_is_taken_to_the_end(source: Source, server: Server, tmp_path: Path) -> None:
    server.with_length = False
    totals: set[int | None] = set()
    path = download(source, tmp_path, accept_terms=True, progress=lambda done, total: totals.add(total))
    assert path.read_bytes() == BODY
    assert totals == {None}


def test_a_full_disk_is_said_beforehand(
    source: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DownloadError, match=r"3 MB are still to come.*choose another folder"):
        download(source, tmp_path, accept_terms=True)


def test_nobody_there(source: Source, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"failed 4 times in a row.*run again later"):
        download(replace(source, url="http://127.0.0.1:9/films.zip"), tmp_path, accept_terms=True)


def test_two_downloads_of_one_file_do_not_mix(source: Source, tmp_path: Path) -> None:
    def again(done: int, total: int | None) -> None:
        with pytest.raises(DownloadError, match="another process"):
            download(source, tmp_path, accept_terms=True)

    assert download(source, tmp_path, accept_terms=True, progress=again).read_bytes() == BODY


def test_a_name_cannot_leave_the_folder(source: Source, server: Server, tmp_path: Path) -> None:
    for name in ("..%2F..%2Fevil.zip", "..", "%2e%2e", ""):
        url = f"http://127.0.0.1:{server.port}/{name}"
        path = download(replace(source, url=url), tmp_path / "in", accept_terms=True)
        assert path.parent == tmp_path / "in"
        path.unlink()
