"""Whose a DICOM study is: sealed with a key of this site, opened by those who may, and the trail knows each time.

What results need to land in the study they came from — the patient's name and number, the study's true UIDs — is no
part of what is kept for reading. It stands apart, encrypted (AES-256-GCM), so that neither a copy of the database nor
an export of it tells names. The key is derived (HKDF, RFC 5869) from the site's own; it is never in the database.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from secondread.errors import ExtraMissing, NotAllowed, NotThere, ServiceError
from secondread.service.database import Database
from secondread.service.dicom_tables import DicomIdentityRow, DicomObjectRow
from secondread.service.image_store import ImageStore
from secondread.service.tables import ImageRow, now
from secondread.service.trail import Actor, record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

IDENTIFY = "identify"  # the scope that opens identities; no role has it, the node gives it to itself
_NONCE = 12  # bytes (NIST SP 800-38D 8.2)


@dataclass(frozen=True)
class Identity:
    """Whose a study is, as the objects that were sent say it. Text as in the DICOM attribute of that name."""

    study_instance_uid: str
    patient_id: str = ""
    patient_name: str = ""  # with its component groups: 'Yamada^Tarou=山田^太郎'
    issuer_of_patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    referring_physician_name: str = ""
    character_set: tuple[str, ...] = ()  # Specific Character Set; text here is decoded already


@dataclass(frozen=True)
class Instance:
    """What an object is called where it came from: what a result refers to."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int | None = None
    instance_number: int | None = None
    series_description: str = ""
    modality: str = ""
    frame_of_reference_uid: str = ""
    laterality: str = ""
    rows: int = 0
    columns: int = 0
    n_frames: int = 1
    identity: Identity | None = None  # whose it is, as this object says it; None of what came before that was kept

    def belongs_to(self, study: Identity | None) -> Identity | None:
        """Whose a result of this object is; study: as the object said it that came last under its study's number.

        Names of one person are corrected, so the last one holds; another person under the same number of a study,
        which scanners do hand out twice, is never this one.
        """
        own = self.identity
        if own is None or study is None:
            return own or study
        same = own.patient_id and _person(own) == _person(study)
        return study if same else own


def _person(one: Identity) -> tuple[str, str, str]:
    return one.patient_id, one.issuer_of_patient_id, one.study_instance_uid


class Identities:
    """Seals and opens. Safe to share between threads. Raises ExtraMissing where the extra 'dicom' is not installed."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def seal(self, study_uid: str, identity: Identity) -> bytes:
        """The bytes that are kept. study_uid: the pseudonym; what was sealed for one study opens for no other."""
        return self._seal(study_uid, asdict(identity))

    def seal_instance(self, sop_instance_uid: str, instance: Instance) -> bytes:
        """As `seal`, of one object. sop_instance_uid: the pseudonym."""
        return self._seal(sop_instance_uid, asdict(instance))

    def seal_facts(self, bound_to: str, facts: dict[str, str]) -> bytes:
        """As `seal`, of other facts that identify. bound_to: what they are kept under."""
        return self._seal(bound_to, facts)

    def unseal_facts(self, bound_to: str, sealed: bytes, *, subject: str, actor: Actor) -> dict[str, Any]:
        """What `seal_facts` was given; noted in the trail, and raises, as `unseal`."""
        self._check(actor)
        with self._database.begin() as session:
            facts = self._open(bound_to, sealed)
            record(session, actor, "identity.unsealed", subject)
        return facts

    def keep_within(self, session: Session, study_uid: str, patient: str, sealed: bytes) -> None:
        """The study's row in the caller's transaction; what came last holds, for names are corrected."""
        row = session.scalars(
            select(DicomIdentityRow).where(DicomIdentityRow.study_uid == study_uid).with_for_update()
        ).one_or_none()
        if row is None:
            session.add(DicomIdentityRow(study_uid=study_uid, patient=patient, sealed=sealed))
            session.flush()
        else:
            row.patient, row.sealed, row.received_at = patient, sealed, now()

    def unseal(self, study_uid: str, *, actor: Actor) -> Identity:
        """Whose this study is; a line of the trail says who asked. study_uid: the pseudonym.

        Raises NotAllowed without the right to it, NotThere where nothing is kept (also after an erasure), ServiceError
        where the site's key is another than that which sealed it.
        """
        found = self.unseal_many([study_uid], actor=actor)
        if study_uid not in found:
            raise NotThere("whose study this is is not kept here; it may have been erased")
        return found[study_uid]

    def unseal_many(
        self, study_uids: Iterable[str], *, actor: Actor, of_one_person: bool = False
    ) -> dict[str, Identity]:
        """As `unseal`, for a list of studies: one line of the trail names them all; those not kept are left out.

        of_one_person: leaves out those under whose number objects of several people came, too.
        """
        self._check(actor)
        wanted = sorted(set(study_uids))
        asked = select(DicomIdentityRow).where(DicomIdentityRow.study_uid.in_(wanted))
        if of_one_person:
            asked = asked.where(~_of_others())
        with self._database.begin() as session:
            rows = session.scalars(asked).all()
            found = {row.study_uid: Identity(**_tuples(self._open(row.study_uid, row.sealed))) for row in rows}
            if found:
                subject = f"study:{wanted[0]}" if len(wanted) == 1 else "studies"
                record(session, actor, "identity.unsealed", subject, studies=sorted(found))
        return found

    def unseal_instances(self, sop_instance_uids: Iterable[str], *, actor: Actor) -> dict[str, Instance]:
        """What these objects are called where they came from, by their pseudonyms; noted in the trail as `unseal`."""
        self._check(actor)
        wanted = sorted(set(sop_instance_uids))
        with self._database.begin() as session:
            columns = select(DicomObjectRow.sop_instance_uid, DicomObjectRow.sealed)
            rows = session.execute(columns.where(DicomObjectRow.sop_instance_uid.in_(wanted))).all()
            found = {uid: _instance(self._open(uid, sealed)) for uid, sealed in rows if sealed}
            if found:
                told = {"n": len(found), "first": min(found)}
                record(session, actor, "identity.unsealed", "instances", **told)
        return found

    def check_key(self) -> None:
        """Raise ServiceError where the site's key does not open what was sealed last, as after a key that was lost."""
        asked = select(DicomIdentityRow.study_uid, DicomIdentityRow.sealed).order_by(DicomIdentityRow.id.desc())
        with self._database.reading() as session:
            last = session.execute(asked.limit(1)).one_or_none()
        if last is not None:
            self._open(*last)

    def _check(self, actor: Actor) -> None:
        if not actor.may(IDENTIFY):
            raise NotAllowed("whose study this is may not be seen by this account")

    def _seal(self, bound_to: str, facts: dict[str, Any]) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(facts).encode(), bound_to.encode())

    def _open(self, bound_to: str, sealed: bytes) -> dict[str, Any]:
        from cryptography.exceptions import InvalidTag

        try:
            facts: dict[str, Any] = json.loads(
                self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to.encode())
            )
        except InvalidTag as error:
            raise ServiceError(
                "an identity was sealed with another key; give the site's key (setting site_key) that was there then"
            ) from error
        return facts

    @cached_property
    def _cipher(self) -> "AESGCM":
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ModuleNotFoundError as error:
            raise ExtraMissing.of("sealing whose a study is", "dicom") from error
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"secondread dicom identities")
        return AESGCM(key.derive(self._images.secret("dicom identity")))


def _of_others() -> Any:
    """That an image of another person than the study's is kept under its number, or one that says nobody's name."""
    return exists().where(
        ImageRow.study == DicomIdentityRow.study_uid,
        ImageRow.erased_at.is_(None),
        ImageRow.patient != DicomIdentityRow.patient,
    )


def _instance(facts: dict[str, Any]) -> Instance:
    identity = facts.pop("identity", None)
    return Instance(**facts, identity=Identity(**_tuples(identity)) if identity else None)


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
