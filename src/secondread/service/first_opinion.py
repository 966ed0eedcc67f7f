"""To whom the answer of a reading was shown: no opinion that they give after that is a first one.

Without it an opinion "from before the answer" is a claim. Every way on which an answer leaves the store for a person is
noted here, or the answer is withheld from them.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.service.statements import insert_shown
from secondread.service.tables import ReviewRow, ShownRow, now
from secondread.service.trail import Actor


def shown_at(session: Session, reading_id: int, person: str) -> datetime | None:
    """When the answer was first shown to them; None: it was not."""
    row = session.get(ShownRow, (reading_id, person))
    return None if row is None else row.at


def note_shown(session: Session, reading_ids: Iterable[int], actor: Actor) -> None:
    """Note that these answers were shown to the actor, for those whose opinion would count."""
    rows = [{"reading_id": one, "person": actor.name, "at": now()} for one in sorted(set(reading_ids))]
    if rows and actor.may("review"):
        insert_shown(session, rows)


def owed(session: Session, reading_ids: Iterable[int], person: str) -> frozenset[int]:
    """Those of which the person has seen no answer and given no opinion."""
    ids = set(reading_ids)
    seen = session.scalars(
        select(ShownRow.reading_id).where(ShownRow.reading_id.in_(ids), ShownRow.person == person)
    ).all()
    given = session.scalars(
        select(ReviewRow.reading_id).where(ReviewRow.reading_id.in_(ids), ReviewRow.reviewer == person)
    ).all()
    return frozenset(ids - set(seen) - set(given))
