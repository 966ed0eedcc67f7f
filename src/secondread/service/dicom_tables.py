"""Tables of what a DICOM node receives, asks for, joins into series and sends back, and of alerts.

As in tables.py, a change needs a migration.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from secondread.service.tables import Base, now

DUE = "state = 'received'"  # as it stands in the index: a statement with these words finds it
UNTOLD = "told_at IS NULL AND reading_id IS NOT NULL"  # read, and its results not yet handed to the outbox
LONGEST_REASON = 500  # characters of a reason that is kept


class DicomObjectRow(Base):
    """An instance that was sent here. UIDs are pseudonyms, as in the file that is kept; the true ones are sealed."""

    __tablename__ = "dicom_objects"
    __table_args__ = (
        CheckConstraint("state IN ('received', 'waiting', 'read', 'refused', 'ignored', 'failed')", name="state"),
        Index("ix_dicom_objects_due", "next_attempt_at", "id", postgresql_where=text(DUE), sqlite_where=text(DUE)),
        Index("ix_dicom_objects_untold", "id", postgresql_where=text(UNTOLD), sqlite_where=text(UNTOLD)),
        Index("ix_dicom_objects_state", "state", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64), default="", index=True)
    study_uid: Mapped[str] = mapped_column(String(64), default="", index=True)
    transfer_syntax: Mapped[str] = mapped_column(String(64), default="")
    # The file as it is kept, in `images`; none of what is ignored, or could not be freed of names.
    image_sha256: Mapped[str | None] = mapped_column(ForeignKey("images.sha256"), index=True)
    size: Mapped[int] = mapped_column(default=0)  # bytes as sent
    sha256: Mapped[str] = mapped_column(String(64), default="")  # keyed; of the data set as sent
    received_at: Mapped[datetime] = mapped_column(default=now)
    calling_aet: Mapped[str] = mapped_column(String(16), default="")
    called_aet: Mapped[str] = mapped_column(String(16), default="")
    peer: Mapped[str] = mapped_column(String(64), default="")  # its address in the network
    state: Mapped[str] = mapped_column(String(16), default="received")  # 'waiting': for the rest of its series
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was refused, ignored or failed
    rule: Mapped[str] = mapped_column(String(100), default="")  # that decided
    task: Mapped[str] = mapped_column(String(100), default="")  # or 'auto'
    operating_point: Mapped[str] = mapped_column(String(100), default="")  # '' for the bundle's own or the site's
    destinations: Mapped[list[str]] = mapped_column(JSON, default=list)  # where results go
    reading_id: Mapped[int | None] = mapped_column(ForeignKey("readings.id"), index=True)
    told_at: Mapped[datetime | None]  # when its reading was handed to the outbox
    modality: Mapped[str] = mapped_column(String(16), default="")
    series_description: Mapped[str] = mapped_column(String(64), default="")  # words of the field alone
    series_number: Mapped[int | None]
    instance_number: Mapped[int | None]
    position: Mapped[list[float] | None] = mapped_column(JSON)  # ImagePositionPatient, mm
    orientation: Mapped[list[float] | None] = mapped_column(JSON)  # ImageOrientationPatient
    image_type: Mapped[str] = mapped_column(String(100), default="")  # 'ORIGINAL\\PRIMARY\\…'
    rows: Mapped[int] = mapped_column(default=0)
    columns: Mapped[int] = mapped_column(default=0)
    n_frames: Mapped[int] = mapped_column(default=1)
    n_expected: Mapped[int | None]  # Number of Series Related Instances, where the object says it
    attempts: Mapped[int] = mapped_column(default=0)  # also tells a worker that lost its turn from the one that has it
    next_attempt_at: Mapped[datetime] = mapped_column(default=now)
    sealed: Mapped[bytes] = mapped_column(LargeBinary, default=b"", deferred=True)  # see identities.Instance


class DicomIdentityRow(Base):
    """Whose a study is, sealed with a key of this site: what results need to land where the images came from."""

    __tablename__ = "dicom_identities"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), unique=True)  # the pseudonym
    patient: Mapped[str] = mapped_column(String(64), default="", index=True)  # the pseudonym, as of images
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(default=now)


class DicomSeriesRow(Base):
    """A series that comes in object by object, and what became of it."""

    __tablename__ = "dicom_series"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'reading', 'read', 'refused', 'ignored')", name="state"),
        Index("ix_dicom_series_due", "state", "due_at"),
    )

    series_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), default="", index=True)
    modality: Mapped[str] = mapped_column(String(16), default="")
    state: Mapped[str] = mapped_column(String(16), default="open")
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was refused or ignored
    n_expected: Mapped[int | None]  # objects, where one of them says so
    last_at: Mapped[datetime] = mapped_column(default=now)  # the last object came
    due_at: Mapped[datetime] = mapped_column(default=now)  # then it is read; of one in work, when its lease ends
    attempts: Mapped[int] = mapped_column(default=0)  # also tells a worker that lost its turn from the one that has it
    reading_id: Mapped[int | None] = mapped_column(ForeignKey("readings.id"), index=True)


class DicomPullRow(Base):
    """One archive that is asked for new images with one filter: how far it has been read, and who is asking it now."""

    __tablename__ = "dicom_pulls"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)  # a hash of source and filter
    source: Mapped[str] = mapped_column(String(200))  # as PACS@10.0.0.5:104 or https://pacs.example/dicom-web
    asked: Mapped[str] = mapped_column(Text, default="")  # the filter in words
    mark: Mapped[date | None]  # the last study date that was read to its end
    fetched: Mapped[int] = mapped_column(default=0)  # objects, since it was first asked
    last_at: Mapped[datetime | None]  # a round has ended
    last_error: Mapped[str] = mapped_column(Text, default="")
    held_until: Mapped[datetime | None]  # somebody asks it now; killed, another may from then on
    holder: Mapped[str] = mapped_column(String(32), default="")  # tells that one from others


class DicomOrderRow(Base):
    """A procedure step that a worklist has scheduled; whose it is, and its numbers, are sealed as identities are.

    What finds it again are keyed hashes, as all that is looked up here.
    """

    __tablename__ = "dicom_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(String(64), unique=True)  # of the worklist that has it, and its number there
    study_uid: Mapped[str] = mapped_column(String(64), default="", index=True)  # the pseudonym of the study to come
    accession: Mapped[str] = mapped_column(String(64), default="", index=True)  # of the number and whose it is
    patient: Mapped[str] = mapped_column(String(64), default="", index=True)  # the pseudonym, as of images
    modality: Mapped[str] = mapped_column(String(16), default="")
    scheduled_at: Mapped[datetime | None]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)  # see orders.Order
    seen_at: Mapped[datetime] = mapped_column(default=now)  # the worklist had it last
    arrived_at: Mapped[datetime | None]  # the first object that is of it has come


class DicomCorrectionRow(Base):
    """An object that came again under its number as another patient's or another study's, kept aside until decided."""

    __tablename__ = "dicom_corrections"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'accepted', 'rejected')", name="state"),
        Index("uq_dicom_corrections_what", "sop_instance_uid", "sha256", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64))  # the pseudonym
    sha256: Mapped[str] = mapped_column(String(64))  # keyed; of the data set as sent
    image_sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"), index=True)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)  # what its row will say where it is accepted
    sealed: Mapped[bytes] = mapped_column(LargeBinary)  # see identities.Instance
    study_sealed: Mapped[bytes] = mapped_column(LargeBinary)  # see identities.Identity
    calling_aet: Mapped[str] = mapped_column(String(16), default="")
    state: Mapped[str] = mapped_column(String(16), default="open", index=True)
    received_at: Mapped[datetime] = mapped_column(default=now)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(String(100), default="")


class Outgoing:
    """What every row has that is on its way to somebody: see service/outgoing.py."""

    state: Mapped[str] = mapped_column(String(16), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(default=now)
    last_error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


class DicomExportRow(Outgoing, Base):
    """One object with results, on its way to one destination."""

    __tablename__ = "dicom_exports"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'sent', 'failed')", name="state"),
        CheckConstraint("kind IN ('sr', 'capture', 'gsps', 'map')", name="kind"),
        Index("uq_dicom_exports_what", "sop_instance_uid", "destination", unique=True),
        Index("ix_dicom_exports_due", "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("readings.id"), index=True)
    destination: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))


class AlertRow(Outgoing, Base):
    """One thing that people outside are told, on its way to them. Nothing in it identifies a person."""

    __tablename__ = "alerts"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'sent', 'failed')", name="state"),
        CheckConstraint("channel IN ('webhook', 'mail')", name="channel"),
        Index("uq_alerts_what", "what", "channel", unique=True),
        Index("ix_alerts_due", "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(String(100))  # 'positive:17', 'queue:<item>', 'disk:<day>': told once
    channel: Mapped[str] = mapped_column(String(16))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
