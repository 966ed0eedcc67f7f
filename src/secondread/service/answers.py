"""Answers to requests that create something, kept for a day: sent again, they create nothing twice."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.service.commits import GroupCommit
from secondread.service.database import Database
from secondread.service.tables import AnswerRow, now

_KEPT = timedelta(hours=24)
_ABANDONED = timedelta(minutes=10)  # who began and has not answered since was killed
_FEW = 50  # readings of an image
_ODD = timedelta(minutes=1)  # a moment so far ahead is of a clock that was set back since


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    content_type: str
    body: str


def forget_answers(session: Session) -> None:
    """Delete those that are older than a day; also those of a clock that was set back by more than a day."""
    moment = now()
    session.execute(delete(AnswerRow).where(or_(AnswerRow.at < moment - _KEPT, AnswerRow.at > moment + _KEPT)))


def forget_answers_on(session: Session, reading_ids: Sequence[int]) -> None:
    """Delete those that tell of one of these readings: they name its file, or quote what was noted of it."""
    ids = set(reading_ids)
    if not ids:
        return
    # Of a day of answers the database leaves few to be looked into: "id" and "reading_id", with and without a space.
    numbers = [f'id":{gap}{one}' for one in ids for gap in ("", " ")] if len(ids) <= _FEW else ['id":']
    kept = session.execute(
        select(AnswerRow.key, AnswerRow.body).where(or_(*(AnswerRow.body.contains(number) for number in numbers)))
    )
    gone = [row.key for row in kept if ids & _readings_of(row.body)]
    session.execute(delete(AnswerRow).where(AnswerRow.key.in_(gone)))


def _readings_of(body: str) -> set[Any]:
    """The numbers of the readings that an answer tells of: of an opinion its one, of images sent each one's."""
    try:
        told = json.loads(body)
    except ValueError:
        return set()
    if not isinstance(told, dict):
        return set()
    many = [one.get("id") for one in told.get("readings") or () if isinstance(one, dict)]
    return {told.get("reading_id"), *many}


class Answers:
    """Known by all processes of a database, also after a restart.

    secret: of this data folder. A request may hold a password, so no plain hash of it is kept.
    """

    def __init__(self, database: Database, secret: Callable[[], bytes]):
        self._database = database
        self._secret = secret
        self._together = GroupCommit(database)

    def begin(self, key: str, request: bytes) -> Answer | Literal["new", "other_request", "in_progress"]:
        """Whether this request is the first with its key, and what the first was answered with.

        key: whose it is, of which address, and what the client calls it. request: all that it says; another one under
        that key is 'other_request'. A caller that is told 'new' ends with `end`.
        """
        name, body, moment = self.digest(key.encode()), self.digest(key.encode() + request), now()
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        fresh = {"key": name, "request_sha256": body, "status": None, "content_type": "", "body": "", "at": moment}

        def first(session: Session) -> Answer | Literal["new", "other_request", "in_progress"]:
            forget_answers(session)
            long_ago = or_(AnswerRow.at < moment - _ABANDONED, AnswerRow.at > moment + _ODD)
            session.execute(delete(AnswerRow).where(AnswerRow.key == name, AnswerRow.status.is_(None), long_ago))
            added = session.execute(
                insert(AnswerRow).values(**fresh).on_conflict_do_nothing().returning(AnswerRow.key)
            )  # fmt: skip
            if added.first() is not None:
                return "new"
            row = session.scalars(select(AnswerRow).where(AnswerRow.key == name)).one()
            if row.request_sha256 != body:
                return "other_request"
            return "in_progress" if row.status is None else Answer(row.status, row.content_type, row.body)

        return self._together(name, first)

    def end(self, key: str, answer: Answer | None) -> None:
        """Keep the answer; without one, forget the request, so that it can be tried again."""
        name = self.digest(key.encode())

        def last(session: Session) -> None:
            row = session.get(AnswerRow, name, with_for_update=True)
            if row is not None and answer is None:
                session.delete(row)
            elif row is not None and answer is not None:
                row.status, row.content_type, row.body, row.at = answer.status, answer.content_type, answer.body, now()

        self._together(name, last)

    def digest(self, data: bytes) -> str:
        """A hash of a request that nobody can guess at without this site's secret. Hexadecimal digits."""
        return hmac.new(self._secret(), data, hashlib.sha256).hexdigest()
