"""Which decisions another bundle would change: counted, with intervals by patient, and with readings to look at."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secondread.stats.interval import NOTHING, Interval
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.rates import Rates, rates_at

REFUSED = "refused"
ANSWERS = ("positive", "uncertain", "negative", REFUSED)
_SHOWN = 20  # readings named


@dataclass(frozen=True)
class Pair:
    """What two bundles said of one image."""

    reading_id: int
    patient: str  # a pseudonym, or the image itself
    old: str  # one of ANSWERS
    new: str
    old_probability: float | None = None
    new_probability: float | None = None
    finding: int | None = None  # what reviewers concluded: 1 disease, 0 none

    @property
    def differs(self) -> bool:
        """Whether the decision would change."""
        return self.old != self.new

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without whose image it is."""
        return {key: value for key, value in vars(self).items() if key != "patient"}


@dataclass(frozen=True)
class Judged:
    """Both bundles against what reviewers concluded, on the images that both read."""

    old: Rates
    new: Rates
    n: int
    n_positive: int


@dataclass(frozen=True)
class Changes:
    """What was counted so far."""

    n: int
    table: Mapping[tuple[str, str], int]  # (old, new) → images
    changed: Interval
    judged: Judged | None  # None where too few were reviewed: none of one class
    examples: tuple[Pair, ...]  # whose decision would change

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        judged = None
        if self.judged is not None:
            rates = {
                which: {key: getattr(found, key).to_dict() for key in ("sensitivity", "specificity")}
                for which, found in (("old", self.judged.old), ("new", self.judged.new))
            }
            judged = {"n": self.judged.n, "n_positive": self.judged.n_positive} | rates
        return {
            "n": self.n,
            "changed": self.changed.to_dict(),
            "table": [
                {"old": old, "new": new, "n": n, "changes": old != new} for (old, new), n in sorted(self.table.items())
            ],
            "judged": judged,
            "examples": [one.to_dict() for one in self.examples],
        }


@dataclass
class Counting:
    """Takes pairs one by one; of each it keeps whose it was and two answers, so a million images take some 100 MB."""

    _table: Counter[tuple[str, str]] = field(default_factory=Counter)
    _patients: list[str] = field(default_factory=list)
    _differs: list[bool] = field(default_factory=list)
    _judged: list[Pair] = field(default_factory=list)
    _examples: list[Pair] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        """Count it."""
        self._table[pair.old, pair.new] += 1
        self._patients.append(pair.patient)
        self._differs.append(pair.differs)
        if pair.finding is not None and REFUSED not in (pair.old, pair.new):
            self._judged.append(pair)
        if pair.differs and len(self._examples) < _SHOWN:
            self._examples.append(pair)

    def result(self) -> Changes:
        """What was counted so far; images of one patient count as what they are worth in independent ones."""
        n = len(self._differs)
        changed = proportion(np.array(self._differs), group_codes(self._patients)) if n else NOTHING
        return Changes(n, dict(self._table), changed, _judge(self._judged), tuple(self._examples))


def answer_of(decision: str, refusal_code: str) -> str:
    """One of ANSWERS."""
    return REFUSED if refusal_code else decision


def _judge(pairs: list[Pair]) -> Judged | None:
    y_true = np.array([pair.finding == 1 for pair in pairs], dtype=bool)
    if not len(y_true) or y_true.all() or not y_true.any():
        return None
    groups = [pair.patient for pair in pairs]
    old, new = (
        rates_at(y_true, np.array([getattr(pair, which) == "positive" for pair in pairs]), groups)
        for which in ("old", "new")
    )
    return Judged(old, new, len(y_true), int(y_true.sum()))
