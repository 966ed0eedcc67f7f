"""Scheduled orders of a site's modality worklist: kept sealed as identities are, and found again for what arrives.

An order is of an object where it names the study that the object is of, or has its accession number and its patient. A
result then names the order, also where the scanner did not copy it into its images.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.dicom_tables import DicomOrderRow
from secondread.service.identities import Identities, Identity
from secondread.service.intake import Intake
from secondread.service.queue import database_time
from secondread.service.trail import Actor, record


@dataclass(frozen=True)
class Order:
    """One scheduled procedure step (PS3.4 table K.6-1). Text as in the attribute of that name."""

    scheduled_procedure_step_id: str
    requested_procedure_id: str = ""
    requested_procedure_description: str = ""
    scheduled_procedure_step_description: str = ""
    accession_number: str = ""
    study_instance_uid: str = ""
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    issuer_of_patient_id: str = ""
    modality: str = ""
    scheduled_station_ae_title: str = ""
    scheduled_at: datetime | None = field(default=None, compare=False)


class Orders:
    """Safe with any number of processes."""

    def __init__(self, database: Database, intake: Intake, identities: Identities):
        self._database = database
        self._intake = intake
        self._identities = identities

    def keep(self, orders: Iterable[Order], *, worklist: str, actor: Actor) -> int:
        """Keep what a worklist says now, in place of what it said of the same steps before; how many steps are new.

        worklist: where it was asked, as RIS@10.0.0.6:104. Raises ExtraMissing, DatabaseUnusable.
        """
        sealed = [(self._step(one, worklist), one) for one in orders]
        n_new = 0
        with self._database.begin() as session:
            moment = database_time(session)
            for step, one in sealed:
                row = session.scalars(select(DicomOrderRow).where(DicomOrderRow.step == step)).one_or_none()
                if row is None:
                    row = DicomOrderRow(step=step)
                    session.add(row)
                    n_new += 1
                row.study_uid, row.patient = self._intake.stand_in(one.study_instance_uid), self.patient_of(one)
                row.accession = self._intake.accession_of(one.accession_number, row.patient)
                row.modality, row.scheduled_at, row.seen_at = one.modality[:16], one.scheduled_at, moment
                row.sealed = self._identities.seal_facts(step, _plain(one))
                session.flush()
            record(session, actor, "worklist.kept", f"worklist:{worklist}", orders=len(sealed), new=n_new)
        return n_new

    def find(self, *, study_uid: str, accession_number: str, patient: str, actor: Actor) -> Order | None:
        """The order that an object is of, noted in the trail as a look at an identity; None where there is none.

        study_uid, patient: pseudonyms. Raises NotAllowed, ServiceError.
        """
        wanted = _of_object(study_uid, self._intake.accession_of(accession_number, patient))
        with self._database.reading() as session:
            row = session.scalars(
                select(DicomOrderRow).where(wanted).order_by(DicomOrderRow.id.desc()).limit(1)
            ).first()
            found = None if row is None else (row.id, row.step, row.sealed)
        if found is None:
            return None
        facts = self._identities.unseal_facts(found[1], found[2], subject=f"order:{found[0]}", actor=actor)
        return Order(**facts)

    def patient_of(self, whose: Order | Identity) -> str:
        """The pseudonym of a person, as images have it (see images.deidentify); '' where nothing tells them apart."""
        person = whose.patient_id or whose.patient_name
        return self._intake.pseudonym_of("patient", f"{person}\0{whose.issuer_of_patient_id}") if person else ""

    def counts(self) -> dict[str, int]:
        """How many orders are kept, and of how many an object has come."""
        with self._database.reading() as session:
            arrived = session.scalars(select(DicomOrderRow.arrived_at)).all()
        return {"scheduled": len(arrived), "arrived": sum(one is not None for one in arrived)}

    def _step(self, order: Order, worklist: str) -> str:
        parts = worklist, order.scheduled_procedure_step_id, order.requested_procedure_id, order.accession_number
        return self._intake.pseudonym_of("procedure step", "\0".join(parts))


def note_arrived(session: Session, *, study_uid: str, accession: str) -> None:
    """An object of these has come, in the transaction that keeps it. Pseudonyms; '' where it does not say."""
    wanted = _of_object(study_uid, accession)
    moment = database_time(session)
    session.execute(update(DicomOrderRow).where(wanted, DicomOrderRow.arrived_at.is_(None)).values(arrived_at=moment))


def forget_orders_of(session: Session, patient: str) -> None:
    """All of one person, in the transaction that erases them. patient: the pseudonym."""
    if patient:
        session.execute(delete(DicomOrderRow).where(DicomOrderRow.patient == patient))


def forget_orders_before(session: Session, before: datetime) -> int:
    """Those that no worklist has had since; how many went."""
    gone = session.execute(delete(DicomOrderRow).where(DicomOrderRow.seen_at < before).returning(DicomOrderRow.id))
    return len(gone.all())


def _of_object(study_uid: str, accession: str) -> ColumnElement[bool]:
    return or_(
        and_(DicomOrderRow.study_uid == study_uid, DicomOrderRow.study_uid != ""),
        and_(DicomOrderRow.accession == accession, DicomOrderRow.accession != ""),
    )


def _plain(order: Order) -> dict[str, str]:
    facts = asdict(order)
    del facts["scheduled_at"]
    return {name: str(text) for name, text in facts.items()}
