"""To whom the answer of a reading was shown: no opinion that they give after that is a first one.

Without it an opinion "from before the answer" is a claim. Every way on which an answer leaves the store for a person is
noted here, or the answer is withheld from them.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.service.outcomes import StoredReading
from secondread.service.statements import insert_shown
from secondread.service.tables import ReadingRow, ReviewRow, ShownRow, now
from secondread.service.trail import Actor
from secondread.service.triage import OPEN, WAITING
from secondread.tasks import list_tasks, task_named


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


def telling(session: Session, readings: Iterable[StoredReading], person: str) -> frozenset[int]:
    """Those of a question that follows another one whose answer the person owes an opinion on: that it was asked, or
    was not, tells that answer.
    """
    first_of = {
        one.id: (one.image_sha256, before) for one in readings if (before := _asked_after(one.task)) and one.task
    }
    if not first_of:
        return frozenset()
    owing = _owing(session, set(first_of.values()), person)
    return frozenset(number for number, first in first_of.items() if first in owing)


def owes_first(session: Session, image_sha256: str, task: str, person: str) -> bool:
    """Whether asking this image for a task would tell an answer that the person owes an opinion on."""
    before = _asked_after(task)
    return bool(before) and bool(_owing(session, {(image_sha256, before)}, person))


def _owing(session: Session, firsts: set[tuple[str, str]], person: str) -> set[tuple[str, str]]:
    """Of these, image and task, those with an answer that the person has not seen and given no opinion on."""
    answers = session.execute(
        select(ReadingRow.id, ReadingRow.image_sha256, ReadingRow.task).where(
            ReadingRow.image_sha256.in_({image for image, _ in firsts}),
            ReadingRow.task.in_({task for _, task in firsts}),
            ReadingRow.decision != "",
            ReadingRow.review_state.in_((OPEN, WAITING)),
            ReadingRow.deleted_at.is_(None),
        )
    ).all()
    waiting = owed(session, [row.id for row in answers], person)
    return {(row.image_sha256, row.task) for row in answers if row.id in waiting} & firsts


def _asked_after(task: str) -> str:
    return task_named(task).asked_after if task in list_tasks() else ""
