"""A client of the reading room's API, with nothing but the standard library.

from secondread import Client

room = Client("https://reading-room.example", token="sr_…")
print(room.read("film.png", task="tuberculosis")[0]["decision"])
batch = room.wait(room.upload(Path("films").glob("*.dcm"))["id"])
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from secondread.errors import CannotOpen, ServiceError, UsageError

ImageFile = str | Path | tuple[str, bytes]
_TRIES, _FIRST_PAUSE = 4, 0.5  # seconds; each pause is twice the one before
_LONGEST_PAUSE = 60.0  # seconds, whatever a server asks for
_AGAIN = {429, 502, 503, 504}
_READ_REFUSED = {413, 415, 422}


class Refused(ServiceError):
    """The server answered with a problem; `status` and `code` are for programs."""

    def __init__(self, message: str, *, status: int, code: str = "", body: dict[str, Any] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = body or {}


class Client:
    """One reading room. Safe to share between threads: it holds no connection.

    address: where it is, as http://127.0.0.1:8000. token: an API token; without one only a server on this machine that
    has no accounts answers. timeout: seconds for one request. Every method raises Refused, or CannotOpen where the
    server cannot be reached. Requests are repeated where that is safe.
    """

    def __init__(self, address: str, *, token: str | None = None, timeout: float = 120.0):
        if urlsplit(address).scheme not in ("http", "https"):
            raise UsageError(f"'{address}' is no address of a server; write it as http://127.0.0.1:8000")
        self._base = address.rstrip("/") + "/api/v1"
        self._token = token
        self._timeout = timeout

    def read(
        self,
        *sources: ImageFile,
        task: str = "auto",
        bundle: str = "",
        operating_point: str = "",
        source: str = "",
        frame: int | None = None,
        pictures: str = "links",
    ) -> list[dict[str, Any]]:
        """Have images read at once; gives one entry each, in order, refusals among them.

        sources: paths, or (name, bytes). source: where the images come from, kept with them. frame: of files of several
        frames this one alone, from 1; without it all are read, and `worst_frame` says which answers. pictures: 'links',
        so that `heatmap` and `display.image` are addresses and nothing is drawn before `picture` asks for it; or
        'inline', so that they are pictures, as data: URIs.
        """
        form = _form(task, bundle, operating_point, source, frame) | {"pictures": pictures}
        body, content_type = _multipart(sources, form)
        try:
            answer = self._ask("POST", "/readings", body=body, content_type=content_type)
        except Refused as error:
            if error.status in _READ_REFUSED and "readings" in error.body:
                return list(error.body["readings"])  # every image was refused: each says why
            raise
        return list(answer["readings"])

    def upload(
        self,
        sources: Iterable[ImageFile],
        *,
        task: str = "auto",
        bundle: str = "",
        operating_point: str = "",
        source: str = "",
        frame: int | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Send many images or zip archives to be read in the background; gives the upload, with its `id`.

        key: the Idempotency-Key; give the same one to send the same upload again after a failure. Without one it is
        made up, so that a repetition inside this call uploads nothing twice. frame: as of `read`.
        """
        form = _form(task, bundle, operating_point, source, frame)
        body, content_type = _multipart(tuple(sources), form)
        headers = {"Idempotency-Key": key or uuid4().hex}
        return self._ask("POST", "/batches", body=body, content_type=content_type, headers=headers)

    def batch(self, batch_id: int) -> dict[str, Any]:
        """Where an upload stands, with its first 500 images."""
        return self._ask("GET", f"/batches/{batch_id}")

    def wait(self, batch_id: int, *, timeout: float | None = None, every: float = 1.0) -> dict[str, Any]:
        """Wait until an upload is finished; gives it as `batch` does. Raises TimeoutError. timeout, every: seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            found = self.batch(batch_id)
            if found["finished"]:
                return found
            if end is not None and time.monotonic() + every > end:
                raise TimeoutError(f"upload {batch_id} is not finished after {timeout:g} seconds")
            time.sleep(every)

    def readings(self, *, order: str = "newest", **only: Any) -> Iterator[dict[str, Any]]:
        """Every reading that the filter leaves, page by page. only: task, decision, since, batch, …; see the API.

        `belongs` of each says of which patient, study and series it is, as far as the site tells it.
        """
        after = None
        while True:
            query = {**only, "order": order, "limit": 200} | ({"after": after} if after else {})
            page = self._ask("GET", "/readings", query=query)
            yield from page["readings"]
            if (after := page["next"]) is None:
                return

    def reading(self, reading_id: int) -> dict[str, Any]:
        """One reading; `belongs` says of which patient, study and series it is, as far as the site tells it."""
        return self._ask("GET", f"/readings/{reading_id}")

    def picture(
        self, reading_id: int | None, what: str = "image", *, frame: int | None = None, colours: str | None = None
    ) -> bytes:
        """A PNG: 'image', 'thumbnail' or 'heatmap'; or the 'file' as it is kept. It is drawn now, if it is not yet.

        frame: of a file of several frames, from 1; without it the one that answered. colours: of a heat map: 'grey',
        its strength, or 'inferno', to lay over the image. Raises UsageError without a number: an entry of `read` has
        none where the image was refused and not kept; and Refused (404, `not_there`) where the reading was deleted, its
        image erased, or there is no such picture of it.
        """
        if what not in ("image", "thumbnail", "heatmap", "file"):
            raise UsageError(f"'{what}' is no picture; ask for image, thumbnail, heatmap or file")
        if reading_id is None:
            raise UsageError("this image was refused and is not kept, so it has no picture; its `refusal` says why")
        return self._ask("GET", f"/readings/{reading_id}/{what}", query={"frame": frame, "colours": colours})

    def regions(self, reading_id: int) -> list[dict[str, Any]]:
        """The places that the bundle's lesion map names: box, outline, peak, area. Empty where it names none."""
        return self._ask("GET", f"/readings/{reading_id}/regions")["regions"]

    def boxes(self, reading_id: int) -> dict[str, Any]:
        """Boxes: `found` by the network, each with the line it is drawn in (solid: sure, dotted: in doubt), and
        `drawn` by people, the oldest first."""
        return self._ask("GET", f"/readings/{reading_id}/boxes")

    def draw_boxes(self, reading_id: int, boxes: list[dict[str, Any]]) -> dict[str, Any]:
        """Save all boxes of an image as you see them: [{box: [x, y, width, height], of: number of a found box}].

        A found box that no `of` names is deleted, one without `of` is yours. Nothing of before is changed.
        """
        return self._ask(
            "POST",
            f"/readings/{reading_id}/boxes",
            json_body={"boxes": boxes},
            headers={"Idempotency-Key": uuid4().hex},
        )

    def review(
        self, reading_id: int, verdict: str, *, finding: int | None = None, note: str = "", saw_answer: bool = True
    ) -> dict[str, Any]:
        """Give an opinion. verdict: 'agree', 'disagree' or 'unsure'; finding: 1 disease, 0 none."""
        body = {"verdict": verdict, "finding": finding, "note": note, "saw_answer": saw_answer}
        return self._ask(
            "POST", f"/readings/{reading_id}/reviews", json_body=body, headers={"Idempotency-Key": uuid4().hex}
        )

    def patient_line(self, reading_id: int) -> dict[str, str]:
        """Whose image it is: patient, accession, study_date, empty where not known; mode: the server's setting."""
        return self._ask("GET", f"/readings/{reading_id}/patient-line")

    def type_patient_line(
        self, reading_id: int, *, patient: str = "", accession: str = "", study_date: str = ""
    ) -> dict[str, str]:
        """Say whose image it is, for every report of it; all empty erases that. study_date: as 2026-03-01."""
        body = {"patient": patient, "accession": accession, "study_date": study_date}
        return self._ask("PUT", f"/readings/{reading_id}/patient-line", json_body=body)

    def report(self, reading_id: int, *, heatmap: bool = False) -> bytes:
        """The report of a reading as PDF. heatmap: with the heat map of a negative too."""
        return self._ask("GET", f"/readings/{reading_id}/report.pdf", query={"heatmap": heatmap})

    def delete(self, reading_id: int) -> dict[str, Any]:
        """Take a reading out of sight; `restore` brings it back."""
        return self._ask("DELETE", f"/readings/{reading_id}")

    def restore(self, reading_id: int) -> dict[str, Any]:
        """Bring a deleted reading back."""
        return self._ask("POST", f"/readings/{reading_id}/restore")

    def export_csv(self, path: str | Path, **only: Any) -> None:
        """Write every reading that the filter leaves to a CSV file."""
        Path(path).write_bytes(self._ask("GET", "/readings.csv", query=only))

    def export_reviewed(self, path: str | Path, *, task: str, **only: Any) -> None:
        """Write reviewed images and their manifest, for `secondread train`, to a zip file."""
        Path(path).write_bytes(self._ask("GET", "/reviews/manifest.zip", query={**only, "task": task}))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        json_body: dict[str, Any] | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Any:
        address = self._base + path
        if query:
            address += "?" + urlencode({name: _plain(value) for name, value in query.items() if value is not None})
        if json_body is not None:
            body = json.dumps(json_body).encode()
        sent = {"Accept": "application/json", **(headers or {})}
        sent |= {"Content-Type": content_type} if body is not None else {}
        sent |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = urllib.request.Request(address, data=body, headers=sent, method=method)
        # Reading an image again costs time and changes nothing; what creates has its key.
        return self._send(request, pause=_FIRST_PAUSE, tries=_TRIES)

    def _send(self, request: urllib.request.Request, *, pause: float, tries: int) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                data = answer.read()
                return json.loads(data) if answer.headers.get_content_type() == "application/json" else data
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _AGAIN or tries <= 1:
                    raise _refused(error) from error
                pause = max(pause, _seconds(error.headers.get("Retry-After", "")))
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if tries <= 1:
                reason = getattr(error, "reason", error)
                if request.data is not None and isinstance(reason, ConnectionError):
                    self._ask("GET", "/session")  # a large body refused at its header: it says why
                raise CannotOpen(f"the server at {self._base} cannot be reached: {reason}") from error
        time.sleep(pause)
        return self._send(request, pause=2 * pause, tries=tries - 1)


def _seconds(retry_after: str) -> float:
    """What a server asks to wait (RFC 9110 10.2.3), within bounds; 0 for a date: clocks may differ."""
    try:
        asked = float(retry_after)
    except ValueError:
        return 0.0
    return min(asked, _LONGEST_PAUSE) if asked > 0 else 0.0  # not a number is not above 0


def _refused(error: urllib.error.HTTPError) -> Refused:
    try:
        body = json.loads(error.read())
    except (ValueError, http.client.HTTPException, OSError):  # broken off, or of a proxy that speaks no JSON
        body = {}
    message = str(body.get("detail") or f"the server answered {error.code} {error.reason}")
    return Refused(message, status=error.code, code=str(body.get("code", "")), body=body)


def _multipart(sources: Iterable[ImageFile], form: dict[str, str]) -> tuple[bytes, str]:
    """Body and content type of a form (RFC 7578)."""
    boundary = uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in form.items()
        if value
    ]
    for name, data in map(_named, sources):
        quoted = name.replace("\\", "/").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{quoted}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _form(task: str, bundle: str, operating_point: str, source: str, frame: int | None) -> dict[str, str]:
    named = {"task": task, "bundle": bundle, "operating_point": operating_point, "source": source}
    return named | ({} if frame is None else {"frame": str(frame)})


def _named(source: ImageFile) -> tuple[str, bytes]:
    if isinstance(source, tuple):
        return source
    try:
        return Path(source).name, Path(source).read_bytes()
    except OSError as error:
        raise CannotOpen(f"cannot read '{source}': {error.strerror}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if hasattr(value, "isoformat") else value
