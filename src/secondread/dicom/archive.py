"""An archive that speaks DICOM, asked what it has (C-FIND) and for objects (C-GET, or C-MOVE to this node's port)."""

import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association

from secondread.dicom.classes import GET, MOVE, QUERY, STORAGE, SYNTAXES
from secondread.dicom.destinations import Destination
from secondread.dicom.identities import text_of
from secondread.dicom.pull_filter import OF_SERIES
from secondread.dicom.storing import Stored, keep_out_of_logs
from secondread.errors import CannotOpen

Take = Callable[[bytes], Stored]  # what becomes of the bytes of an object
_SECONDS = 60.0  # that an archive may take for one step
_MOST_ROWS = 50_000  # of one answer
_AT_ONCE = 50  # objects that one request names
_CLASSES_AT_ONCE = 127 // len(SYNTAXES)  # each syntax is a context of its own, of which there are 128 at most
_PENDING = (0xFF00, 0xFF01)
_NO_DESTINATION = 0xA801  # PS3.4 table C.4-2
_TROUBLE = {
    0xA700: "it is out of resources; it is asked again later",
    0xA701: "it is out of resources; it is asked again later",
    0xA702: "it could not send the objects on; look at its log",
    0xA900: "it does not understand the question; take conditions out of the filter",
    0x0122: "it does not offer this service; try dicom_pull_by",
}


class Archive(Protocol):
    """What is asked for images. Every method raises CannotOpen where the archive cannot be used now."""

    name: str  # as an AE title: who a pulled object's sender is to rules

    def studies(self, query: dict[str, str]) -> Iterator[str]:
        """UIDs of those that fit."""

    def series(self, study: str, query: dict[str, str]) -> Iterator[dict[str, str]]:
        """Of a study: SeriesInstanceUID, and Modality where it is known."""

    def instances(self, study: str, series: str) -> dict[str, str]:
        """Of a series: SOP Instance UID → SOP Class UID, '' where it is not known."""

    def fetch(self, study: str, series: str, instances: dict[str, str], take: Take) -> Counter[str]:
        """Have these objects taken; what became of each, as Stored.counted, or 'missing' for what was not given."""

    def close(self) -> None:
        """End what is open."""


class NodeArchive:
    """By DIMSE. Not for several threads. by_move: whether objects are sent to `own_aet`'s port; else they are got."""

    def __init__(self, place: Destination, *, own_aet: str, tls: ssl.SSLContext | None = None, by_move: bool = False):
        self.name = place.aet
        self._place = place
        self._own = own_aet
        self._tls = tls
        self._by_move = by_move
        self._asking: Association | None = None
        keep_out_of_logs()

    def studies(self, query: dict[str, str]) -> Iterator[str]:
        """See Archive."""
        wanted = _identifier("STUDY", {"StudyInstanceUID": "", **query})
        yield from dict.fromkeys(filter(None, (text_of(one, "StudyInstanceUID") for one in self._found(wanted))))

    def series(self, study: str, query: dict[str, str]) -> Iterator[dict[str, str]]:
        """See Archive."""
        asked = {"StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": "", **query}
        for one in self._found(_identifier("SERIES", asked)):
            yield {name: text_of(one, name) for name in ("SeriesInstanceUID", *OF_SERIES)}

    def instances(self, study: str, series: str) -> dict[str, str]:
        """See Archive."""
        asked = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": "", "SOPClassUID": ""}
        found = self._found(_identifier("IMAGE", asked))
        return {uid: text_of(one, "SOPClassUID") for one in found if (uid := text_of(one, "SOPInstanceUID"))}

    def fetch(self, study: str, series: str, instances: dict[str, str], take: Take) -> Counter[str]:
        """See Archive. C-MOVE counts what the archive says it has sent as 'moved': the node's port took it."""
        counts: Counter[str] = Counter()
        classes = sorted({one for one in instances.values() if one in STORAGE}) or list(STORAGE)
        for some in _batched(classes, _CLASSES_AT_ONCE):
            mine = [uid for uid, kind in instances.items() if kind in some or (not kind and some[0] == classes[0])]
            for uids in _batched(mine, _AT_ONCE):
                wanted = _identifier(
                    "IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": list(uids)}
                )
                counts += self._moved(wanted, uids) if self._by_move else self._got(wanted, uids, some, take)
        counts["missing"] += sum(kind not in (*STORAGE, "") for kind in instances.values())
        return +counts

    def close(self) -> None:
        """Release the association that asks."""
        if self._asking is not None and self._asking.is_established:
            self._asking.release()
        self._asking = None

    def _found(self, wanted: Dataset) -> list[Dataset]:
        if self._asking is None or not self._asking.is_established:
            self._asking = self._associated([build_context(QUERY)])
        found: list[Dataset] = []
        for status, one in self._asking.send_c_find(wanted, QUERY):
            code = self._code(status)
            if code in _PENDING and one is not None:
                found.append(one)
                if len(found) > _MOST_ROWS:
                    self._asking.abort()
                    raise CannotOpen(f"{self._place} answers with more than {_MOST_ROWS} rows; ask for less")
            elif code != 0x0000:
                raise CannotOpen(self._why(code))
        return found

    def _got(self, wanted: Dataset, uids: Sequence[str], classes: Iterable[str], take: Take) -> Counter[str]:
        """On an association of its own, on which the archive sends them (PS3.4 C.4.3)."""
        counts: Counter[str] = Counter()

        def stored(event: Any) -> Any:
            found = take(event.encoded_dataset())
            counts[found.counted] += 1
            return found.answer

        contexts = [build_context(GET)]
        contexts += [build_context(one, syntax) for one in classes for syntax in SYNTAXES]
        roles = [build_role(one, scp_role=True) for one in classes]
        assoc = self._associated(contexts, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, stored)])
        try:
            for status, _ in assoc.send_c_get(wanted, GET):
                code = self._code(status)
                if code not in (*_PENDING, 0x0000, 0xB000) and not counts and code != 0xA702:
                    raise CannotOpen(self._why(code))
        finally:
            if assoc.is_established:
                assoc.release()
        counts["missing"] += max(len(uids) - counts.total(), 0)
        return counts

    def _moved(self, wanted: Dataset, uids: Sequence[str]) -> Counter[str]:
        assoc = self._associated([build_context(MOVE)])
        n_sent = 0
        try:
            for status, _ in assoc.send_c_move(wanted, self._own, MOVE):
                code = self._code(status)
                n_sent = max(n_sent, int(status.get("NumberOfCompletedSuboperations", 0) or 0))
                if code == _NO_DESTINATION:
                    raise CannotOpen(
                        f"{self._place} does not know {self._own} as a place to send to; enter its AE title, address "
                        "and port there, or set dicom_pull_by to 'get'"
                    )
                if code not in (*_PENDING, 0x0000, 0xB000):
                    raise CannotOpen(
                        f"{self._place} could not send objects on to {self._own} (status {code:04X}): is `secondread "
                        "dicom listen` running at the address and port that are entered there, and does it let it in?"
                    )
        finally:
            if assoc.is_established:
                assoc.release()
        return Counter(moved=n_sent, missing=max(len(uids) - n_sent, 0))

    def _associated(self, contexts: list[Any], **more: Any) -> Association:
        ae = AE(self._own)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
        assoc = ae.associate(
            self._place.host,
            self._place.port,
            ae_title=self._place.aet,
            contexts=contexts,
            tls_args=None if self._tls is None else (self._tls, self._place.host),
            **more,
        )
        if assoc.is_rejected:
            raise CannotOpen(
                f"{self._place} refuses the association; is '{self._own}' entered there as one who may ask?"
            )
        if not assoc.is_established:
            secure = ", and whether it speaks TLS (dicom_send_tls)" if self._tls is None else " and its certificate"
            raise CannotOpen(f"{self._place} does not answer; look at address, port and AE title{secure}")
        if not any(one.abstract_syntax == contexts[0].abstract_syntax for one in assoc.accepted_contexts):
            assoc.release()
            raise CannotOpen(f"{self._place} does not offer {contexts[0].abstract_syntax.name}")
        return assoc

    def _code(self, status: Dataset) -> int:
        if "Status" not in status:
            raise CannotOpen(
                f"{self._place} ended the association before it had answered; is '{self._own}' entered there as one "
                "who may ask and be sent to?"
            )
        return int(status.Status)

    def _why(self, code: int) -> str:
        told = _TROUBLE.get(code, "look at its log")
        return f"{self._place} answers with status {code:04X}: {told}"


def _identifier(level: str, asked: dict[str, Any]) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in asked.items():
        setattr(ds, keyword, value)
    return ds


def _batched(values: Sequence[str], n: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(values), n):
        yield values[at : at + n]
