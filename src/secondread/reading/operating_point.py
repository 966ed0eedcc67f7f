"""What decides: a threshold for single pictures, and for a series how its pictures' probabilities become one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.stats.interval import Interval
from secondread.stats.promises import Guarantee

HIGHEST, MEAN_OF_HIGHEST, NEIGHBOURS = "highest", "mean of the highest", "highest mean of neighbours"
RULES = (HIGHEST, MEAN_OF_HIGHEST, NEIGHBOURS)
SERIES = "series"  # the name of a bundle's operating point for series
MOST_TOGETHER = 50  # pictures that a rule takes together
_OF_SERIES = ("rule", "n_together", "n_patients", "n_taught", "compared")


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold bound to one set of weights, with what it was measured to do."""

    name: str
    threshold: float  # positive above it
    chosen_by: str
    data: str
    date: str
    n: int
    sensitivity: Interval
    specificity: Interval
    weights_sha256: str
    low: float | None = None  # the uncertain band, where there is one
    high: float | None = None
    guarantees: tuple[Guarantee, ...] = ()  # what was promised of it, and where validation shows it; a band has two
    uncertain: Interval | None = None  # share of images in the band

    @classmethod
    def from_record(cls, name: str, table: Mapping[str, Any]) -> "OperatingPoint":
        """As a bundle's record, or a site's choice, holds it."""
        rates = {
            key: Interval.from_dict(table[key]) for key in ("sensitivity", "specificity", "uncertain") if key in table
        }
        promised = table.get("guarantee") or {}
        parts = (
            [promised] if "on" in promised else [promised[key] for key in ("sensitivity", "specificity") if promised]
        )
        rest = {key: value for key, value in table.items() if key != "guarantee"}
        return cls(**{**rest, **rates, "name": name, "guarantees": tuple(map(Guarantee.from_dict, parts))})

    @property
    def holds(self) -> bool | None:
        """Whether validation shows all that is promised, at every source; None where nothing is promised."""
        return all(one.holds for one in self.guarantees) if self.guarantees else None

    @property
    def decides_nothing(self) -> bool:
        """Whether all images it was chosen on are uncertain: none is missed or a false alarm, as none is answered."""
        return self.uncertain is not None and self.uncertain.value == 1


@dataclass(frozen=True)
class Combination:
    """How the probabilities of the pictures of a series, in their order, become that of the series.

    HIGHEST is the rule of a single picture; MEAN_OF_HIGHEST takes the n highest, NEIGHBOURS the highest mean of n that
    follow one another. Where fewer than n were read, those that were.
    """

    rule: str
    n: int = 1

    def __post_init__(self) -> None:
        if self.rule not in RULES or not 1 <= self.n <= MOST_TOGETHER:
            raise ValueError(f"'{self.rule}' of {self.n} is no way to combine pictures; there are {', '.join(RULES)}")

    def __call__(self, probabilities: Sequence[float]) -> float:
        """The series' own, 6 decimals; never above the highest, and at least one must be given."""
        given = np.asarray(probabilities, dtype=np.float64)
        n = min(self.n, len(given))
        if self.rule == HIGHEST or n == 1:
            return round(float(given.max()), 6)
        if self.rule == MEAN_OF_HIGHEST:
            return round(float(np.sort(given)[-n:].mean()), 6)
        return round(float(np.convolve(given, np.full(n, 1 / n), "valid").max()), 6)


@dataclass(frozen=True)
class SeriesPoint:
    """The operating point of a bundle for series: how their pictures are combined, and the threshold for that."""

    point: OperatingPoint
    combine: Combination

    @classmethod
    def from_record(cls, table: Mapping[str, Any]) -> "SeriesPoint":
        """As a bundle's record holds it, under `series`."""
        rest = {key: value for key, value in table.items() if key not in _OF_SERIES}
        return cls(OperatingPoint.from_record(SERIES, rest), Combination(table["rule"], int(table["n_together"])))
