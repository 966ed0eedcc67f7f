"""How far the reader and the reviewers agree, over what the store holds."""

from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import select

from secondread.service.database import Database
from secondread.service.reviews import REVIEW
from secondread.service.tables import ReviewRow
from secondread.service.worklist import Filter, conditions_of
from secondread.stats.agreement import Agreement, agreement

_FINDING_OF = {"positive": 1, "negative": 0}


@dataclass(frozen=True)
class AgreementTable:
    """Who agrees with whom, over the reviewed readings of a filter.

    concluded: the reader against what reviewers concluded, one pair an image. by_reviewer: the reader against each.
    between: each two reviewers on the images both judged. Only reviewed images are in it: which ones people chose to
    review colours every number.
    """

    concluded: Agreement
    by_reviewer: dict[str, Agreement]
    between: dict[tuple[str, str], Agreement]


class AgreementStatistics:
    """Agreement measured on what the store holds."""

    def __init__(self, database: Database):
        self._database = database

    def table(self, only: Filter | None = None) -> AgreementTable:
        """Answers 'uncertain', refusals and opinions 'unsure' are left out: they are no yes or no."""
        readings = conditions_of(only or Filter()).subquery()
        with self._database.reading() as session:
            concluded = session.execute(
                select(readings.c.decision, readings.c.finding).where(readings.c.finding.is_not(None))
            ).all()
            newer = select(ReviewRow.supersedes).where(ReviewRow.supersedes.is_not(None))
            opinions = session.execute(
                select(readings.c.id, readings.c.decision, ReviewRow.reviewer, ReviewRow.finding)
                .join(ReviewRow, ReviewRow.reading_id == readings.c.id)
                .where(
                    ReviewRow.kind == REVIEW,
                    ReviewRow.saw_answer,
                    ReviewRow.finding.is_not(None),
                    ReviewRow.id.not_in(newer),
                )
            ).all()
        said: dict[str, dict[int, int]] = {}
        by_reviewer: dict[str, list[tuple[int, int]]] = {}
        for reading_id, decision, reviewer, finding in opinions:
            said.setdefault(reviewer, {})[reading_id] = finding
            if decision in _FINDING_OF:
                by_reviewer.setdefault(reviewer, []).append((_FINDING_OF[decision], finding))
        between = {
            (one, two): agreement((said[one][at], said[two][at]) for at in sorted(said[one].keys() & said[two].keys()))
            for one, two in combinations(sorted(said), 2)
        }
        return AgreementTable(
            agreement((_FINDING_OF[row.decision], row.finding) for row in concluded if row.decision in _FINDING_OF),
            {name: agreement(pairs) for name, pairs in sorted(by_reviewer.items())},
            {pair: found for pair, found in between.items() if found.n},
        )
