"""A bundle in the shadow of the one that answers: what it would say, kept apart from readings, and what would change.

It reads after the fact, while the queue is idle, as many images an hour as the setting says at most. Its answers are no
readings: no list, page or report shows one as an answer, and they decide nothing.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.exc import IntegrityError

from secondread.errors import Busy, CannotWrite, DatabaseUnusable, NotThere, SecondReadError, StorageAway
from secondread.service.changes import Changes, Counting, Pair, answer_of
from secondread.service.database import Database
from secondread.service.outcomes import Outcome, StoredReading
from secondread.service.readings import show
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.service.trail import Actor, record
from secondread.service.upgrade_tables import ShadowAnswerRow
from secondread.service.upgrades import BundleChoice, Upgrades
from secondread.service.uploads import ReadingRequest

Look = Callable[[str, ReadingRequest], Outcome]  # as ReadingDesk.look
_LEASE = timedelta(minutes=10)  # after which one that was begun and never ended is begun again
_MOST = 20_000  # shadow answers that are compared
_PAGE = 200
_ACTOR = Actor("shadow", "worker")
_OUTAGES = (DatabaseUnusable, StorageAway, CannotWrite, Busy)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Next:
    """A reading that the shadow reads after."""

    answer_id: int
    reading_id: int
    image_sha256: str
    asked: ReadingRequest
    choice: BundleChoice


class Shadows:
    """Safe with any number of workers in any number of processes. per_hour: readings at most, of all of them."""

    def __init__(self, database: Database, upgrades: Upgrades, *, per_hour: int):
        self._database = database
        self._upgrades = upgrades
        self._per_hour = per_hour

    def step(self, look: Look) -> bool:
        """Read one image in the shadow; False where none is due. Raises what hinders every image."""
        shadows = self._upgrades.shadows() if self._per_hour else {}
        for choice in shadows.values():
            claimed = self._claim(choice)
            if claimed is not None:
                self._read(claimed, look)
                return True
        return False

    def changes(self, choice: BundleChoice, *, actor: Actor | None = None) -> Changes:
        """What would change by what it said in the shadow, of the newest 20,000 images.

        actor: who is told; readings whose answer is withheld from them are not named, the others are noted as shown.
        """
        counting = Counting()
        statement = (
            select(ReadingRow, ShadowAnswerRow, ImageRow.patient)
            .join(ShadowAnswerRow, ShadowAnswerRow.reading_id == ReadingRow.id)
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(
                ShadowAnswerRow.choice_id == choice.id,
                ShadowAnswerRow.state == "done",
                ReadingRow.deleted_at.is_(None),
            )
            .order_by(ReadingRow.id.desc())
            .limit(_MOST)
        )
        with self._database.reading() as session:
            for reading, said, patient in session.execute(statement.execution_options(yield_per=_PAGE)):
                counting.add(_pair(reading, said, patient))
        found = counting.result()
        return found if actor is None else replace(found, examples=self._shown(found.examples, actor))

    def _shown(self, examples: Sequence[Pair], actor: Actor) -> tuple[Pair, ...]:
        ids = [one.reading_id for one in examples]
        with self._database.begin() as session:
            rows = session.scalars(select(ReadingRow).where(ReadingRow.id.in_(ids)))
            shown = {one.id for one in show(session, [StoredReading.of(row) for row in rows], actor) if not one.hidden}
        return tuple(one for one in examples if one.reading_id in shown)

    def _claim(self, choice: BundleChoice) -> _Next | None:
        moment = now()
        try:
            with self._database.begin() as session:
                of_late = select(func.count()).where(ShadowAnswerRow.at > moment - timedelta(hours=1))
                if (session.scalar(of_late) or 0) >= self._per_hour:
                    return None
                stale = select(ShadowAnswerRow).where(
                    ShadowAnswerRow.choice_id == choice.id,
                    ShadowAnswerRow.state == "running",
                    ShadowAnswerRow.at < moment - _LEASE,
                )
                row = session.scalar(stale.limit(1).with_for_update(skip_locked=True))
                if row is None:
                    said = exists().where(
                        ShadowAnswerRow.choice_id == choice.id, ShadowAnswerRow.reading_id == ReadingRow.id
                    )
                    due = select(ReadingRow.id).where(
                        ReadingRow.id > choice.after_reading,
                        ReadingRow.task == choice.task,
                        ReadingRow.bundle_sha256 == choice.beside_sha256,
                        ReadingRow.deleted_at.is_(None),
                        ~said,
                    )
                    reading_id = session.scalar(due.order_by(ReadingRow.id).limit(1))
                    if reading_id is None:
                        return None
                    row = ShadowAnswerRow(choice_id=choice.id, reading_id=reading_id)
                    session.add(row)
                row.at = moment
                session.flush()
                reading = session.get_one(ReadingRow, row.reading_id)
                return _Next(row.id, reading.id, reading.image_sha256, request_of(reading, choice.name), choice)
        except IntegrityError:  # another worker took the same one
            return None

    def _read(self, claimed: _Next, look: Look) -> None:
        try:
            found = look(claimed.image_sha256, claimed.asked)
        except _OUTAGES:
            raise
        except NotThere:
            self._close(claimed, "failed", refusal_code="erased")
        except SecondReadError as error:
            _LOG.error("reading %d in the shadow: %s", claimed.reading_id, error)
            self._close(claimed, "failed", refusal_code="cannot_read")
        except Exception:  # a bug on one image must not stop the queue; its traceback is for the log
            _LOG.exception("reading %d could not be read in the shadow", claimed.reading_id)
            self._close(claimed, "failed", refusal_code="defect")
        else:
            if found.bundle_sha256 and found.bundle_sha256 != claimed.choice.bundle_sha256:
                self._close(claimed, "failed", refusal_code="other_bundle")  # the weights were exchanged since
                return
            names = ("operating_point", "threshold", "low", "probability", "decision", "refusal_code")
            self._close(claimed, "done", **{name: getattr(found, name) for name in names})

    def _close(self, claimed: _Next, state: str, **values: Any) -> None:
        with self._database.begin() as session:
            row = session.get_one(ShadowAnswerRow, claimed.answer_id)
            row.state = state
            for name, value in values.items():
                setattr(row, name, value)
            record(session, _ACTOR, "shadow.read", f"reading:{claimed.reading_id}", bundle=claimed.choice.bundle)


class Trial:
    """Another bundle on what is kept: read-only, one image at a time, and nothing it says is stored."""

    def __init__(self, database: Database, look: Look):
        self._database = database
        self._look = look

    def pairs(self, name: str, *, beside_sha256: str, before: int | None = None) -> Iterator[Pair]:
        """What `name` (task/name) would say beside what that bundle said, the newest reading first.

        before: only readings of lower numbers, to go on where one stopped. An image that was read at several thresholds
        comes as often; one that was erased is left out. Raises what hinders every image.
        """
        at = before
        while rows := self._page(beside_sha256, at):
            for reading, patient in rows:
                try:
                    found = self._look(reading.image_sha256, request_of(reading, name))
                except NotThere:
                    continue
                yield _pair(reading, found, patient)
            at = rows[-1][0].id

    def before(self, task: str, sha256: str) -> tuple[str, str] | None:
        """Id and hash of what last answered for a task besides these weights, as before the package brought others."""
        statement = (
            select(ReadingRow.bundle, ReadingRow.bundle_sha256)
            .where(
                ReadingRow.task == task, ReadingRow.bundle_sha256.not_in([sha256, ""]), ReadingRow.deleted_at.is_(None)
            )
            .order_by(ReadingRow.id.desc())
            .limit(1)
        )
        with self._database.reading() as session:
            row = session.execute(statement).first()
        return None if row is None else (row.bundle, row.bundle_sha256)

    def _page(self, sha256: str, before: int | None) -> list[Any]:
        statement = (
            select(ReadingRow, ImageRow.patient)
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(ReadingRow.bundle_sha256 == sha256, ReadingRow.deleted_at.is_(None), ReadingRow.erased_at.is_(None))
        )
        if before is not None:
            statement = statement.where(ReadingRow.id < before)
        with self._database.reading() as session:
            return list(session.execute(statement.order_by(ReadingRow.id.desc()).limit(_PAGE)).all())


def request_of(reading: ReadingRow, name: str) -> ReadingRequest:
    """What asks the bundle `name` (task/name) of what was read there, the whole file or one frame of it."""
    several = (reading.facts.get("n_frames") or 1) > 1 and not reading.frames
    task, _, bundle = name.partition("/")
    return ReadingRequest(task, bundle=bundle, frame=reading.frame + 1 if several else None)


def _pair(reading: ReadingRow, said: Any, patient: str) -> Pair:
    return Pair(
        reading_id=reading.id,
        patient=patient or reading.image_sha256,
        old=answer_of(reading.decision, reading.refusal_code),
        new=answer_of(said.decision, said.refusal_code),
        old_probability=reading.probability,
        new_probability=said.probability,
        finding=reading.finding,
    )
