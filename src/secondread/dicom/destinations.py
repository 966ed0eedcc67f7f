"""Where results go: a DICOM node, AET@HOST:PORT, or a DICOMweb server, https://host/dicom-web."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from secondread.errors import UsageError

_AET = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Destination:
    """One place that takes objects. str() gives it as it is written, and `parse` reads that."""

    aet: str = ""  # called application entity title; '' for DICOMweb
    host: str = ""
    port: int = 0
    url: str = ""  # of DICOMweb; '' for a node

    @property
    def is_web(self) -> bool:
        """Whether objects go there by STOW-RS, not by C-STORE."""
        return bool(self.url)

    @classmethod
    def parse(cls, text: str) -> "Destination":
        """'ORTHANC@10.0.0.5:4242' or 'https://pacs.example/dicom-web'. Raises UsageError."""
        text = text.strip()
        if "://" in text:
            return cls._web(text)
        aet, at, place = text.rpartition("@")
        found = _HOST_AND_PORT.fullmatch(place)
        if not at or found is None or not 0 < int(found["port"]) < 65536:
            raise UsageError(
                f"'{text}' is no destination; write AET@HOST:PORT, as ORTHANC@10.0.0.5:4242, or the address of a "
                "DICOMweb server, as https://pacs.example/dicom-web"
            )
        return cls(aet=check_aet(aet), host=found["host"].strip("[]"), port=int(found["port"]))

    @classmethod
    def _web(cls, text: str) -> "Destination":
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{text}' is no address of a DICOMweb server; write https://host/dicom-web")
        if parts.username or parts.password:
            raise UsageError("a destination names no password: it is shown on pages and stored with every result")
        return cls(url=text.rstrip("/"))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url or f"{self.aet}@{host}:{self.port}"


def check_aet(text: str) -> str:
    """An AE title: 1 to 16 printable ASCII characters without a backslash (PS3.5 6.2). Raises UsageError."""
    title = text.strip(" ")
    if not _AET.fullmatch(title):
        raise UsageError(f"'{text}' is no AE title; it has 1 to 16 letters, digits or signs, and no backslash")
    return title
