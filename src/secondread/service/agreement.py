"""How far the reader and the reviewers agree, over what the store holds: task by task, by patient.

An opinion that was given before the answer was shown says how far two judges agree. One that was given after it says
how far a person went along with the answer; the two are never counted together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import select

from secondread.service.database import Database
from secondread.service.filters import Filter, conditions_of
from secondread.service.reviews import REVIEW
from secondread.service.tables import ImageRow, ReviewRow
from secondread.stats.agreement import Agreement, agreement

_FINDING_OF = {"positive": 1, "negative": 0}


@dataclass(frozen=True)
class Judged:
    """The reader against each reviewer, and each two reviewers on the images that both judged."""

    by_reviewer: dict[str, Agreement]
    between: dict[tuple[str, str], Agreement]


@dataclass(frozen=True)
class TaskAgreement:
    """Who agrees with whom on one task. Which images people chose to review colours every number."""

    blind: Judged  # by the opinions given before the answer was shown
    after: Judged  # by those given after it
    concluded: Agreement  # the reader against what reviewers concluded, having seen its answer


@dataclass(frozen=True)
class AgreementTable:
    """Every task on its own; then all of them together, by the opinions given after the answer was shown."""

    tasks: dict[str, TaskAgreement]
    concluded: Agreement
    by_reviewer: dict[str, Agreement]
    between: dict[tuple[str, str], Agreement]


class AgreementStatistics:
    """Agreement measured on what the store holds."""

    def __init__(self, database: Database):
        self._database = database

    def table(self, only: Filter | None = None) -> AgreementTable:
        """Answers 'uncertain', refusals and opinions 'unsure' are left out: they are no yes or no.

        Of each person the last opinion before the answer was shown counts, and the last one after it.
        """
        readings = conditions_of(only or Filter()).subquery()
        known = select(
            readings.c.id, readings.c.task, readings.c.decision, readings.c.finding, readings.c.image_sha256,
            ImageRow.patient,
        ).join(ImageRow, ImageRow.sha256 == readings.c.image_sha256)  # fmt: skip
        with self._database.reading() as session:
            concluded: Sequence[Any] = session.execute(known.where(readings.c.finding.is_not(None))).mappings().all()
            opinions = (
                session.execute(
                    known.add_columns(ReviewRow.reviewer, ReviewRow.saw_answer, ReviewRow.finding.label("said"))
                    .join(ReviewRow, ReviewRow.reading_id == readings.c.id)
                    .where(ReviewRow.kind == REVIEW)
                    .order_by(ReviewRow.id)
                )
                .mappings()
                .all()
            )
        last = {(row["id"], row["reviewer"], row["saw_answer"]): row for row in opinions}  # the later one wins
        given: list[Any] = [row for row in last.values() if row["said"] is not None]
        names = sorted({str(row["task"]) for row in (*concluded, *given)})
        after = _judged(row for row in given if row["saw_answer"])
        return AgreementTable(
            {
                name: TaskAgreement(
                    _judged(row for row in given if row["task"] == name and not row["saw_answer"]),
                    _judged(row for row in given if row["task"] == name and row["saw_answer"]),
                    _with_reader((row for row in concluded if row["task"] == name), "finding"),
                )
                for name in names
            },
            _with_reader(concluded, "finding"),
            after.by_reviewer,
            after.between,
        )


def _judged(opinions: Iterable[Mapping[str, Any]]) -> Judged:
    by: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in opinions:
        by.setdefault(row["reviewer"], {})[row["id"]] = row
    alone = {name: _with_reader(rows.values(), "said") for name, rows in sorted(by.items())}
    between = {}
    for one, two in combinations(sorted(by), 2):
        if both := sorted(by[one].keys() & by[two].keys()):
            pairs = [(by[one][at]["said"], by[two][at]["said"]) for at in both]
            between[one, two] = agreement(pairs, [_patient(by[one][at]) for at in both])
    return Judged({name: found for name, found in alone.items() if found.n}, between)


def _with_reader(rows: Iterable[Mapping[str, Any]], said: str) -> Agreement:
    told = [row for row in rows if row["decision"] in _FINDING_OF]
    return agreement([(_FINDING_OF[row["decision"]], row[said]) for row in told], [_patient(row) for row in told])


def _patient(row: Mapping[str, Any]) -> str:
    """The pseudonym of the file's patient; an image without one stands alone."""
    return str(row["patient"] or row["image_sha256"])
