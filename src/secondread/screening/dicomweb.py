"""An archive that speaks DICOMweb, screened by a query: dicomweb+https://host/dicom-web/studies?ModalitiesInStudy=CR

The studies that fit are held, as the list of a zip file is, and read in the order of their dates: what comes in while a
run lasts, or was broken off, stands behind what was read. Series and objects are asked for study by study, and objects
fetched by whoever reads. Credentials and authorities come from the settings dicom_web_… and dicom_tls_archive_ca (the
environment, or the file that SECONDREAD_CONFIG names), so none stands in a journal.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from secondread.dicomweb import Credentials, DicomWeb, Found, NoObject, value
from secondread.errors import CannotOpen, UploadRefused, UsageError
from secondread.screening.picture import Picture, Remote
from secondread.service import settings_from

PREFIX = "dicomweb+"
_PLACE = re.compile(rf"{re.escape(PREFIX)}(.+)/studies/([\d.]+)/series/([\d.]+)/instances/([\d.]+)")
_STUDY, _SERIES, _OBJECT = "0020000D", "0020000E", "00080018"
_DATE, _NUMBER, _N_OBJECTS = "00080020", "00200013", "00201208"
_SIZE = ("00280010", "00280011", "00280008")  # rows, columns, frames
_UNKNOWN_SIZE = 8 << 20  # bytes, of an object whose size the server does not list
_OF_SERIES = ("Modality", "SeriesDescription", "BodyPartExamined", "ProtocolName", "SeriesInstanceUID", "SeriesNumber")


@dataclass(frozen=True)
class WebQuery:
    """A server, and which of its studies and series are asked for."""

    url: str
    studies: tuple[tuple[str, str], ...]
    series: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, address: str) -> "WebQuery":
        """Raises UsageError for what is no such address."""
        parts = urlsplit(address.removeprefix(PREFIX))
        root, slash, rest = parts.path.rstrip("/").rpartition("/studies")
        if not slash or rest or parts.fragment:
            raise UsageError(
                f"'{address}' is no query of a DICOMweb server; write dicomweb+https://host/dicom-web/studies?"
                "ModalitiesInStudy=CR&StudyDate=20260101-20260131"
            )
        asked = parse_qsl(parts.query, keep_blank_values=True)
        paging = [name for name, _ in asked if name in ("limit", "offset")]
        if paging:
            raise UsageError(f"'{paging[0]}' in a query would leave studies out; leave it out")
        url = urlunsplit((parts.scheme, parts.netloc, root, "", ""))
        return cls(
            url,
            tuple(one for one in asked if one[0] not in _OF_SERIES),
            tuple(one for one in asked if one[0] in _OF_SERIES),
        )

    def pictures(self, *, most: int) -> Iterator[Picture]:
        """Every object of what fits, study by study. most: bytes of one.

        Raises CannotOpen, also where no study fits.
        """
        server = _server(self.url)
        studies = sorted({(value(one, _DATE), value(one, _STUDY)) for one in server.studies(dict(self.studies))})
        if not studies:
            raise CannotOpen(f"no study in '{self.url}' fits the query; look at it, and at what this account may see")
        for _, study in studies:
            for series in sorted(value(one, _SERIES) for one in server.series(study, dict(self.series))):
                yield from self._of_series(server, study, series, most)

    def _of_series(self, server: DicomWeb, study: str, series: str, most: int) -> Iterator[Picture]:
        objects = {value(one, _OBJECT): one for one in server.instances(study, series)}
        for uid in sorted(objects, key=lambda uid: (_number(value(objects[uid], _NUMBER), 2**31), uid)):
            name = f"studies/{study}/series/{series}/instances/{uid}"
            yield Picture(name, Remote(f"{PREFIX}{self.url}/{name}", min(_n_bytes(objects[uid]), most)))

    def count(self) -> int | None:
        """How many objects the studies say they have; None where they do not say, or only some series are asked for."""
        if self.series:
            return None
        asked = {**dict(self.studies), "includefield": _N_OBJECTS}
        told = [value(one, _N_OBJECTS) for one in _server(self.url).studies(asked)]
        return sum(map(int, told)) if told and all(re.fullmatch(r"\d{1,9}", one) for one in told) else None


def is_web(source: str) -> bool:
    """An address of a DICOMweb query, or of an object of one."""
    return source.startswith(PREFIX)


def web_contents(places: list[str], most: int) -> dict[str, bytes | UploadRefused]:
    """Place → its bytes, or why there are none. Raises CannotOpen where the server cannot be used at all."""

    found: dict[str, bytes | UploadRefused] = {}
    for place in places:
        parts = _PLACE.fullmatch(place)
        try:
            if parts is None:  # a table may say anything
                raise NoObject(
                    f"'{place}' names no object; write {PREFIX}https://host/…/studies/…/series/…/instances/…"
                )
            found[place] = _server(parts[1]).instance(*parts.group(2, 3, 4), most=most)
        except NoObject as error:
            found[place] = UploadRefused(str(error), code="cannot_open")
    return found


@lru_cache(maxsize=4)
def _server(url: str) -> DicomWeb:
    settings = settings_from(os.environ)
    authorities = str(settings["DICOM_TLS_ARCHIVE_CA"] or settings["DICOM_TLS_CA"])
    return DicomWeb(url, credentials=Credentials.of(settings), authorities=authorities)


def _n_bytes(found: Found) -> int:
    """About as many as it has where its pixels are not compressed: so that not too many are held at once."""
    rows, columns, frames = (_number(value(found, tag), 0) for tag in _SIZE)
    return 2 * rows * columns * max(frames, 1) or _UNKNOWN_SIZE


def _number(text: str, otherwise: int) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else otherwise
