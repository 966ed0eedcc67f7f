"""What a file says about itself beside its pixels: the traces that software leaves in it."""

import hashlib

_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length (ITU-T T.81 B.1.1.3)
_SCAN, _TABLES = 0xDA, 0xDB


def quantisation(data: bytes) -> str:
    """A short hash of a JPEG's quantisation tables, which tell one encoder or quality from another; '' without any.

    Reads the segments before the first scan (ITU-T T.81 B.2.4.1); damaged ones end the search.
    """
    if data[:2] != b"\xff\xd8":
        return ""
    tables, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:  # fill bytes count as one
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            break
        end = at + 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        if marker == _TABLES:
            tables.append(data[at + 4 : end])
        at = end
    return hashlib.blake2b(b"".join(tables), digest_size=4).hexdigest() if tables else ""
