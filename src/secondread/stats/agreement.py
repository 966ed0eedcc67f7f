"""How far two judges agree: raw agreement and Cohen's kappa, each with its interval."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from secondread.stats.proportions import clopper_pearson


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same images, each saying 1 or 0."""

    n: int
    both_positive: int
    first_only: int
    second_only: int
    both_negative: int
    raw: float | None  # None without images
    raw_low: float
    raw_high: float
    kappa: float | None  # None where both always say the same one thing: nothing to agree on beyond chance
    kappa_low: float | None
    kappa_high: float | None


def agreement(pairs: Iterable[tuple[int, int]]) -> Agreement:
    """Agreement of two judges on independent images, with 95 % intervals.

    pairs: (first, second), each 1 or 0. Raw agreement: Clopper–Pearson. Kappa: Cohen 1960; its interval is that of
    Donner & Eliasziw (Statistics in Medicine 1992), which holds the truth 0.91 to 0.98 times of 1 from 8 images on;
    the large-sample one (Fleiss, Cohen & Everitt 1969) does so 0.27 to 0.86 times, and has no width for 8 of 8.
    """
    counts = {(a, b): 0 for a in (0, 1) for b in (0, 1)}
    for pair in pairs:
        counts[pair] += 1
    n, same = sum(counts.values()), counts[1, 1] + counts[0, 0]
    low, high = clopper_pearson(same, n)
    kappa, kappa_low, kappa_high = _kappa(counts, n)
    return Agreement(
        n, counts[1, 1], counts[1, 0], counts[0, 1], counts[0, 0],
        same / n if n else None, low, high, kappa, kappa_low, kappa_high,
    )  # fmt: skip


def _kappa(counts: Mapping[tuple[int, int], int], n: int) -> tuple[float | None, float | None, float | None]:
    first, second = (counts[1, 0] + counts[1, 1], counts[0, 1] + counts[1, 1])  # how often each said 1
    expected = (first * second + (n - first) * (n - second)) / n**2 if n else 1.0
    if expected >= 1:
        return None, None, None
    kappa = ((counts[1, 1] + counts[0, 0]) / n - expected) / (1 - expected)
    low, high = _goodness_of_fit(counts, n)
    return kappa, min(low, kappa), max(high, kappa)


def _goodness_of_fit(counts: Mapping[tuple[int, int], int], n: int) -> tuple[float, float]:
    """All kappas under which the counts of agreement on 1, on 0 and of disagreement are within χ² of one degree."""
    from scipy.optimize import brentq
    from scipy.special import chdtri

    seen = (counts[1, 1], counts[1, 0] + counts[0, 1], counts[0, 0])
    share = (2 * seen[0] + seen[1]) / (2 * n)  # of 1, both judges together
    spread, limit = share * (1 - share), float(chdtri(1, 0.05))

    def excess(kappa: float) -> float:
        law = (share**2 + spread * kappa, 2 * spread * (1 - kappa), (1 - share) ** 2 + spread * kappa)
        return sum((own - n * p) ** 2 / (n * p) for own, p in zip(seen, law, strict=True)) - limit

    tiny, middle = 1e-9, 1 - seen[1] / (2 * n * spread)
    least = -min(share / (1 - share), (1 - share) / share)
    middle = min(max(middle, least + tiny), 1 - tiny)
    low = float(brentq(excess, least + tiny, middle)) if excess(least + tiny) > 0 > excess(middle) else least
    high = float(brentq(excess, middle, 1 - tiny)) if excess(1 - tiny) > 0 > excess(middle) else 1.0
    return low, high
