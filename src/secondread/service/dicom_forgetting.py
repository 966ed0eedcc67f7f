"""What goes of received objects: with the image of an erased person, and with time what nothing was kept of."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from secondread.service.dicom_corrections import forget_corrections_of
from secondread.service.dicom_tables import LONGEST_REASON, DicomIdentityRow, DicomObjectRow
from secondread.service.tables import ImageRow


def forget_objects_of(session: Session, image_sha256: str, *, reason: str) -> None:
    """What names a person in the rows of an image that is being erased.

    A study's identity goes with the last object of its person.
    """
    mine = DicomObjectRow.image_sha256 == image_sha256
    studies = set(session.scalars(select(DicomObjectRow.study_uid).where(mine)))
    forget_corrections_of(session, image_sha256)
    open_ = DicomObjectRow.state.in_(("received", "waiting"))
    session.execute(update(DicomObjectRow).where(mine, open_).values(state="failed", reason=reason[:LONGEST_REASON]))
    session.execute(update(DicomObjectRow).where(mine).values(sealed=b"", series_description="", sha256=""))
    for row in session.scalars(select(DicomIdentityRow).where(DicomIdentityRow.study_uid.in_(studies))).all():
        others = (
            select(DicomObjectRow.id)
            .join(ImageRow, ImageRow.sha256 == DicomObjectRow.image_sha256)
            .where(
                DicomObjectRow.study_uid == row.study_uid,
                DicomObjectRow.sealed != b"",
                ImageRow.patient == row.patient,  # another's under the same number keep no name of this one
            )
        )
        if session.scalars(others.limit(1)).first() is None:
            session.delete(row)
    session.flush()


def forget_ignored(session: Session, before: datetime) -> int:
    """Delete rows of what came before that moment and of which nothing was kept; how many."""
    old = DicomObjectRow.image_sha256.is_(None), DicomObjectRow.received_at < before
    return len(session.execute(delete(DicomObjectRow).where(*old).returning(DicomObjectRow.id)).all())
