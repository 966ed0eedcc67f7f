"""Which bundle answers for a task here: switched to by a person, and back; and which one reads in its shadow.

Without a choice the package's own default answers. Every choice is bound to a bundle's hash, as a site's threshold is:
so no threshold passes to other weights, and weights that were exchanged on the disk answer for nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from secondread.errors import Conflict, UsageError
from secondread.reading import Bundle
from secondread.service.database import Database
from secondread.service.shortly import Shortly
from secondread.service.tables import ReadingRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.service.upgrade_tables import BundleChoiceRow

ANSWERS, SHADOW = "answers", "shadow"
_BEGUN = {ANSWERS: "bundle.switched", SHADOW: "shadow.begun"}


@dataclass(frozen=True)
class BundleChoice:
    """A choice that was made; `ended_at` is None for one that holds now."""

    id: int
    task: str
    role: str  # 'answers' or 'shadow'
    name: str  # task/name
    bundle: str  # task/name@hash
    bundle_sha256: str
    beside: str  # the bundle that answered when it was chosen
    beside_sha256: str
    after_reading: int
    note: str
    chosen_by: str
    chosen_at: datetime
    ended_at: datetime | None
    ended_by: str


class Upgrades:
    """One bundle at most answers for a task by choice, one at most is in its shadow.

    What `chosen` and `shadows` say is remembered for a second: a switch of another process is seen within that time.
    """

    def __init__(self, database: Database):
        self._database = database
        self._open: Shortly[list[BundleChoice]] = Shortly()

    def chosen(self) -> dict[str, BundleChoice]:
        """Task → what answers for it in place of the package's own choice. For readers, see Readers.follow."""
        return {one.task: one for one in self._now() if one.role == ANSWERS}

    def shadows(self) -> dict[str, BundleChoice]:
        """Task → what reads in the shadow."""
        return {one.task: one for one in self._now() if one.role == SHADOW}

    def holding(self, task: str, role: str) -> BundleChoice | None:
        """The choice that holds now, looked up anew."""
        with self._database.reading() as session:
            row = _holding(session, task, role)
            return None if row is None else record_of(BundleChoice, row)

    def history(self, task: str | None = None) -> list[BundleChoice]:
        """Every choice, the newest first; for one task or all."""
        statement = select(BundleChoiceRow).order_by(BundleChoiceRow.id.desc())
        if task is not None:
            statement = statement.where(BundleChoiceRow.task == task)
        with self._database.reading() as session:
            return [record_of(BundleChoice, row) for row in session.scalars(statement)]

    def shade(self, bundle: Bundle, *, beside: Bundle, note: str = "", actor: Actor) -> BundleChoice:
        """Let a bundle read in the shadow from now on, after what answers; an earlier shadow of the task ends.

        beside: the bundle that answers now. Raises UsageError.
        """
        return self._choose(SHADOW, bundle, beside, note, actor)

    def unshade(self, task: str, *, actor: Actor) -> None:
        """Let nothing read in the shadow any more; what it said is kept. Raises Conflict."""
        with self._changing() as session:
            row = _end(session, task, SHADOW, actor)
            if row is None:
                raise Conflict(f"no bundle reads in the shadow for {task}")
            record(session, actor, "shadow.ended", f"bundle:{row.bundle}", choice=row.id)

    def switch(self, bundle: Bundle, *, beside: Bundle, note: str = "", actor: Actor) -> BundleChoice:
        """Let a bundle answer for its task from now on; its shadow, and that of any other, ends.

        Its own operating point decides, or one that the site has chosen for this very bundle: never that of another.
        beside: the bundle that answers now. Raises UsageError.
        """
        return self._choose(ANSWERS, bundle, beside, note, actor)

    def back(self, task: str, *, actor: Actor) -> BundleChoice | None:
        """Undo the last switch: what answered before does so again, a choice or the package's own (None).

        Raises Conflict.
        """
        with self._changing() as session:
            ended = _end(session, task, ANSWERS, actor)
            if ended is None:
                raise Conflict(f"nothing was switched for {task}; the package's own choice answers")
            before = session.scalar(  # the one that this choice ended, not one that was undone before it
                select(BundleChoiceRow).where(
                    BundleChoiceRow.task == task,
                    BundleChoiceRow.role == ANSWERS,
                    BundleChoiceRow.id < ended.id,
                    BundleChoiceRow.ended_at == ended.chosen_at,
                )
            )
            if before is not None:
                before.ended_at, before.ended_by = None, ""
            told = before.bundle if before is not None else ended.beside
            record(session, actor, "bundle.switched_back", f"bundle:{ended.bundle}", choice=ended.id, back_to=told)
            session.flush()
            return None if before is None else record_of(BundleChoice, before)

    def tried(self, bundle: Bundle, *, beside: str, n: int, actor: Actor) -> None:
        """Note in the trail that a bundle was tried on so many stored images."""
        with self._database.begin() as session:
            record(session, actor, "bundle.tried", f"bundle:{bundle.id}", beside=beside, n=n)

    def _choose(self, role: str, bundle: Bundle, beside: Bundle, note: str, actor: Actor) -> BundleChoice:
        task = bundle.task.name
        if beside.task.name != task:
            raise UsageError(f"{bundle.id} is of the task {task}, and {beside.id} of {beside.task.name}")
        if bundle.sha256 == beside.sha256:
            raise UsageError(f"{bundle.id} answers already; name another bundle of {task}")
        moment = now()
        with self._changing() as session:
            for ends in {role, SHADOW}:
                ended = _end(session, task, ends, actor, moment)
                if ended is not None and ends != ANSWERS:
                    record(session, actor, "shadow.ended", f"bundle:{ended.bundle}", choice=ended.id)
            row = BundleChoiceRow(
                task=task,
                role=role,
                name=f"{task}/{bundle.name}",
                bundle=bundle.id,
                bundle_sha256=bundle.sha256,
                beside=beside.id,
                beside_sha256=beside.sha256,
                after_reading=session.scalar(select(func.max(ReadingRow.id))) or 0,
                note=note.replace("\0", "")[:2000],
                chosen_by=actor.name,
                chosen_at=moment,
            )
            session.add(row)
            session.flush()
            record(session, actor, _BEGUN[role], f"bundle:{bundle.id}", choice=row.id, beside=beside.id)
            return record_of(BundleChoice, row)

    def _now(self) -> list[BundleChoice]:
        def look() -> list[BundleChoice]:
            with self._database.reading() as session:
                rows = session.scalars(select(BundleChoiceRow).where(BundleChoiceRow.ended_at.is_(None)))
                return [record_of(BundleChoice, row) for row in rows]

        return self._open.get("all", look)

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        try:
            with self._database.begin() as session:
                yield session
        finally:
            self._open.forget()


def _holding(session: Session, task: str, role: str, *, lock: bool = False) -> BundleChoiceRow | None:
    statement = select(BundleChoiceRow).where(
        BundleChoiceRow.task == task, BundleChoiceRow.role == role, BundleChoiceRow.ended_at.is_(None)
    )
    return session.scalar(statement.with_for_update() if lock else statement)


def _end(
    session: Session, task: str, role: str, actor: Actor, moment: datetime | None = None
) -> BundleChoiceRow | None:
    row = _holding(session, task, role, lock=True)
    if row is not None:
        row.ended_at, row.ended_by = moment or now(), actor.name
        session.flush()
    return row
