"""Shares with exact intervals, also where images of one patient were counted together."""

import numpy as np

from secondread.evidence._clusters import effective_size


def clopper_pearson(successes: float, n: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a proportion. Clopper & Pearson 1934. (0, 1) when n is 0.

    Both may be fractions where n is an effective size (Korn & Graubard 1998).
    """
    one_sided = (1 + confidence) / 2
    return lower_bound(successes, n, confidence=one_sided), 1 - lower_bound(n - successes, n, confidence=one_sided)


def lower_bound(successes: float, n: float, *, confidence: float) -> float:
    """One-sided Clopper–Pearson bound: the share is above it with this confidence. 0 when there is no success."""
    from scipy.special import betaincinv

    return 0.0 if successes <= 0 else float(betaincinv(successes, n - successes + 1, 1 - confidence))


def proportion(hits: np.ndarray, groups: np.ndarray | None = None) -> dict[str, float | int | None]:
    """A share with its 95 % interval: {value, low, high, n}, and {n_groups, n_effective} where groups are given.

    hits: bool (n,); groups: int (n,), what belongs together. value is None when n is 0.
    """
    n, successes = len(hits), int(np.sum(hits))
    worth = effective_size(hits, groups, confidence=0.975) if groups is not None and n else float(n)
    low, high = clopper_pearson(successes * (worth / n) if n else 0, worth)
    found = {"value": round(successes / n, 6) if n else None, "low": round(low, 6), "high": round(high, 6), "n": n}
    if groups is None:
        return found
    return found | {"n_groups": len(np.unique(groups)), "n_effective": round(worth, 1)}
