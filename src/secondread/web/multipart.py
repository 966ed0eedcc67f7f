"""A form of files, cut into its parts in one go where it is as programs and browsers send it, and not too large.

Werkzeug's parser takes a body piece by piece, however large and odd it is, and that costs as much as the network does
for a small film. What is not plain here is left to it, and it decides what a form means: see the test that compares
the two.
"""

import io
import re
from typing import IO, Any

from werkzeug.datastructures import FileStorage, Headers
from werkzeug.formparser import FormDataParser

_LARGEST = 500_000  # bytes of a body that is cut in one go; a larger file may pass through a temporary file
_BOUNDARY = re.compile(rb"[0-9A-Za-z_-]{1,70}")
_TEXT = r"[ !#-$&-)+-:<-\[\]-~]"  # of a name in quotes: ASCII without quotes, \, %, * and ;
_HEAD = re.compile(
    rf'Content-Disposition: form-data; name="({_TEXT}+)"'
    rf'(?:; filename="({_TEXT}*)"(?:\r\nContent-Type: ([\w.+-]+/[\w.+-]+))?)?',
    re.ASCII,
)


class FormParser(FormDataParser):
    """Werkzeug's, but for plain forms."""

    def _parse_multipart(
        self, stream: IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> Any:
        if content_length is None or content_length > min(_LARGEST, self.max_form_memory_size or _LARGEST):
            return super()._parse_multipart(stream, mimetype, content_length, options)
        body = stream.read()
        found = self._at_once(body, options.get("boundary", "").encode("latin-1", "replace"))
        if found is None:
            return super()._parse_multipart(io.BytesIO(body), mimetype, content_length, options)
        return stream, self.cls(found[0]), self.cls(found[1])

    def _at_once(
        self, body: bytes, boundary: bytes
    ) -> tuple[list[tuple[str, str]], list[tuple[str, FileStorage]]] | None:
        """Fields and files in their order; None where it is not plain."""
        line = b"--" + boundary
        parts = body.split(b"\r\n" + line)
        plain = _BOUNDARY.fullmatch(boundary) and body.startswith(line) and body.count(line) == len(parts)
        if not plain or parts[-1] not in (b"--\r\n", b"--"):
            return None
        parts[0] = parts[0][len(line) :]
        if self.max_form_parts is not None and len(parts) - 1 > self.max_form_parts:
            return None
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        for part in parts[:-1]:
            head, gap, content = part.partition(b"\r\n\r\n")
            told = _HEAD.fullmatch(head[2:].decode("latin-1")) if gap and head.startswith(b"\r\n") else None
            if told is None:
                return None
            name, filename, kind = told.groups()
            if filename is None:
                fields.append((name, content.decode("utf-8", "replace")))
                continue
            headers = Headers(
                [(key, value) for key, _, value in (line.partition(": ") for line in told[0].split("\r\n"))]
            )
            file = self.stream_factory(
                total_content_length=len(body), content_type=kind, filename=filename, content_length=0
            )
            file.write(content)
            file.seek(0)
            files.append((name, FileStorage(file, filename, name, headers=headers)))
        return fields, files
