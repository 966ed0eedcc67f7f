"""An archive that speaks DICOMweb, asked for new images: QIDO-RS and WADO-RS in place of C-FIND and C-GET."""

from collections import Counter
from collections.abc import Iterator

from pydicom.datadict import tag_for_keyword

from secondread.dicom.archive import Take
from secondread.dicom.pull_filter import OF_SERIES
from secondread.dicomweb import DicomWeb, NoObject, value


class WebArchive:
    """See archive.Archive. most: bytes of one object."""

    name = "DICOMWEB"

    def __init__(self, server: DicomWeb, *, most: int):
        self._server = server
        self._most = most

    def studies(self, query: dict[str, str]) -> Iterator[str]:
        """See Archive."""
        found = (value(one, _tag("StudyInstanceUID")) for one in self._server.studies(query))
        yield from dict.fromkeys(filter(None, found))

    def series(self, study: str, query: dict[str, str]) -> Iterator[dict[str, str]]:
        """See Archive."""
        for one in self._server.series(study, query):
            yield {name: value(one, _tag(name)) for name in ("SeriesInstanceUID", *OF_SERIES)}

    def instances(self, study: str, series: str) -> dict[str, str]:
        """See Archive."""
        found = self._server.instances(study, series)
        return {uid: value(one, _tag("SOPClassUID")) for one in found if (uid := value(one, _tag("SOPInstanceUID")))}

    def fetch(self, study: str, series: str, instances: dict[str, str], take: Take) -> Counter[str]:
        """See Archive."""
        counts: Counter[str] = Counter()
        for uid in instances:
            try:
                counts[take(self._server.instance(study, series, uid, most=self._most)).counted] += 1
            except NoObject:
                counts["missing"] += 1
        return counts

    def close(self) -> None:
        """See Archive."""
        self._server.close()


def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword):08X}"
