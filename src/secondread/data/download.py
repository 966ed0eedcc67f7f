"""Fetches public originals over HTTP: terms accepted first, resumed where a connection broke, checked, renamed."""

import hashlib
import http.client
import json
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from secondread.data.cache import locked
from secondread.errors import DownloadError
from secondread.files import write_text
from secondread.tasks import Source


@dataclass
class Part:
    """What has arrived so far, and how to tell that the server still has the same file."""

    path: Path
    url: str
    validator: str = ""  # a strong ETag, or else Last-Modified
    total: int | None = None  # bytes
    notes: Path = field(init=False)

    def __post_init__(self) -> None:
        self.notes = self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def recall(self) -> None:
        """Take up the notes of an earlier run; what was fetched from elsewhere, or without notes, is dropped."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            same = notes["url"] == self.url
            self.validator, self.total = notes["validator"], notes["total"]
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            self.forget()

    def note(self, response: Any) -> None:
        """Remember which file the server sends, before its first byte is kept."""
        etag = response.headers.get("ETag", "")
        # If-Range compares strongly: a weak ETag never matches (RFC 9110 section 13.1.5).
        self.validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        self.total = number_of(response.headers.get("Content-Length"))
        notes = {"url": self.url, "validator": self.validator, "total": self.total}
        write_text(self.notes, json.dumps(notes))

    def forget(self) -> None:
        """Start from nothing."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)
        self.validator, self.total = "", None


def number_of(text: str | None) -> int | None:
    """The count in a header, None where there is none."""
    return int(text) if text and text.isdigit() else None


_CHUNK = 1 << 20  # bytes
_TIMEOUT_S = 30
_TRIES = 4  # in a row without a single new byte
_PAUSE_S = 0.5  # before the second try; doubled each time
_BROKEN = (ConnectionError, TimeoutError, ssl.SSLError, urllib.error.URLError, http.client.HTTPException)
_TRY_AGAIN = {408, 429, 500, 502, 503, 504}  # RFC 9110: the same request may succeed later

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if known


def download(source: Source, folder: Path, *, accept_terms: bool, progress: Progress | None = None) -> Path:
    """Fetch a source's file into the folder; return its path.

    What arrived of an interrupted download stays beside it as `.part` and is gone on with, if the server can and the
    file there is still the same. A complete file is used as it is.
    Raises DownloadError: terms not accepted, no address, no space, wrong checksum, or a server that does not deliver.
    """
    _check_allowed(source, accept_terms)
    name = PurePosixPath(unquote(urlsplit(source.url).path)).name.replace("\\", "_").lstrip(".")
    target = Path(folder) / (name or f"{source.name}.download")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(f".{target.name}.lock"), what="downloading", timeout_s=0):
            if target.is_file():
                _check_present(source, target)
            else:
                _fetch_whole(source, target, progress)
    except TimeoutError as error:
        raise DownloadError(f"'{target}' is being fetched by another process; wait for it to end") from error
    except OSError as error:
        raise DownloadError(f"cannot write '{target}': {error.strerror or error}; choose another folder") from error
    return target


def _fetch_whole(source: Source, target: Path, progress: Progress | None) -> None:
    part = Part(target.with_name(f"{target.name}.part"), source.url)
    part.recall()
    failures, most = 0, part.size
    while True:
        try:
            _fetch_rest(source, part, progress)
            break
        except _BROKEN as error:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            _give_up_if_hopeless(source, part, error, failures)
            time.sleep(_PAUSE_S * 2 ** (failures - 1))
    if source.sha256 and (found := _sha256(part.path)) != source.sha256.lower():
        part.forget()
        raise DownloadError(
            f"what arrived from {source.url} has the SHA-256 {found}, not {source.sha256}; it was deleted. "
            f"Run again, or see {source.page} for a newer version"
        )
    part.path.replace(target)
    part.notes.unlink(missing_ok=True)


def _fetch_rest(source: Source, part: Part, progress: Progress | None) -> None:
    """One request for what is still missing."""
    have = part.size
    if part.total is not None and have == part.total:
        return
    request = urllib.request.Request(source.url, headers={"User-Agent": "secondread"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if part.validator:
            request.add_header("If-Range", part.validator)
    with _opener().open(request, timeout=_TIMEOUT_S) as response:
        if not _goes_on(response, part, have):
            _check_type(source, response)
            part.forget()
            part.note(response)
            have = 0
        _check_space(part, have)
        _store(response, part, have, progress)


def _goes_on(response: Any, part: Part, have: int) -> bool:
    """Whether the answer begins where the part ends; a part of another file is dropped."""
    if response.status != 206:
        return False
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if have and span.startswith(f"{have}-") and part.total in (None, number_of(total)):
        return True
    part.forget()
    raise ConnectionResetError("the server sent another part of the file than was asked for")


def _store(response: Any, part: Part, have: int, progress: Progress | None) -> None:
    with part.path.open("ab") as file:
        while data := _read(response):
            file.write(data)
            have += len(data)
            if progress is not None:
                progress(have, part.total)
    if part.total is not None and have != part.total:
        raise ConnectionResetError(f"the connection ended after {have} of {part.total} bytes")


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK)
    except OSError as error:  # of the network: not to be taken for one of the disk
        raise ConnectionAbortedError(str(error)) from error


def _give_up_if_hopeless(source: Source, part: Part, error: Exception, failures: int) -> None:
    """Raise DownloadError unless trying again may help."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code == 416:  # the file there is shorter than the part here: another file
            part.forget()
        elif error.code not in _TRY_AGAIN:
            _by_hand(source, f"{source.url} answered {error.code} {error.reason}")
    if failures >= _TRIES:
        why = getattr(error, "reason", None) or error
        kept = f"{part.size / 1e6:.1f} MB are kept: run again to go on" if part.size else "run again later"
        raise DownloadError(f"fetching {source.url} failed {failures} times in a row ({why}); {kept}") from error


def _check_allowed(source: Source, accept_terms: bool) -> None:
    if not source.url:
        _by_hand(source, f"'{source.name}' has no address to fetch from")
    if urlsplit(source.url).scheme not in ("http", "https"):
        _by_hand(source, f"only http and https are fetched, not {source.url}")
    if not accept_terms:
        raise DownloadError(
            f"'{source.title}' is fetched only once its terms are accepted: {source.terms} See {source.page}, "
            "then say that you accept them (--accept-terms)"
        )


def _check_present(source: Source, target: Path) -> None:
    if source.sha256 and _sha256(target) != source.sha256.lower():
        raise DownloadError(f"'{target}' is not the published file: its SHA-256 differs; delete it and run again")


def _check_type(source: Source, response: Any) -> None:
    """A log-in or error page that comes with status 200 is not the collection."""
    is_page = response.headers.get_content_type() == "text/html"
    if is_page and not urlsplit(source.url).path.lower().endswith((".html", ".htm")):
        _by_hand(source, f"{source.url} answered with a web page instead of the file")


def _check_space(part: Part, have: int) -> None:
    needed, free = (part.total or 0) - have, shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise DownloadError(
            f"{needed / 1e6:.0f} MB are still to come and '{part.path.parent}' has {free / 1e6:.0f} MB free; "
            "free some or choose another folder"
        )


def _by_hand(source: Source, why: str) -> NoReturn:
    raise DownloadError(f"{why}; fetch it by hand from {source.page}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Never to another scheme: urllib alone would follow to FTP, and from https down to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """The request to follow with."""
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not followed; fetch it by hand")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
