"""How common disease is here: set for each task, recorded, reversible; and what an answer means at it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.errors import Conflict, SecondReadError
from secondread.evidence.likelihood import NOT_MEASURED, AnswerLikelihood, calibrated_at, likelihood_of
from secondread.reading import Bundle, named_bundle
from secondread.service.database import Database
from secondread.service.outcomes import Outcome
from secondread.service.shortly import Shortly
from secondread.service.tables import PrevalenceRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.stats.prevalence import at_prevalence
from secondread.stats.thresholds import check_prevalence
from secondread.tasks import task_named


@dataclass(frozen=True)
class SitePrevalence:
    """What was set; `ended_at` is None for the one that counts now."""

    id: int
    task: str
    prevalence: float  # share of the diseased among those examined here
    note: str  # where it is known from
    chosen_by: str
    chosen_at: datetime
    ended_at: datetime | None
    ended_by: str


@dataclass(frozen=True)
class Local:
    """How likely disease is after an answer, where it is as common as here."""

    prevalence: float
    probability: float


@dataclass(frozen=True)
class Meaning:
    """What an answer says beyond its score; None where it is not known."""

    likelihood: AnswerLikelihood | None  # of this decision at this operating point, in the bundle's evidence
    local: Local | None  # where the site has set how common disease is

    def to_dict(self) -> dict[str, Any]:
        """As every reading's JSON has it."""
        likelihood = NOT_MEASURED if self.likelihood is None else self.likelihood.to_dict()
        return likelihood | {"local": None if self.local is None else vars(self.local)}


NO_MEANING = Meaning(None, None)


class Prevalences:
    """One prevalence at most counts for each task; without one, answers say nothing of how likely disease is here."""

    def __init__(self, database: Database):
        self._database = database
        self._counting: Shortly[dict[str, float]] = Shortly()  # a change of another process is seen within a second

    def choose(self, task: str, *, prevalence: float, note: str = "", actor: Actor) -> SitePrevalence:
        """Set how common disease is; what was set before ends. Raises UnknownName, or UsageError for no share."""
        name = task_named(task).name
        check_prevalence(prevalence)
        with self._database.begin() as session:
            self._end(session, name, actor)
            row = PrevalenceRow(
                task=name, prevalence=prevalence, note=note.replace("\0", "")[:2000], chosen_by=actor.name
            )
            session.add(row)
            session.flush()
            record(session, actor, "prevalence.chosen", f"task:{name}", prevalence=prevalence)
        self._counting.forget()
        return record_of(SitePrevalence, row)

    def clear(self, task: str, *, actor: Actor) -> None:
        """Let none count any more. Raises UnknownName, or Conflict where none does."""
        name = task_named(task).name
        with self._database.begin() as session:
            if not self._end(session, name, actor):
                raise Conflict(f"no prevalence is set for {name}")
            record(session, actor, "prevalence.cleared", f"task:{name}")
        self._counting.forget()

    def active(self, task: str) -> SitePrevalence | None:
        """The one that counts now."""
        with self._database.reading() as session:
            row = session.scalar(
                select(PrevalenceRow).where(PrevalenceRow.task == task, PrevalenceRow.ended_at.is_(None))
            )
            return None if row is None else record_of(SitePrevalence, row)

    def history(self, task: str | None = None) -> list[SitePrevalence]:
        """Everything that was set, the newest first; for one task or all."""
        statement = select(PrevalenceRow).order_by(PrevalenceRow.id.desc())
        if task is not None:
            statement = statement.where(PrevalenceRow.task == task)
        with self._database.reading() as session:
            return [record_of(SitePrevalence, row) for row in session.scalars(statement)]

    def counting(self) -> dict[str, float]:
        """Task → prevalence, where one counts now."""

        def look() -> dict[str, float]:
            with self._database.reading() as session:
                rows = session.scalars(select(PrevalenceRow).where(PrevalenceRow.ended_at.is_(None)))
                return {row.task: row.prevalence for row in rows}

        return dict(self._counting.get("all", look))

    def meaning_of(self, outcome: Outcome, *, counting: Mapping[str, float] | None = None) -> Meaning:
        """What an answer says beyond its score. Nothing of a file of several frames: no evidence was made of such.

        counting: as the method of that name gives it, for many answers.
        """
        if not outcome.decision or outcome.threshold is None or outcome.probability is None or outcome.frames:
            return NO_MEANING
        name, sha256 = outcome.bundle.partition("@")[0], outcome.bundle_sha256
        here = (self.counting() if counting is None else counting).get(outcome.task)
        likelihood, share = None, None
        with suppress(SecondReadError):
            if (bundle := _bundle(name, sha256)) is None:
                return NO_MEANING
            likelihood = likelihood_of(bundle, threshold=outcome.threshold, low=outcome.low).get(outcome.decision)
            share = calibrated_at(bundle)
        if here is None or share is None:
            return Meaning(likelihood, None)
        found = at_prevalence(outcome.probability, calibrated_at=share, prevalence=here)
        return Meaning(likelihood, Local(here, round(found, 6)))

    def _end(self, session: Session, task: str, actor: Actor) -> bool:
        row = session.scalar(
            select(PrevalenceRow).where(PrevalenceRow.task == task, PrevalenceRow.ended_at.is_(None)).with_for_update()
        )
        if row is not None:
            row.ended_at, row.ended_by = now(), actor.name
            session.flush()
        return row is not None


@lru_cache(maxsize=32)
def _bundle(name: str, sha256: str) -> Bundle | None:
    """The very bundle that answered; None where that name is another training now.

    Loading one reads its weights, so what was found is kept, of those that are another as well: a list may hold
    hundreds of readings of the training before.
    """
    found = named_bundle(name)
    return found if found.sha256 == sha256 else None
