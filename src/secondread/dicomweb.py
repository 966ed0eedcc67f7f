"""A DICOMweb server (PS3.18) asked for lists of what it has (QIDO-RS) and for objects (WADO-RS), page by page, bounded.

Redirections and proxies of the environment are not followed: names and pictures of people come from the server that was
named, and from no other. Credentials are no part of an address.

Written on the standard library, not on dicomweb-client (0.61), by which results are sent: that gives an object parsed,
not the bytes that are stored there, whose hash tells a repeat from another object; holds an answer whole, however large
it is; keeps to itself the warning that there are more rows, and asks for ever where a server knows no pages; names the
server without its port (RFC 9110 7.2); trusts a list of its own in place of this machine's. And `screen` asks such
servers where the extra with it is not installed. A test holds both to the same lists and objects.
"""

import base64
import http.client
import json
import re
import ssl
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from secondread.errors import CannotOpen, UsageError

PAGE = 200  # rows that are asked for at once
_MOST_ANSWER = 64 << 20  # bytes of a list
_TRIES = 3
_FIRST_PAUSE = 0.5  # seconds; each pause is twice the one before
_AGAIN = (408, 429, 502, 503, 504)
_OF_ONE = (400, 404, 406, 410, 415, 422, 500, 501)  # of an object that is asked for: the others may be had all the same
_UID = re.compile(r"[0-9.]{1,64}")
Found = dict[str, Any]  # an object in the JSON model of PS3.18 annex F: tag → {vr, Value}


class NoObject(CannotOpen):
    """The server does not give this one object; the others it may."""


@dataclass(frozen=True)
class Credentials:
    """What a server is told besides the question. token: a bearer's, in place of an account."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Credentials":
        """From the settings dicom_web_…"""
        return cls(*(str(settings.get(f"DICOM_WEB_{name}", "")) for name in ("USER", "PASSWORD", "TOKEN")))

    @property
    def header(self) -> dict[str, str]:
        """Authorization (RFC 6750, RFC 7617), where there is any."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if not self.user:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")}


class DicomWeb:
    """One server. Safe to share between threads: connections are kept open and used again, each by one at a time.

    url: as https://pacs.example/dicom-web. authorities: PEM file of those who sign its certificate; '': as this machine
    trusts. timeout: seconds for one step. Every method raises CannotOpen where the server cannot be used.
    """

    def __init__(
        self, url: str, *, credentials: Credentials | None = None, authorities: str = "", timeout: float = 60.0
    ):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{url}' is no address of a DICOMweb server; write https://host/dicom-web")
        if parts.username or parts.password:
            raise UsageError(
                "an address of a DICOMweb server names no password: it is shown and stored; set dicom_web_user and "
                "dicom_web_password, or dicom_web_token"
            )
        self.url = url.rstrip("/")
        self._host, self._port, self._root = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers = (credentials or Credentials()).header
        self._timeout = timeout
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=authorities or None)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"'{authorities}' cannot be used as certificates of authorities: {error}") from error
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def studies(self, query: Mapping[str, str]) -> Iterator[Found]:
        """Studies that fit, in the server's order. query: by keyword, as of QIDO-RS."""
        yield from self._pages("/studies", query)

    def series(self, study: str, query: Mapping[str, str] | None = None) -> Iterator[Found]:
        """Series of a study."""
        yield from self._pages(f"/studies/{_uid(study)}/series", query or {})

    def instances(self, study: str, series: str) -> Iterator[Found]:
        """Objects of a series."""
        yield from self._pages(f"/studies/{_uid(study)}/series/{_uid(series)}/instances", {})

    def instance(self, study: str, series: str, instance: str, *, most: int) -> bytes:
        """One object as a DICOM file, as it is stored there. Raises NoObject where it is not given, or is larger."""
        path = f"/studies/{_uid(study)}/series/{_uid(series)}/instances/{_uid(instance)}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        status, headers, body = self._get(path, accept, most=most + 65_536)
        if status in _OF_ONE:
            raise NoObject(f"'{self.url}{path}' is not given: the server answers with HTTP status {status}")
        self._check(status, path)
        found = _part(headers, body)
        if found is None:
            raise NoObject(f"'{self.url}{path}' is no DICOM object as the server gives it")
        if len(found) > most:
            raise NoObject(_too_large(most))
        return found

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Found]:
        """Row by row. A server that knows no pages gives all at once, which is seen by what comes twice."""
        offset, before = 0, ""
        while True:
            asked = {**query, "limit": str(PAGE), "offset": str(offset)}
            full = f"{path}?{urlencode(asked, quote_via=quote, safe='*,')}"
            status, headers, body = self._get(full, "application/dicom+json", most=_MOST_ANSWER)
            if status == 204:
                return
            self._check(status, path)
            rows = self._rows(body)
            first = json.dumps(rows[:1], sort_keys=True)
            if not rows or first == before:
                return
            yield from rows
            if len(rows) < PAGE and "Warning" not in headers:  # 299: there is more than the server gives at once
                return
            offset, before = offset + len(rows), first

    def _rows(self, body: bytes) -> list[Found]:
        try:
            rows = json.loads(body or b"[]")
        except ValueError:
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise CannotOpen(f"'{self.url}' does not answer as a DICOMweb server does; look at the address")
        return rows

    def _check(self, status: int, path: str) -> None:
        if status in (401, 403):
            raise CannotOpen(
                f"'{self.url}' does not let us in (HTTP status {status}); set dicom_web_user and dicom_web_password, "
                "or dicom_web_token"
            )
        if status != 200:
            raise CannotOpen(f"'{self.url}{path}' answers with HTTP status {status}; look at the address and the query")

    def _get(self, path: str, accept: str, *, most: int) -> tuple[int, Message, bytes]:
        """Status, headers and body; what passes is tried again. Raises CannotOpen."""
        pause = _FIRST_PAUSE
        for last in (*([False] * (_TRIES - 1)), True):
            try:
                status, headers, body = self._once(path, accept, most)
            except ssl.SSLCertVerificationError as error:
                raise CannotOpen(
                    f"the certificate of '{self.url}' is not trusted ({error.verify_message}); name who signed it in "
                    "dicom_tls_archive_ca"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self.close()  # the others are as old
                if last:
                    why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                    raise CannotOpen(
                        f"'{self.url}' does not answer ({why}); ask the same again to go on where it was"
                    ) from error
            else:
                if status not in _AGAIN:
                    return status, headers, body
                if last:
                    raise CannotOpen(
                        f"'{self.url}' is in trouble (HTTP status {status}); ask the same again to go on where it was"
                    )
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    def _once(self, path: str, accept: str, most: int) -> tuple[int, Message, bytes]:
        connection = self._connection()
        body, whole = bytearray(), False
        try:
            connection.request("GET", self._root + path, headers={"Accept": accept, **self._headers})
            answer = connection.getresponse()
            while chunk := answer.read(1 << 20):
                body += chunk
                if len(body) > most:
                    raise NoObject(_too_large(most))  # the rest is not waited for
            whole = True
        finally:
            if whole:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()
        return answer.status, answer.msg, bytes(body)

    def _connection(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        with self._lock:
            _close_all(self._idle)


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def value(found: Found, tag: str) -> str:
    """The first value of an attribute as text; '' where there is none. tag: as '0020000D'."""
    values = found.get(tag, {}).get("Value") or [""]
    first = values[0]
    return str(first.get("Alphabetic", "") if isinstance(first, dict) else "" if first is None else first)


def values(found: Found, tag: str) -> list[str]:
    """All values of an attribute as text."""
    return [str(one) for one in found.get(tag, {}).get("Value") or () if one is not None]


def _uid(text: str) -> str:
    """As part of an address. Raises CannotOpen for what a server calls a UID and is none."""
    if not _UID.fullmatch(text):
        raise CannotOpen(f"the server lists '{text[:80]}' as a UID, which it is not")
    return text


def _too_large(most: int) -> str:
    return f"this object has more than the {most / 1e6:.0f} MB allowed"


def _part(headers: Message, body: bytes) -> bytes | None:
    """The DICOM file in an answer: its only part (RFC 2387), or the whole body; None where there is none."""
    if headers.get_content_maintype() != "multipart":
        return body if body[128:132] == b"DICM" else None
    boundary = b"--" + str(headers.get_boundary() or "").encode("latin-1")
    start = body.find(boundary)
    end_of_head = body.find(b"\r\n\r\n", start)
    if start < 0 or end_of_head < 0:
        return None
    head = BytesHeaderParser().parsebytes(body[body.find(b"\r\n", start) + 2 : end_of_head + 4])
    length = str(head.get("Content-Length", ""))
    begin = end_of_head + 4
    if length.isascii() and length.isdigit() and begin + int(length) <= len(body):
        found = body[begin : begin + int(length)]
    else:
        end = body.find(b"\r\n" + boundary, begin)
        found = body[begin:end] if end >= 0 else b""
    return found if found[128:132] == b"DICM" else None
