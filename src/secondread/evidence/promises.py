"""What a bundle's operating points promise at each source of validation, and what other images then showed of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from secondread.evidence.evidence import Scored
from secondread.evidence.measured import read_predictions
from secondread.reading import Bundle, OperatingPoint
from secondread.stats.interval import Interval
from secondread.stats.promises import Guarantee
from secondread.stats.rates import rates_at

Kept = Literal["kept", "broken", "open"]


@dataclass(frozen=True)
class Seen:
    """What images that chose nothing show of a promised rate, at one source."""

    split: str
    source: str  # '' where the evidence does not tell sources apart
    rate: Interval
    n: int  # images of the class that the rate is about
    kept: Kept  # whether the interval lies at or above the target, below it, or holds it

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        ends = {key: value for key, value in self.rate.to_dict().items() if key in ("value", "low", "high")}
        return {"split": self.split, "source": self.source, "n": self.n, "kept": self.kept, **ends}


@dataclass(frozen=True)
class Promised:
    """One promise of one operating point."""

    operating_point: str
    threshold: float
    guarantee: Guarantee
    seen: tuple[Seen, ...]

    @property
    def in_words(self) -> str:
        """What was shown and where."""
        return self.guarantee.in_words()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "operating_point": self.operating_point,
            "threshold": self.threshold,
            **self.guarantee.to_dict(),
            "in_words": self.in_words,
            "seen": [one.to_dict() for one in self.seen],
        }


def guarantees_of(bundle: Bundle, point: OperatingPoint) -> tuple[Guarantee, ...]:
    """Of a point of the bundle, or of its site.

    Where the record does not tell sources apart, as before it could, the evidence may: it has read validation again.
    """
    apart = (bundle.evidence or {}).get("promises", {})
    names = [point.name] if point.low is None else ["screening", "confirm"]  # a band is made of these two
    if point not in bundle.operating_points.values() or not set(names) <= set(apart):
        return point.guarantees
    return tuple(Guarantee.from_dict(one) for name in names for one in apart[name])


def promises_of(bundle: Bundle, evidence: Mapping[str, Any] | None = None) -> list[Promised]:
    """Every promise of the bundle's points, with what the evidence's splits showed at that threshold.

    A point with a band is left out: it is made of two others. evidence: instead of the bundle's own.
    """
    table = bundle.evidence if evidence is None else evidence
    apart = (table or {}).get("promises", {})
    return [
        Promised(point.name, point.threshold, guarantee, _seen(table, guarantee, point.threshold))
        for point in bundle.operating_points.values()
        if point.low is None
        for guarantee in (map(Guarantee.from_dict, apart[point.name]) if point.name in apart else point.guarantees)
    ]


def _seen(evidence: Mapping[str, Any] | None, guarantee: Guarantee, threshold: float) -> tuple[Seen, ...]:
    found = []
    for split, result in (evidence or {}).get("results", {}).items():
        rows = read_predictions(evidence, split)
        for source in sorted({row.source for row in rows}):
            scored = Scored.of(row for row in rows if row.source == source)
            if not len(scored.y_true):
                continue
            rates = rates_at(scored.y_true, scored.probabilities > threshold, scored.groups)
            positive = guarantee.on == "sensitivity"
            rate, n = (rates.sensitivity, scored.y_true) if positive else (rates.specificity, ~scored.y_true)
            if rate.value is not None:
                where = source or result.get("source", "")
                found.append(Seen(split, where, rate, int(np.sum(n)), _kept(rate, guarantee.target)))
    return tuple(found)


def _kept(rate: Interval, target: float) -> Kept:
    if rate.low is not None and rate.low >= target:
        return "kept"
    return "broken" if rate.high is not None and rate.high < target else "open"
