"""Group commit: what several threads store at the same moment is one transaction, and waits for the disk once.

An error undoes what that one did, its lines of the trail among it, and reaches it alone: where one is met, all are done
anew, each within a savepoint. Nothing returns before the commit of all of them is on the disk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from secondread.service.database import Database
from secondread.service.together import Together
from secondread.service.trail import undone_with

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class _Work:
    key: str
    do: Callable[[Session], Any]


class GroupCommit:
    """Transactions of one process that are committed together. Safe to share between threads."""

    def __init__(self, database: Database):
        self._database = database
        self._together: Together[_Work, Any] = Together(self._commit)

    def __call__(self, key: str, do: Callable[[Session], _Found]) -> _Found:
        """What `do` gives, once it is committed. Raises what it raises, and as `Database.begin`.

        key: of what it locks first. Works go in the order of their keys, so that two processes which commit groups
        with the same images in them cannot wait for one another. do: may be called twice, what it did first undone.
        """
        found: _Found = self._together(_Work(key, do))
        return found

    def _commit(self, works: Sequence[_Work]) -> list[Any]:
        found: list[Any] = [None] * len(works)
        order = sorted(range(len(works)), key=lambda at: works[at].key)
        failed = False
        try:
            with self._database.begin() as session:
                for place in order:
                    failed = True
                    found[place] = works[place].do(session)
                    session.flush()  # what is wrong with its rows is told now, while it is known whose they are
                    failed = False
            return found
        except Exception:
            if not failed or len(works) == 1:
                raise
        return self._commit_each(works, order)

    def _commit_each(self, works: Sequence[_Work], order: Sequence[int]) -> list[Any]:
        found: list[Any] = [None] * len(works)
        with self._database.begin() as session:
            for place in order:
                try:
                    with undone_with(session), session.begin_nested():
                        found[place] = works[place].do(session)
                except SQLAlchemyError as error:
                    if _is_over(session, error):
                        raise _first(error) from error
                    found[place] = self._database.told(error)
                except Exception as error:
                    found[place] = error
        return found


def _first(error: SQLAlchemyError) -> SQLAlchemyError:
    """What went wrong at first, where going back to a savepoint failed then: SQLite had ended the transaction."""
    while isinstance(error.__context__, SQLAlchemyError):
        error = error.__context__
    return error


def _is_over(session: Session, error: SQLAlchemyError) -> bool:
    """Whether an error took the whole transaction with it: a connection that is gone, or one that SQLite ended."""
    if not session.is_active or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return True
    return not getattr(session.connection().connection.dbapi_connection, "in_transaction", True)
