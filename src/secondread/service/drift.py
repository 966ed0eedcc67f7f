"""Drift over what the store holds: readings and reviews, window by window, beside what they should look like.

The chance of any false alarm within a year is at most the level, for one bundle and one source that is watched; how,
`stats.drift` says. For agreement only those reviewed images count that were read at the operating point that decides
now, the site's own or the bundle's. They are held against the evidence at that very threshold, or against the first
weeks here: who learnt on other machines may start lower than the evidence, and still be told when it falls further.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
from sqlalchemy import select

from secondread.errors import UnknownName
from secondread.evidence.evidence import Scored
from secondread.evidence.measured import measured_predictions
from secondread.evidence.unlabelled import reference_of
from secondread.reading import Bundle, OperatingPoint
from secondread.service.database import Database
from secondread.service.points import OperatingPoints
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.stats.drift import Observed, Rate, Reference, ScoreDrift, Scores, score_drift, watched
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.rates import rates_at
from secondread.stats.watch import Watch

AGAINST = ("evidence", "start")
FIRST_DAYS = 28  # of a place, where these are what later ones are held against
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_RATES = ("refusals", "sensitivity", "specificity")
_COMPARED = 4  # scores and the three rates share the year's level


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


@dataclass(frozen=True)
class Sight:
    """What all windows together could have shown of a rate."""

    n: int  # reviewed images
    n_groups: int  # patients
    held_against: float | None
    seen_below: float | None  # a fall to here since the first window would be seen four times of five; None: too few


@dataclass(frozen=True)
class DriftTable:
    """Windows, the oldest first, and how far they reach."""

    windows: list[Window]
    against: str  # 'evidence' or 'start'
    level: float  # greatest chance of a false alarm within a year
    sensitivity: Sight
    specificity: Sight


class Drift:
    """Drift measured on what the store holds."""

    def __init__(self, database: Database):
        self._database = database

    def table(
        self,
        bundle: Bundle,
        *,
        days: int = 7,
        n_windows: int = 8,
        until: datetime | None = None,
        split: str = "test",
        against: str = "evidence",
        level: float = 0.05,
        source: str | None = None,
    ) -> DriftTable:
        """The last stretches of `days` days; the last of them is still going on, where no end is given.

        against: 'evidence' of that split, or 'start': the first 28 days in which the bundle read here at the operating
        point that decides now; windows that began before these were over are left out. Stretches are counted from a
        fixed Monday, so that each is the same whenever one looks. Raises UsageError where the bundle has no evidence.
        """
        if against not in AGAINST:
            raise UnknownName.of("reference", against, AGAINST)
        point = OperatingPoints(self._database).active_point(bundle) or bundle.operating_point()
        edges = _edges(days, n_windows, until)
        if against == "start":
            began = self._began(bundle.sha256, point.name, source)
            ends = began + timedelta(days=FIRST_DAYS)
            edges = [edge for edge in edges if edge >= ends] or edges[-1:]
            first = self._rows(bundle.sha256, began, ends, source)
            reference, known = _of_first_days(first, point.name)
        else:
            reference = reference_of(bundle, split)
            known = _rates_in(bundle, split, point)
        rows = self._rows(bundle.sha256, edges[0], edges[-1], source)
        parts = [[row for row in rows if since <= row["created_at"] < before] for since, before in pairwise(edges)]
        a_year, each = ceil(366 / days), level / _COMPARED
        seen = {name: [_observed(part, name, point.name) for part in parts] for name in _RATES}
        held = {"refusals": reference.refusals, "sensitivity": known[0], "specificity": known[1]}
        rates = {
            name: watched(seen[name], held[name], level=each, windows_a_year=a_year, both_sides=name == "refusals")
            for name in _RATES
        }
        moment = now() if until is None else until
        windows = [
            Window(
                since=since,
                until=before,
                n=len(part),
                scores=_looked_at_once(score_drift(_scores(part), reference, level=each / a_year), before <= moment),
                **{name: rates[name][at] for name in _RATES},
            )
            for at, (part, (since, before)) in enumerate(zip(parts, pairwise(edges), strict=True))
        ]
        sights = {
            name: _sight(seen[name], held[name], Watch.over(held[name], level=each, starts_a_year=a_year))
            for name in ("sensitivity", "specificity")
        }
        return DriftTable(windows, against, level, **sights)

    def scores(self, sha256: str) -> list[tuple[float, str]]:
        """Probability and patient (else the image) of every image that a bundle read here; of several frames none."""
        statement = (
            select(ReadingRow.image_sha256, ReadingRow.probability, ReadingRow.frames, ImageRow.patient)
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(
                ReadingRow.bundle_sha256 == sha256,
                ReadingRow.probability.is_not(None),
                ReadingRow.deleted_at.is_(None),
            )
        )
        with self._database.reading() as session:
            rows = {row.image_sha256: row for row in session.execute(statement) if not row.frames}
        return [(row.probability, row.patient or image) for image, row in rows.items()]

    def _began(self, sha256: str, point: str, source: str | None) -> datetime:
        """When the bundle first read here at the point; this moment where it has not yet."""
        statement = select(ReadingRow.created_at).where(
            ReadingRow.bundle_sha256 == sha256,
            ReadingRow.operating_point == point,
            ReadingRow.deleted_at.is_(None),
        )
        if source is not None:
            statement = statement.where(ReadingRow.source == source)
        with self._database.reading() as session:
            return session.scalar(statement.order_by(ReadingRow.created_at).limit(1)) or now()

    def _rows(self, sha256: str, since: datetime, until: datetime, source: str | None) -> list[Mapping[str, Any]]:
        names = ("created_at", "probability", "decision", "finding", "operating_point", "image_sha256")
        columns = [getattr(ReadingRow, name) for name in names]
        statement = (
            select(*columns, ImageRow.patient)
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(
                ReadingRow.bundle_sha256 == sha256,
                ReadingRow.created_at >= since,
                ReadingRow.created_at < until,
                ReadingRow.deleted_at.is_(None),
            )
        )
        if source is not None:
            statement = statement.where(ReadingRow.source == source)
        with self._database.reading() as session:
            return [dict(row) for row in session.execute(statement).mappings()]


def _rates_in(bundle: Bundle, split: str, point: OperatingPoint) -> tuple[Interval, Interval]:
    """Sensitivity and specificity at a point: with a band, the diseased must not be called negative, at its low end."""
    scored = Scored.of(measured_predictions(bundle, split))
    low = point.threshold if point.low is None else point.low
    at_low, at_high = (
        rates_at(scored.y_true, scored.probabilities > threshold, scored.groups) for threshold in (low, point.threshold)
    )
    return at_low.sensitivity, at_high.specificity


def _of_first_days(rows: Sequence[Mapping[str, Any]], point: str) -> tuple[Reference, tuple[Interval, Interval]]:
    found = {name: _interval(_observed(rows, name, point)) for name in _RATES}
    reference = Reference(Scores.of([]), _scores(rows), found["refusals"])
    return reference, (found["sensitivity"], found["specificity"])


def _interval(seen: Observed) -> Interval:
    return proportion(seen.hits, group_codes(seen.groups)) if len(seen.hits) else NOTHING


def _edges(days: int, n_windows: int, until: datetime | None) -> list[datetime]:
    """Ends of windows, the oldest first."""
    step = timedelta(days=days)
    end = until or _MONDAY + step * ((now() - _MONDAY) // step + 1)
    return [end - step * at for at in range(n_windows, -1, -1)]


def _looked_at_once(found: ScoreDrift, is_over: bool) -> ScoreDrift:
    """Scores raise no alarm while their window goes on."""
    return found if is_over else replace(found, alarm=False)


def _scores(rows: Iterable[Mapping[str, Any]]) -> Scores:
    read = [row for row in rows if row["probability"] is not None]
    return Scores.of([row["probability"] for row in read], [_patient(row) for row in read])


def _observed(rows: Iterable[Mapping[str, Any]], name: str, point: str) -> Observed:
    """The images of a window of which the rate is a share. With a band, its promise is that the diseased are not called
    negative and the healthy not positive.
    """
    if name == "refusals":
        here = list(rows)
        hits = [row["probability"] is None for row in here]
    else:
        label, wrong = (1, "negative") if name == "sensitivity" else (0, "positive")
        here = [row for row in rows if row["operating_point"] == point and row["finding"] == label]
        hits = [row["decision"] != wrong for row in here]
    return Observed(np.array(hits, dtype=bool), [_patient(row) for row in here])


def _patient(row: Mapping[str, Any]) -> str:
    """The pseudonym of the file's patient; an image without one stands alone."""
    return str(row["patient"] or row["image_sha256"])


def _sight(seen: Sequence[Observed], known: Interval, watch: Watch) -> Sight:
    patients = {patient for window in seen for patient in window.groups}
    n = sum(len(window.hits) for window in seen)
    return Sight(n, len(patients), known.value, watch.seen_below(len(patients)))
