"""Drift over what the store holds: readings and reviews, window by window, beside the bundle's own evidence.

The level of all alarms together is shared out over the windows shown and the three things that are compared
(Bonferroni); how, `stats.drift` says. For agreement only those reviewed images count that were read at the operating
point that decides now, the site's own or the bundle's; both are held against the evidence at that very threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from sqlalchemy import select

from secondread.evidence.evidence import Scored
from secondread.evidence.measured import measured_predictions
from secondread.reading import Bundle, OperatingPoint
from secondread.service.database import Database
from secondread.service.points import OperatingPoints
from secondread.service.tables import ReadingRow, now
from secondread.stats.drift import Rate, Reference, ScoreDrift, rate_of, score_drift
from secondread.stats.interval import Interval
from secondread.stats.rates import rates_at


@dataclass(frozen=True)
class Window:
    """One stretch of time."""

    since: datetime
    until: datetime
    n: int  # images, refused ones included
    scores: ScoreDrift
    refusals: Rate
    sensitivity: Rate
    specificity: Rate

    @property
    def alarms(self) -> tuple[str, ...]:
        """What left the range of the evidence."""
        named: dict[str, ScoreDrift | Rate] = {
            "scores": self.scores,
            "refusals": self.refusals,
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
        }
        return tuple(name for name, found in named.items() if found.alarm)


class Drift:
    """Drift measured on what the store holds."""

    def __init__(self, database: Database):
        self._database = database

    def windows(
        self,
        bundle: Bundle,
        *,
        days: int = 7,
        n_windows: int = 8,
        until: datetime | None = None,
        split: str = "test",
        alarm_level: float = 0.05,
        source: str | None = None,
    ) -> list[Window]:
        """The last stretches of `days` days, the oldest first. Raises UsageError where the bundle has no evidence."""
        reference = reference_of(bundle, split)
        end = until or now()
        edges = [end - timedelta(days=days) * at for at in range(n_windows, -1, -1)]
        level = alarm_level / (3 * n_windows)
        rows = self._rows(bundle.sha256, edges[0], edges[-1], source)
        point = OperatingPoints(self._database).active_point(bundle) or bundle.operating_point()
        known = _rates_in(bundle, split, point)
        found = []
        for since, before in pairwise(edges):
            here = [row for row in rows if since <= row["created_at"] < before]
            found.append(_window(here, since, before, reference, (point.name, known), level))
        return found

    def _rows(self, sha256: str, since: datetime, until: datetime, source: str | None) -> list[Mapping[str, Any]]:
        names = ("created_at", "probability", "decision", "finding", "operating_point")
        columns = [getattr(ReadingRow, name) for name in names]
        statement = select(*columns).where(
            ReadingRow.bundle_sha256 == sha256,
            ReadingRow.created_at >= since,
            ReadingRow.created_at < until,
            ReadingRow.deleted_at.is_(None),
        )
        if source is not None:
            statement = statement.where(ReadingRow.source == source)
        with self._database.reading() as session:
            return [dict(row) for row in session.execute(statement).mappings()]


def reference_of(bundle: Bundle, split: str) -> Reference:
    """What a bundle's evidence says of one split. Raises UsageError where it has none."""
    rows = measured_predictions(bundle, split)
    read = [(row.label, row.probability) for row in rows if row.probability is not None]
    positives, negatives = (np.sort([value for own, value in read if own == label]) for label in (1, 0))
    return Reference(split, positives, negatives, len(rows) - len(read), len(rows))


def _rates_in(bundle: Bundle, split: str, point: OperatingPoint) -> tuple[Interval, Interval]:
    """Sensitivity and specificity at a point: with a band, the diseased must not be called negative, at its low end."""
    scored = Scored.of(measured_predictions(bundle, split))
    low = point.threshold if point.low is None else point.low
    at_low, at_high = (
        rates_at(scored.y_true, scored.probabilities > threshold, scored.groups) for threshold in (low, point.threshold)
    )
    return at_low.sensitivity, at_high.specificity


def _window(
    rows: Sequence[Mapping[str, Any]],
    since: datetime,
    until: datetime,
    reference: Reference,
    measured: tuple[str, tuple[Interval, Interval]],
    level: float,
) -> Window:
    """measured: the operating point's name, and its sensitivity and specificity in the evidence."""
    name, rates = measured
    scores = [row["probability"] for row in rows if row["probability"] is not None]
    # With a band, its promise is that the diseased are not called negative and the healthy not positive.
    judged = [row for row in rows if row["operating_point"] == name]
    found = {
        1: [row["decision"] != "negative" for row in judged if row["finding"] == 1],
        0: [row["decision"] != "positive" for row in judged if row["finding"] == 0],
    }
    return Window(
        since,
        until,
        len(rows),
        score_drift(scores, reference, level=level),
        rate_of(
            len(rows) - len(scores),
            len(rows),
            evidence_hits=reference.n_refused,
            evidence_n=reference.n,
            level=level,
            below_only=False,
        ),
        *(
            rate_of(
                sum(found[label]),
                len(found[label]),
                evidence_hits=(known.value or 0.0) * (known.n_effective or 0.0),
                evidence_n=known.n_effective or 0.0,
                level=level / 2,
                below_only=True,
            )
            for label, known in zip((1, 0), rates, strict=True)
        ),
    )
