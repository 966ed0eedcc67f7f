"""How far two judges agree: raw agreement and Cohen's kappa, each with its interval."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import Any

from sqlalchemy import select

from secondread.service.database import Database
from secondread.service.reviews import REVIEW
from secondread.service.tables import ReviewRow
from secondread.service.worklist import Filter, conditions_of
from secondread.stats.proportions import clopper_pearson

_FINDING_OF = {"positive": 1, "negative": 0}


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same images, each saying 1 or 0."""

    n: int
    both_positive: int
    first_only: int
    second_only: int
    both_negative: int
    raw: float | None  # None without images
    raw_low: float
    raw_high: float
    kappa: float | None  # None where both always say the same one thing: nothing to agree on beyond chance
    kappa_low: float | None
    kappa_high: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def agreement(pairs: Iterable[tuple[int, int]], *, confidence: float = 0.95) -> Agreement:
    """Agreement of two judges on independent images.

    pairs: (first, second), each 1 or 0. Raw agreement: Clopper–Pearson. Kappa: Cohen 1960, its large-sample variance of
    Fleiss, Cohen & Everitt 1969 (eq. 14), so the interval is rough below some 50 images.
    """
    counts = {(a, b): 0 for a in (0, 1) for b in (0, 1)}
    for pair in pairs:
        counts[pair] += 1
    n, same = sum(counts.values()), counts[1, 1] + counts[0, 0]
    low, high = clopper_pearson(same, n, confidence=confidence) if n else (0.0, 1.0)
    kappa, kappa_low, kappa_high = _kappa([[counts[a, b] for b in (0, 1)] for a in (0, 1)], confidence)
    return Agreement(
        n, counts[1, 1], counts[1, 0], counts[0, 1], counts[0, 0],
        same / n if n else None, low, high, kappa, kappa_low, kappa_high,
    )  # fmt: skip


def _kappa(table: Sequence[Sequence[int]], confidence: float) -> tuple[float | None, float | None, float | None]:
    n = sum(map(sum, table))
    if n == 0:
        return None, None, None
    p = [[cell / n for cell in row] for row in table]
    rows = [sum(row) for row in p]
    columns = [sum(row[at] for row in p) for at in range(len(p))]
    observed = sum(p[at][at] for at in range(len(p)))
    expected = sum(row * column for row, column in zip(rows, columns, strict=True))
    if expected >= 1:
        return None, None, None
    kappa = (observed - expected) / (1 - expected)
    on = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in range(len(p)))
    off = (1 - kappa) ** 2 * sum(
        p[i][j] * (columns[i] + rows[j]) ** 2 for i in range(len(p)) for j in range(len(p)) if i != j
    )
    variance = (on + off - (kappa - expected * (1 - kappa)) ** 2) / (n * (1 - expected) ** 2)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(max(variance, 0.0))
    return kappa, max(kappa - half, -1.0), min(kappa + half, 1.0)


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
