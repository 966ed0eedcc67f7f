"""Results on their way: made from the reading when they are sent, by C-STORE or STOW-RS, again until they arrive.

What waits is rows of the database, so a restart or a kill loses nothing; an object that was sent and not yet noted as
sent goes a second time under the same UID, and its archive has it once.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from secondread.dicom.destinations import Destination
from secondread.dicom.results import kinds_of, make, result_uid
from secondread.dicom.tls import sending_tls, web_authorities
from secondread.dicomweb import Credentials
from secondread.errors import (
    Busy,
    CannotWrite,
    DatabaseUnusable,
    ExtraMissing,
    SecondReadError,
    ServiceError,
    StorageAway,
    UsageError,
)
from secondread.service import NODE, Export, Service

_LOG = logging.getLogger("secondread.dicom")
_PROCESSING_FAILURE = 0x0110  # PS3.7 annex C.5.16: what an archive says whose own database is away
_SECONDS = 30.0  # that a destination may take for one step
_NOW = (DatabaseUnusable, StorageAway, CannotWrite, Busy)  # hinder every result alike
_MENDED = (ServiceError, ExtraMissing)  # an administrator mends: another key, a damaged file, a package that is missing
_ANSWERS = ("application/dicom+json", "application/json", "application/dicom+xml", "application/xml")
WRITTEN_IN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)  # the second for those that take nothing else


class NotTaken(Exception):
    """A destination did not take an object. again: whether it may later."""

    def __init__(self, sentence: str, *, again: bool):
        super().__init__(sentence)
        self.again = again


def enqueue(
    service: Service,
    reading_id: int,
    destinations: Iterable[str],
    *,
    settings: Mapping[str, Any] | None = None,
    again: bool = False,
) -> list[Export]:
    """Put the results of a reading on their way; those that are on it or have arrived are left as they are.

    destinations: as Destination.parse takes them. again: sends what has arrived or failed once more. Raises UsageError,
    NotThere.
    """
    places = [str(Destination.parse(text)) for text in destinations]
    reading = service.readings.get(reading_id, actor=NODE)
    wanted = str((settings or {}).get("DICOM_RESULTS", "sr,capture")).split(",")
    objects = [(kind, result_uid(reading, kind)) for kind in kinds_of(reading, wanted)]
    return service.dicom_exports.add(reading_id, objects, places, again=again)


def send_due(service: Service, settings: Mapping[str, Any] | None = None) -> int:
    """Send what is due to one destination after the other; gives how many objects arrived.

    Never raises for a destination that is away; raises what hinders every result (DatabaseUnusable, StorageAway,
    CannotWrite, Busy), which then waits for the next try.
    """
    n = 0
    while claimed := service.dicom_exports.claim():
        arrived = _send(service, claimed, settings or {})
        n += arrived
        if not arrived:
            break  # the next call goes on with the others
    return n


def _send(service: Service, claimed: Sequence[Export], settings: Mapping[str, Any]) -> int:
    made = [(export, ds) for export in claimed if (ds := _made(service, export)) is not None]
    if not made:
        return 0
    destination = Destination.parse(claimed[0].destination)
    send = _by_web if destination.is_web else _by_store
    n, left = 0, [export for export, _ in made]
    try:
        for (export, _), problem in zip(made, send(destination, [ds for _, ds in made], settings), strict=False):
            left.remove(export)
            if problem is None:
                service.dicom_exports.arrived(export.id)
                n += 1
            else:
                _put_off(service, export, problem)
    except (NotTaken, UsageError) as problem:  # the second: certificates of the settings that cannot be used
        for export in left:
            _put_off(service, export, NotTaken(str(problem), again=getattr(problem, "again", True)))
    return n


def _made(service: Service, export: Export) -> Dataset | None:
    """The object; None, with its row closed, where it cannot be made any more: erased, or nothing to lay over."""
    try:
        return make(service, export.reading_id, export.kind, actor=NODE, identified=True)
    except _NOW:
        raise
    except _MENDED as error:
        _put_off(service, export, NotTaken(str(error), again=True))
    except SecondReadError as error:
        service.dicom_exports.give_up(export.id, str(error))
    except Exception as error:  # a value of the study that may not be written on: the others must go all the same
        _LOG.exception("result %d of reading %d cannot be written", export.id, export.reading_id)
        service.dicom_exports.give_up(export.id, f"it cannot be written ({type(error).__name__}); see the log")
    return None


def _put_off(service: Service, export: Export, problem: NotTaken) -> None:
    _LOG.warning("%s did not take result %d: %s", export.destination, export.id, problem)
    if problem.again:
        service.dicom_exports.try_later(export.id, str(problem))
    else:
        service.dicom_exports.give_up(export.id, str(problem))


def _by_store(
    destination: Destination, objects: Sequence[Dataset], settings: Mapping[str, Any]
) -> Iterable[NotTaken | None]:
    """One association; for each object None, or why it was not taken. Raises NotTaken where none can be sent now."""
    from pynetdicom import AE

    ae = AE(ae_title=str(settings.get("DICOM_AET", "SECONDREAD")))
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
    for sop_class in sorted({str(ds.SOPClassUID) for ds in objects}):
        ae.add_requested_context(sop_class, list(WRITTEN_IN))
    tls = sending_tls(settings)
    association = ae.associate(
        destination.host,
        destination.port,
        ae_title=destination.aet,
        tls_args=None if tls is None else (tls, destination.host),
    )
    if not association.is_established:
        why = "it refused the association" if association.is_rejected else "it does not answer"
        raise NotTaken(why, again=True)
    try:
        for ds in objects:
            yield _stored(association, ds)
    finally:
        if association.is_established:
            association.release()


def _stored(association: Any, ds: Dataset) -> NotTaken | None:
    try:
        status = association.send_c_store(ds)
    except ValueError:  # no context was accepted for this class
        return NotTaken(f"it takes no {ds.SOPClassUID.name}", again=False)
    except RuntimeError as error:
        raise NotTaken("the association ended", again=True) from error
    if "Status" not in status:
        raise NotTaken("the association ended before an answer came", again=True)
    code = int(status.Status)
    if code == 0x0000 or 0xB000 <= code <= 0xBFFF:  # success, or taken with a warning (PS3.4 B.2.3)
        return None
    passing = 0xA700 <= code <= 0xA7FF or code == _PROCESSING_FAILURE
    return NotTaken(f"it answered with status {code:04X}", again=passing)


def _by_web(
    destination: Destination, objects: Sequence[Dataset], settings: Mapping[str, Any]
) -> Iterable[NotTaken | None]:
    """One STOW-RS request for each object (PS3.18 10.5). Raises as `_by_store`."""
    import requests
    from dicomweb_client import DICOMwebClient

    session = requests.Session()
    session.trust_env = False  # where results go is set here, and nowhere else
    session.max_redirects = 0
    session.verify = web_authorities(settings)
    session.headers.update(Credentials.of(settings).header)
    session.hooks["response"].append(_check_answer)
    client = DICOMwebClient(url=destination.url, session=session, timeout=_SECONDS)
    client.set_http_retry_params(retry=False)
    with session:
        for ds in objects:
            try:
                answer = client.store_instances([ds], study_instance_uid=str(ds.StudyInstanceUID))
            except requests.HTTPError as error:
                code = error.response.status_code if error.response is not None else 0
                yield NotTaken(
                    f"it answered with HTTP status {code}", again=code in (0, 401, 403, 408, 429) or code >= 500
                )
                continue
            except requests.RequestException as error:
                raise NotTaken(f"it does not answer ({type(error).__name__})", again=True) from error
            failed = answer.get("FailedSOPSequence") or []
            yield NotTaken("it did not keep the object", again=False) if failed else None


def _check_answer(answer: Any, **_: Any) -> None:
    """Refuse what no DICOMweb server says, such as a page to log in: dicomweb-client would take it for success.

    It also knows a media type by its bare name alone. Raises NotTaken.
    """
    kind = str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    if answer.ok and answer.content and kind not in _ANSWERS:
        raise NotTaken("it does not answer as a DICOMweb server does; look at the address", again=True)
    answer.headers["Content-Type"] = kind
