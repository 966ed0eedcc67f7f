"""Where one request ends and the next begins: what two servers could read differently is refused, not guessed at.

A proxy in front and this server have to agree on every byte (RFC 9112 sections 6 and 11.2). waitress reads strictly;
what it lets pass besides is refused here.
"""

import re
from typing import Any

from waitress.parser import ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

_LONGEST_LENGTH = 18  # digits of a Content-Length: more than any disk holds
_LONGEST_LINE = 4096  # bytes before a chunk: its size, and extensions that nobody needs
_LONGEST_TRAILER = 16_384  # bytes
_FIELD = re.compile(rb"^(transfer-encoding|content-length|host)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.I | re.M)
_VERSION = re.compile(rb" HTTP/1\.[01]\s*(?:\r\n|$)")


def check(header: bytes) -> None:
    """Raise ParsingError for a header, first line and all, that leaves open how long its request is."""
    first, _, _ = header.partition(b"\r\n")
    if not _VERSION.search(first):
        raise ParsingError("this server speaks HTTP/1.1 and HTTP/1.0; send 'GET /address HTTP/1.1'")
    if b"\n " in header or b"\n\t" in header:
        raise ParsingError("a field of a header is one line; send it unfolded")
    found: dict[bytes, list[bytes]] = {}
    for name, value in _FIELD.findall(header):
        found.setdefault(name.lower(), []).append(value)
    lengths, codings = found.get(b"content-length", []), found.get(b"transfer-encoding", [])
    if codings and lengths:
        raise ParsingError("a request states Content-Length or Transfer-Encoding, not both")
    if codings and first.rstrip().endswith(b"HTTP/1.0"):
        raise ParsingError("a request of HTTP/1.0 states its length with Content-Length, not with Transfer-Encoding")
    if len(codings) > 1 or any(b"," in coding for coding in codings):
        raise ParsingError("a request states one Transfer-Encoding: chunked")
    if any(len(length) > _LONGEST_LENGTH for length in lengths):
        raise ParsingError("Content-Length is invalid")
    if len(found.get(b"host", [])) > 1:
        raise ParsingError("a request names one Host")


class Chunks(ChunkedReceiver):
    """A body in chunks, of which everything but the chunks themselves is short: it is kept in memory while it grows."""

    completed: bool
    error: Any

    def received(self, data: bytes) -> int:
        """Bytes of `data` that belong to this body."""
        n = int(super().received(data))
        if not self.completed and self.error is None:
            if len(self.control_line) > _LONGEST_LINE:
                self.error = BadRequest(f"the line before a chunk has more than {_LONGEST_LINE} bytes")
            elif len(self.trailer) > _LONGEST_TRAILER:
                self.error = BadRequest(f"the trailer of a body has more than {_LONGEST_TRAILER} bytes")
        return n
