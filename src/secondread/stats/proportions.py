"""Shares with exact intervals, also where images of one patient resemble each other and count for fewer."""

from collections.abc import Sequence

import numpy as np

from secondread.stats.beta import beta_quantile, t_quantile
from secondread.stats.interval import Interval


def group_codes(groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """Names of groups (n,) as integers from 0, int (n,)."""
    return np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)


def intraclass_correlation(values: np.ndarray, groups: np.ndarray) -> float:
    """How alike the values of one group are: 0 not at all, 1 entirely. One-way analysis of variance; negative is 0.

    values: float (n,); groups: int (n,) from 0. Donner, International Statistical Review 1986.
    """
    values = np.asarray(values, dtype=np.float64)
    sizes = np.bincount(groups)
    sizes_of = sizes[sizes > 0]
    n, n_groups = len(values), len(sizes_of)
    if n_groups < 2 or n == n_groups:
        return 0.0
    means = np.bincount(groups, values, minlength=len(sizes)) / np.maximum(sizes, 1)
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (n_groups - 1)
    within = float(((values - means[groups]) ** 2).sum()) / (n - n_groups)
    typical = (n - float((sizes_of**2).sum()) / n) / (n_groups - 1)
    total = between + (typical - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 0.0


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Ranks as quantiles of the normal law, float (n,): likeness of scores whatever their scale."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def effective_size(hits: np.ndarray, groups: np.ndarray, *, confidence: float, least_correlation: float = 0.0) -> float:
    """How many independent images tell as much about a share as these do. At most n, and n where no group repeats.

    hits: bool (n,); groups: int (n,). n / (1 + (m − 1) ρ), m the mean size of an image's group and ρ the intraclass
    correlation of the hits (`least_correlation` where that is larger), times (t of n − 1 / t of groups − 1)² since the
    variance is itself estimated from few groups. Korn & Graubard, Survey Methodology 1998. confidence: one-sided.
    """
    n, sizes = len(hits), np.bincount(groups)
    n_groups = _n_different(groups)
    if n_groups == n:
        return float(n)
    if n_groups < 2:  # one patient says nothing of how patients differ
        return float(min(n, 1))
    correlation = max(intraclass_correlation(hits, groups), least_correlation)
    together = float((sizes**2).sum()) / n
    few = (t_quantile(n - 1, confidence) / t_quantile(n_groups - 1, confidence)) ** 2
    return n / (1 + (together - 1) * correlation) * few


def clopper_pearson(successes: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion. Clopper & Pearson 1934. (0, 1) when n is 0.

    Both may be fractions where n is an effective size (Korn & Graubard 1998).
    """
    one_sided = (1 + confidence) / 2
    return lower_bound(successes, n, confidence=one_sided), 1 - lower_bound(n - successes, n, confidence=one_sided)


def lower_bound(successes: float, n: float, *, confidence: float) -> float:
    """One-sided Clopper–Pearson bound: the share is above it with this confidence. 0 when there is no success."""
    return 0.0 if successes <= 0 else beta_quantile(successes, n - successes + 1, 1 - confidence)


def proportion(hits: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """A share with its 95 % Clopper–Pearson interval, on the effective number of images where groups are given.

    hits: bool (n,); groups: int (n,), what belongs together. Where all hits are the same, their likeness cannot be seen
    and images of one group count as wholly alike: 52 of 52 patients say no more for three films of each.
    value is None when n is 0.
    """
    n, successes = len(hits), int(np.sum(hits))
    if not n:
        return Interval(None, 0.0, 1.0, n=0)
    worth = float(n)
    if groups is not None:
        least = 1.0 if successes in (0, n) else 0.0
        worth = effective_size(hits, groups, confidence=0.975, least_correlation=least)
    low, high = clopper_pearson(successes * (worth / n), worth)
    if groups is None:
        return Interval(successes / n, low, high, n=n)
    return Interval(successes / n, low, high, n=n, n_groups=_n_different(groups), n_effective=round(worth, 1))


def _n_different(groups: np.ndarray) -> int:
    """How many of these integers from 0 differ; np.unique would import what takes longer than an image to read."""
    return int(np.count_nonzero(np.bincount(groups)))
