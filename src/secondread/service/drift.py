"""Drift: whether what the reader meets here still looks like what it was measured on, window by window.

Three things are compared with the bundle's own evidence, each with an alarm whose chance of going off while nothing has
changed is at most `alarm_level` over all windows shown together (Bonferroni over windows and over the three).

**Scores.** A clinic has another share of the diseased than the test set, so its scores differ without any drift. The
window is therefore compared with every mixture of the evidence's scores of diseased and of healthy images, and the
alarm goes off only where no share of the diseased explains it: where, for every share p, the Kolmogorov–Smirnov
distance exceeds e(window) + p·e(diseased) + (1 − p)·e(healthy). Each e(n) is the Dvoretzky–Kiefer–Wolfowitz bound with
Massart's constant, √(ln(2/a)/2n), a being a third of the level: at the true share the sum bounds the distance by the
triangle inequality, whatever the distributions. The population stability index (PSI) is shown beside it, without alarm.

**Refusals.** Clopper–Pearson intervals of the refusal rate in the window and in the evidence, each at half the level;
alarm where they do not meet.

**Agreement.** Sensitivity and specificity against what reviewers concluded, which hold at any share of the diseased;
intervals as for refusals; alarm where the window's lies wholly below the evidence's. Only reviewed images read at the
bundle's default operating point count: if people review what looks odd, the rates are lower than over all images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np
from sqlalchemy import select

from secondread.errors import UsageError
from secondread.reading import Bundle, OperatingPoint
from secondread.service.database import Database
from secondread.service.tables import ReadingRow, now
from secondread.stats.proportions import clopper_pearson

_SHARES = np.linspace(0, 1, 101)
_BINS = 10


@dataclass(frozen=True)
class Rate:
    """A share with its interval, beside the evidence's."""

    hits: int
    n: int
    value: float | None
    low: float
    high: float
    evidence_value: float | None
    evidence_low: float
    evidence_high: float
    alarm: bool


@dataclass(frozen=True)
class ScoreDrift:
    """Scores of a window against the mixture of the evidence's that fits best."""

    n: int
    distance: float | None  # Kolmogorov–Smirnov, to the best mixture; None without scores
    allowed: float | None  # what chance explains at that share
    share: float | None  # of the diseased in that mixture: a rough estimate of the prevalence here
    psi: float | None  # population stability index against that mixture, ten bins of equal evidence
    alarm: bool


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

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "alarms": list(self.alarms),
        }


@dataclass(frozen=True, eq=False)
class Reference:
    """What a bundle's evidence says of one split."""

    split: str
    positives: np.ndarray  # sorted scores of the diseased
    negatives: np.ndarray
    n_refused: int
    n: int

    @classmethod
    def of(cls, bundle: Bundle, split: str = "test") -> "Reference":
        """From the predictions in the evidence. Raises UsageError where there are none."""
        predictions = (bundle.evidence or {}).get("predictions", {})
        if split not in predictions:
            known = ", ".join(predictions) or "none"
            raise UsageError(
                f"{bundle.id} has no evidence of the split '{split}' to compare with (it has: {known}); "
                "run `secondread evaluate`"
            )
        rows = predictions[split]
        scores = {
            label: np.sort([row[2] for row in rows if row[1] == label and row[2] is not None]) for label in (0, 1)
        }
        return cls(split, scores[1], scores[0], sum(row[2] is None for row in rows), len(rows))


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
        reference = Reference.of(bundle, split)
        end = until or now()
        edges = [end - timedelta(days=days) * at for at in range(n_windows, -1, -1)]
        level = alarm_level / (3 * n_windows)
        rows = self._rows(str(bundle.record["sha256"]), edges[0], edges[-1], source)
        point = bundle.operating_point()
        found = []
        for since, before in pairwise(edges):
            here = [row for row in rows if since <= row["created_at"] < before]
            found.append(_window(here, since, before, reference, point, level))
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


def score_drift(scores: Sequence[float] | np.ndarray, reference: Reference, *, level: float) -> ScoreDrift:
    """Whether any mixture of the reference explains these scores; see the module.

    level: the greatest chance of an alarm without drift.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if not len(values) or not (len(reference.positives) or len(reference.negatives)):
        return ScoreDrift(len(values), None, None, None, None, False)
    at = np.unique(np.concatenate([values, reference.positives, reference.negatives]))
    here, diseased, healthy = (_distribution(known, at) for known in (values, reference.positives, reference.negatives))
    shares = _SHARES if len(reference.positives) and len(reference.negatives) else np.array([0.0])
    if not len(reference.negatives):
        shares = np.array([1.0])
    mixtures = shares[:, None] * diseased + (1 - shares)[:, None] * healthy  # (share, place)
    # The distance between steps is the same as at the steps: all three are constant in between.
    distances = np.abs(mixtures - here).max(axis=1)
    e_here, e_diseased, e_healthy = (
        _dkw(len(known), level / 3) for known in (values, reference.positives, reference.negatives)
    )
    # Half a step of the grid of shares may lie between the true share and the nearest one looked at.
    grid = 0.5 / (len(_SHARES) - 1)
    allowed = e_here + shares * e_diseased + (1 - shares) * e_healthy + (grid if len(shares) > 1 else 0.0)
    best = int(np.argmin(distances - allowed))
    share = float(shares[best])
    return ScoreDrift(
        n=len(values),
        distance=float(distances[best]),
        allowed=float(allowed[best]),
        share=share,
        psi=_psi(values, reference, share),
        alarm=bool(distances[best] > allowed[best]),
    )


def rate_of(hits: int, n: int, *, evidence_hits: float, evidence_n: float, level: float, below_only: bool) -> Rate:
    """A share beside the evidence's; alarm where their intervals do not meet. below_only: a higher one is no alarm."""
    confidence = 1 - level / 2
    low, high = clopper_pearson(hits, n, confidence=confidence) if n else (0.0, 1.0)
    known = clopper_pearson(evidence_hits, evidence_n, confidence=confidence) if evidence_n else (0.0, 1.0)
    return Rate(
        hits,
        n,
        hits / n if n else None,
        low,
        high,
        evidence_hits / evidence_n if evidence_n else None,
        *known,
        alarm=high < known[0] or (low > known[1] and not below_only),
    )


def _window(
    rows: Sequence[Mapping[str, Any]],
    since: datetime,
    until: datetime,
    reference: Reference,
    point: OperatingPoint,
    level: float,
) -> Window:
    scores = [row["probability"] for row in rows if row["probability"] is not None]
    # With a band, its promise is that the diseased are not called negative and the healthy not positive.
    judged = [row for row in rows if row["operating_point"] == point.name]  # what the rates were measured at
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
                evidence_hits=(known.get("value") or 0.0) * _worth(known),
                evidence_n=_worth(known),
                level=level / 2,
                below_only=True,
            )
            for label, known in ((1, point.sensitivity), (0, point.specificity))
        ),
    )


def _worth(known: Mapping[str, Any]) -> float:
    """Independent images behind a rate of the evidence."""
    if known.get("value") is None:
        return 0.0
    return float(known.get("n_effective") or known.get("n") or 0)


def _distribution(known: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of `known` (sorted) up to each place."""
    return np.searchsorted(known, at, side="right") / len(known) if len(known) else np.zeros(len(at))


def _dkw(n: int, level: float) -> float:
    return sqrt(log(2 / level) / (2 * n)) if n else 0.0


def _psi(values: np.ndarray, reference: Reference, share: float) -> float:
    """Σ (here − there) ln(here / there) over ten bins; half an image is added to each so that none is empty."""
    both = np.sort(np.concatenate([reference.positives, reference.negatives]))
    edges = np.quantile(both, np.linspace(0, 1, _BINS + 1)[1:-1])

    def shares(known: np.ndarray) -> np.ndarray:
        counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=_BINS) + 0.5
        return counts / counts.sum()

    there = share * shares(reference.positives) + (1 - share) * shares(reference.negatives)
    here = shares(values)
    return float(((here - there) * np.log(here / there)).sum())
