"""A watch over a rate: how far it may fall unseen, and an alarm that stays rare however often one looks.

The rate is held against a bound p that it should not be below. Every observation x, from 0 (missed) to 1 (found), is a
bet: for a lower rate q the stake is multiplied by (q/p)^x ((1−q)/(1−p))^(1−x), which on average does not grow while the
true rate is p or more (for 0 < x < 1 by the inequality of the means). The stakes of many q side by side are a test
martingale, so the chance that it ever reaches 1/a is at most a (Ville 1939; Ramdas, Grünwald, Vovk & Shafer,
Statistical Science 2023): looks may be taken at any time and as often as one likes. A new bet begins with each window,
since nobody knows when a rate falls; those that begin within a year share out the year's chance of a false alarm.
"""

from dataclasses import dataclass
from math import log

import numpy as np

from secondread.stats.interval import Interval
from secondread.stats.proportions import lower_bound

_RATES = (np.arange(40) + 0.5) / 40  # q, as shares of p
_OFTEN = 0.8  # what could be seen is seen this often


@dataclass(frozen=True)
class Watch:
    """What a rate is held against, and how strong the evidence of a fall must be."""

    bound: float  # the rate should not be below it; 0: nothing is known, and no alarm goes off
    limit: float  # natural logarithm of the stake at which the alarm goes off

    @classmethod
    def over(cls, known: Interval, *, level: float, starts_a_year: int) -> "Watch":
        """The watch over a rate that is known so well, at most `level` a year being the chance of a false alarm.

        One half of the level pays for the bound, which may lie too high, the other for the bets.
        """
        size = known.n_effective if known.n_effective is not None else float(known.n or 0)
        bound = lower_bound((known.value or 0.0) * size, size, confidence=1 - level / 2) if size else 0.0
        return cls(bound, log(2 * starts_a_year / level))

    def evidence(self, hits: np.ndarray | float, n: np.ndarray | float) -> np.ndarray:
        """Logarithm of the stake after n observations that sum up to `hits`; both of any one shape."""
        if self.bound <= 0:
            return np.zeros(np.shape(n))
        rates = self.bound * _RATES
        found, missed = np.log(rates / self.bound), np.log((1 - rates) / (1 - self.bound))
        hits, n = np.asarray(hits, dtype=np.float64)[..., None], np.asarray(n, dtype=np.float64)[..., None]
        stakes = hits * found + (n - hits) * missed
        return np.asarray(np.logaddexp.reduce(stakes, axis=-1) - log(len(rates)))

    def alarms(self, hits: np.ndarray, n: np.ndarray) -> list[int | None]:
        """For each window the one whose bet has won most by then: since when the rate is lower; None: no alarm.

        hits: float (windows,), sums of observations; n: (windows,).
        """
        found: list[int | None] = []
        for end in range(len(n)):
            so_far = slice(None, end + 1)
            sums, counts = (np.cumsum(np.asarray(one)[so_far][::-1])[::-1] for one in (hits, n))  # from each start on
            evidence = self.evidence(sums, counts)
            best = len(evidence) - 1 - int(np.argmax(evidence[::-1]))  # of equal ones the last
            found.append(best if evidence[best] >= self.limit else None)
        return found

    def seen_below(self, n: int) -> float | None:
        """The highest true rate with which n observations alone raise the alarm four times of five; None: no rate does.

        A fall to a rate above it is more likely missed than that.
        """
        from scipy.special import betaincinv

        low, high = -1, n  # hits that raise it, and hits that do not
        while high - low > 1:
            middle = (low + high) // 2
            if self.evidence(middle, n) >= self.limit:
                low = middle
            else:
                high = middle
        return None if low < 0 else float(1 - betaincinv(n - low, low + 1, _OFTEN))
