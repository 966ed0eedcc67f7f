"""What a yes/no reading does: its two rates, and everything that follows from them where disease is as common as said.

Every place that shows one of these numbers takes it from here. Sensitivity and specificity are exact (Clopper–Pearson)
on the effective number of images; what follows from both is put together from their two intervals by the method of
variance estimates recovery: sums as Zou & Donner, Statistics in Medicine 2008; ratios as Donner & Zou, Statistical
Methods in Medical Research 2012. So nothing needs a variance that 16 of 16 would make 0, and an interval is as lopsided
as its parts. The two rates count as independent: a patient with images of both classes is not followed across them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from secondread.stats.interval import NOTHING, Interval
from secondread.stats.prevalence import after
from secondread.stats.proportions import group_codes, proportion


@dataclass(frozen=True)
class Rates:
    """Sensitivity and specificity at one threshold, and what follows from them."""

    sensitivity: Interval
    specificity: Interval

    @property
    def lr_positive(self) -> Interval:
        """How many times likelier a positive answer is with disease than without; infinite without a false alarm."""
        return self._interval(_ratio(_ends(self.sensitivity), _complement(_ends(self.specificity))))

    @property
    def lr_negative(self) -> Interval:
        """The same of a negative answer."""
        return self._interval(_ratio(_complement(_ends(self.sensitivity)), _ends(self.specificity)))

    def ppv(self, prevalence: float) -> Interval:
        """Chance of disease after a positive answer, where `prevalence` is the share of the diseased.

        It rises with the likelihood ratio, whose interval carries over. None for a prevalence of 0 or 1, and where no
        image is called positive.
        """
        return self._interval(_after(_ratio(_ends(self.sensitivity), _complement(_ends(self.specificity))), prevalence))

    def npv(self, prevalence: float) -> Interval:
        """Chance of no disease after a negative answer; as `ppv`."""
        found = _after(_ratio(_complement(_ends(self.sensitivity)), _ends(self.specificity)), prevalence)
        return self._interval(None if found is None else _complement(found))

    def flagged(self, prevalence: float) -> Interval:
        """Share of people called positive. With one class only, that class decides."""
        diseased, healthy = _ends(self.sensitivity), _complement(_ends(self.specificity))
        parts = [(share, ends) for share, ends in ((prevalence, diseased), (1 - prevalence, healthy)) if share > 0]
        known = [(share, ends) for share, ends in parts if ends is not None]
        return self._interval(_sum(known) if len(known) == len(parts) else None)

    def missed(self, prevalence: float) -> Interval:
        """Share of people who are diseased and called negative."""
        found = _complement(_ends(self.sensitivity))
        return self._interval(None if found is None else _sum([(prevalence, found)]))

    def _interval(self, found: "_Ends | None") -> Interval:
        """Nothing where the value is not finite, and no bounds where those of the rates say too little."""
        if found is None or not np.isfinite(found[0]):
            return NOTHING
        return Interval(found[0]) if self.sensitivity.too_few or self.specificity.too_few else Interval(*found)


def rates_at(y_true: np.ndarray, positive: np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> Rates:
    """Of images with these labels and answers, both bool (n,). groups: (n,), what belongs together."""
    y_true, positive = np.asarray(y_true, dtype=bool), np.asarray(positive, dtype=bool)
    codes = None if groups is None else group_codes(groups)
    return Rates(
        proportion(positive[y_true], None if codes is None else codes[y_true]),
        proportion(~positive[~y_true], None if codes is None else codes[~y_true]),
    )


def likelihood_ratio(
    y_true: np.ndarray, given: np.ndarray, groups: Sequence[str] | np.ndarray | None = None
) -> Interval:
    """How many times likelier an answer is with disease than without, of any answer; shapes as `rates_at`.

    given: whether the answer was given. The value is None, and the low end is not, where no healthy image got it.
    """
    rates = rates_at(y_true, given, groups)
    found = _ratio(_ends(rates.sensitivity), _complement(_ends(rates.specificity)))
    if found is None or rates.sensitivity.too_few or rates.specificity.too_few:
        return NOTHING
    value, low, high = (None if at == inf else at for at in found)
    return Interval(value, low, high, n=len(given))


def accuracy(y_true: np.ndarray, positive: np.ndarray, groups: Sequence[str] | None = None) -> Interval:
    """The share of images that are answered rightly; shapes as `rates_at`."""
    return proportion(np.asarray(y_true, dtype=bool) == positive, None if groups is None else group_codes(groups))


def f1(y_true: np.ndarray, positive: np.ndarray, groups: Sequence[str] | None = None) -> Interval:
    """2J / (1 + J), J being the share of true positives among images that are diseased or called so, which is exact.

    Nothing without a diseased image: it would be 0 whatever is answered.
    """
    y_true, positive = np.asarray(y_true, dtype=bool), np.asarray(positive, dtype=bool)
    if not y_true.any():
        return NOTHING
    either = y_true | positive
    codes = None if groups is None else group_codes(groups)[either]
    found = proportion((y_true & positive)[either], codes)
    if (ends := _ends(found)) is None:
        return NOTHING
    value, low, high = (2 * at / (1 + at) for at in ends)
    return Interval(value, low, high, n=found.n, n_groups=found.n_groups, n_effective=found.n_effective)


_Ends = tuple[float, float, float]  # value, low, high


def _ends(rate: Interval) -> _Ends | None:
    if rate.value is None or rate.low is None or rate.high is None:
        return None
    return rate.value, rate.low, rate.high


def _complement(ends: _Ends | None) -> _Ends | None:
    return None if ends is None else (1 - ends[0], 1 - ends[2], 1 - ends[1])


def _ratio(above: _Ends | None, below: _Ends | None) -> _Ends | None:
    """Donner & Zou's interval of a ratio, in a form that holds at 0 too. None where both values are 0."""
    if above is None or below is None or above[0] == 0 == below[0]:
        return None
    (a, a_low, a_high), (b, b_low, b_high) = above, below
    from_below = a_low * (2 * a - a_low)
    from_above = b_low * (2 * b - b_low)
    low_root = sqrt(max((a * b) ** 2 - from_below * b_high * (2 * b - b_high), 0.0))
    high_root = sqrt(max((a * b) ** 2 - a_high * (2 * a - a_high) * from_above, 0.0))
    low = 0.0
    if a > 0:
        low = from_below / (a * b + low_root) if b > 0 else sqrt(from_below) / b_high
    high = (a * b + high_root) / from_above if from_above > 0 else inf
    return a / b if b > 0 else inf, low, high


def _after(ratio: _Ends | None, prevalence: float) -> _Ends | None:
    """Chance of disease after an answer with this likelihood ratio: prior odds times ratio."""
    if ratio is None or not 0 < prevalence < 1:
        return None
    value, low, high = (after(prevalence, at) for at in ratio)
    return value, low, high


def _sum(parts: Sequence[tuple[float, _Ends]]) -> _Ends:
    value = sum(weight * at for weight, (at, _, _) in parts)
    below = sqrt(sum((weight * (at - low)) ** 2 for weight, (at, low, _) in parts))
    above = sqrt(sum((weight * (high - at)) ** 2 for weight, (at, _, high) in parts))
    return value, value - below, value + above
