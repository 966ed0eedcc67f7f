"""A site's modality worklist (PS3.4 annex K): which procedure steps are scheduled, and whose; asked by C-FIND."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, build_context

from secondread.dicom.classes import WORKLIST
from secondread.dicom.destinations import Destination
from secondread.dicom.identities import text_of
from secondread.dicom.tls import sending_tls
from secondread.errors import CannotOpen, UsageError
from secondread.service import NODE, Order, Service

_SECONDS = 30.0  # that a worklist may take for one step
_MOST = 10_000  # steps of one answer
_PENDING = (0xFF00, 0xFF01)
_ASKED = (
    "AccessionNumber", "PatientID", "PatientName", "IssuerOfPatientID", "StudyInstanceUID", "RequestedProcedureID",
    "RequestedProcedureDescription",
)  # fmt: skip
_ASKED_OF_STEP = (
    "ScheduledProcedureStepID", "ScheduledProcedureStepDescription", "ScheduledProcedureStepStartTime",
)  # fmt: skip


@dataclass(frozen=True)
class Worklist:
    """Where it is asked, and as whom. zone: whose clock it goes by; None: this machine's."""

    place: Destination
    own_aet: str
    tls: ssl.SSLContext | None = None
    zone: tzinfo | None = None

    def orders(self, *, since: date, until: date, modality: str = "", station: str = "") -> list[Order]:
        """What is scheduled on these days, earliest first. modality, station: an AE title; '' for any.

        Raises CannotOpen where the worklist cannot be used.
        """
        ae = AE(self.own_aet)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
        place = self.place
        tls = None if self.tls is None else (self.tls, place.host)
        contexts = [build_context(WORKLIST)]
        assoc = ae.associate(place.host, place.port, ae_title=place.aet, contexts=contexts, tls_args=tls)
        if assoc.is_rejected:
            raise CannotOpen(f"{place} refuses the association; is '{self.own_aet}' entered there as one who may ask?")
        if not assoc.is_established:
            raise CannotOpen(f"{place} does not answer; look at address, port, AE title and TLS")
        try:
            if not assoc.accepted_contexts:
                raise CannotOpen(f"{place} offers no modality worklist")
            found = []
            for status, one in assoc.send_c_find(_question(since, until, modality, station), WORKLIST):
                code = int(status.get("Status", 0xC000))
                if code not in (*_PENDING, 0x0000):
                    raise CannotOpen(f"{place} answers the worklist query with status {code:04X}; look at its log")
                if code in _PENDING and one is not None:
                    found.append(_order(one, self.zone))
                if len(found) > _MOST:
                    raise CannotOpen(f"{place} answers with more than {_MOST} steps; ask for fewer days")
        finally:
            if assoc.is_established:
                assoc.release()
        late = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda one: (one.scheduled_at or late, one.scheduled_procedure_step_id))


def worklist_of(text: str, settings: Mapping[str, Any], *, zone: tzinfo | None = None) -> Worklist:
    """The worklist at this place, as AET@HOST:PORT. Raises UsageError."""
    place = Destination.parse(text)
    if place.is_web:
        raise UsageError(f"'{text}' is no worklist; name a DICOM node, as RIS@10.0.0.6:104")
    return Worklist(place, str(settings["DICOM_AET"]), sending_tls(settings), zone)


def worklist_settings(settings: Mapping[str, Any], *, zone: tzinfo | None = None) -> Worklist | None:
    """That of the setting; None where there is none. Raises UsageError."""
    text = str(settings["DICOM_WORKLIST_FROM"])
    return worklist_of(text, settings, zone=zone) if text else None


def keep_orders(service: Service, worklist: Worklist) -> int:
    """Ask for yesterday to tomorrow and keep what is said; how many steps are new. Raises CannotOpen."""
    today = datetime.now(service.zone).date()
    found = worklist.orders(since=today - timedelta(days=1), until=today + timedelta(days=1))
    return service.orders.keep(found, worklist=str(worklist.place), actor=NODE)


def _question(since: date, until: date, modality: str, station: str) -> Dataset:
    ds, step = Dataset(), Dataset()
    for keyword in _ASKED:
        setattr(ds, keyword, "")
    for keyword in _ASKED_OF_STEP:
        setattr(step, keyword, "")
    step.Modality, step.ScheduledStationAETitle = modality, station
    step.ScheduledProcedureStepStartDate = f"{since:%Y%m%d}" + ("" if since == until else f"-{until:%Y%m%d}")
    ds.ScheduledProcedureStepSequence = Sequence([step])
    return ds


def _order(ds: Dataset, zone: tzinfo | None) -> Order:
    step = next(iter(ds.get("ScheduledProcedureStepSequence") or ()), Dataset())
    day, time = (text_of(step, f"ScheduledProcedureStepStart{what}") for what in ("Date", "Time"))
    return Order(
        scheduled_procedure_step_id=text_of(step, "ScheduledProcedureStepID"),
        requested_procedure_id=text_of(ds, "RequestedProcedureID"),
        requested_procedure_description=text_of(ds, "RequestedProcedureDescription"),
        scheduled_procedure_step_description=text_of(step, "ScheduledProcedureStepDescription"),
        accession_number=text_of(ds, "AccessionNumber"),
        study_instance_uid=text_of(ds, "StudyInstanceUID"),
        patient_id=text_of(ds, "PatientID"),
        patient_name=text_of(ds, "PatientName"),
        issuer_of_patient_id=text_of(ds, "IssuerOfPatientID"),
        modality=text_of(step, "Modality"),
        scheduled_station_ae_title=text_of(step, "ScheduledStationAETitle"),
        scheduled_at=_moment(day, time, zone),
    )


def _moment(day: str, time: str, zone: tzinfo | None) -> datetime | None:
    """None for a date that is none."""
    try:
        local = datetime.strptime(f"{day}{time.partition('.')[0]:0<6}"[:14], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return local.astimezone() if zone is None else local.replace(tzinfo=zone)
