"""Answers to requests that create something, kept for a day: sent again, they create nothing twice."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.tables import AnswerRow, now

_KEPT = timedelta(hours=24)
_ABANDONED = timedelta(minutes=10)  # who began and has not answered since was killed


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    content_type: str
    body: str


def forget_answers(session: Session) -> None:
    """Delete those that are older than a day."""
    session.execute(delete(AnswerRow).where(AnswerRow.at < now() - _KEPT))


class Answers:
    """Known by all processes of a database, also after a restart.

    secret: of this data folder. A request may hold a password, so no plain hash of it is kept.
    """

    def __init__(self, database: Database, secret: Callable[[], bytes]):
        self._database = database
        self._secret = secret

    def begin(self, key: str, request: bytes) -> Answer | Literal["new", "other_request", "in_progress"]:
        """Whether this request is the first with its key, and what the first was answered with.

        key: whose it is, of which address, and what the client calls it. request: the body; another one under the same
        key is 'other_request'. A caller that is told 'new' ends with `end`.
        """
        name, body, moment = self._digest(key.encode()), self._digest(key.encode() + request), now()
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        fresh = {"key": name, "request_sha256": body, "status": None, "content_type": "", "body": "", "at": moment}
        with self._database.begin() as session:
            forget_answers(session)
            abandoned = (AnswerRow.key == name, AnswerRow.status.is_(None), AnswerRow.at < moment - _ABANDONED)
            session.execute(delete(AnswerRow).where(*abandoned))
            added = session.execute(
                insert(AnswerRow).values(**fresh).on_conflict_do_nothing().returning(AnswerRow.key)
            )  # fmt: skip
            if added.first() is not None:
                return "new"
            row = session.scalars(select(AnswerRow).where(AnswerRow.key == name)).one()
            if row.request_sha256 != body:
                return "other_request"
            return "in_progress" if row.status is None else Answer(row.status, row.content_type, row.body)

    def end(self, key: str, answer: Answer | None) -> None:
        """Keep the answer; without one, forget the request, so that it can be tried again."""
        with self._database.begin() as session:
            row = session.get(AnswerRow, self._digest(key.encode()), with_for_update=True)
            if row is not None and answer is None:
                session.delete(row)
            elif row is not None and answer is not None:
                row.status, row.content_type, row.body, row.at = answer.status, answer.content_type, answer.body, now()

    def _digest(self, data: bytes) -> str:
        return hmac.new(self._secret(), data, hashlib.sha256).hexdigest()
