"""Bootstrap intervals by group, for what has no interval of its own; vectorised over the resamples."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from secondread.stats.interval import NOTHING, Interval
from secondread.stats.proportions import group_codes

_NO_WIDTH = 1e-9
_CHUNK = 4_000_000  # weights held at once, so that 10,000 resamples of any number of images fit in memory
Statistic = Callable[[np.ndarray], np.ndarray]  # weights (n_resamples, n) → (n_resamples,)


def bootstrap(
    statistics: Mapping[str, Statistic],
    groups: Sequence[str] | np.ndarray,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    classes: np.ndarray | None = None,
    n_resamples: int = 2000,
    random_state: int = 0,
) -> dict[str, Interval]:
    """Each statistic with its 95 % interval, the same whole groups (patients) being drawn for all of them.

    groups (n,): what must stay together. bounds: the least and greatest value that a statistic can take. classes: bool
    (n,), where a statistic rests on two; the one of fewer groups counts. The standard error of the draws, with the t
    quantile of the groups, on the logit scale between the bounds: percentiles of the draws hold the truth 0.73 to 0.93
    times of 1 for an average precision near 1 at the sizes of the shipped test splits, this about 0.95 times. Groups of
    unequal size count as `effective_groups`: where one patient has half of the images, the draws know of little else.
    One group says nothing of how groups differ: no bounds. Where every draw gives the same, g groups still leave room
    for a share 1 − 0.025^(1/g) of groups of any other kind, and the interval reaches as far as these could move a mean.
    """
    if not statistics:
        return {}
    codes = group_codes(groups)
    n, n_groups = len(codes), len(np.unique(codes))
    parts = [codes] if classes is None else [part for part in (codes[classes], codes[~classes]) if len(part)]
    fewest = min((len(np.unique(part)) for part in parts), default=0)
    point = {name: float(measure(np.ones((1, n)))[0]) if n else np.nan for name, measure in statistics.items()}
    if n_groups < 2 or fewest < 2:
        return {
            name: Interval(value, n=n, n_groups=fewest) if np.isfinite(value) else NOTHING
            for name, value in point.items()
        }
    rng = np.random.default_rng(random_state)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    rows = max(1, min(n_resamples, _CHUNK // n))
    for start in range(0, n_resamples, rows):
        count = min(rows, n_resamples - start)
        weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=count)[:, codes].astype(np.float64)
        for name, measure in statistics.items():
            drawn[name].append(measure(weights))
    worth = min(effective_groups(part) for part in parts)
    reach, unseen = reach_of(worth), 1 - 0.025 ** (1 / fewest)
    found = {}
    for name, value in point.items():
        values = np.concatenate(drawn[name])
        values = values[~np.isnan(values)]
        if not np.isfinite(value) or not len(values):
            found[name] = NOTHING
            continue
        low, high = ends(value, reach * float(values.std()), unseen, bounds)
        found[name] = Interval(value, low, high, n=n, n_groups=n_groups)
    return found


def grouped_means(
    values: np.ndarray, groups: Sequence[str], *, bounds: tuple[float, float] = (0.0, 1.0)
) -> list[Interval]:
    """Mean of every column with its 95 % bootstrap interval by group. values: float (n, columns); groups: (n,)."""
    columns = np.asarray(values, dtype=np.float64).T
    found = bootstrap({str(number): _mean(column) for number, column in enumerate(columns)}, groups, bounds=bounds)
    return list(found.values())


def _mean(column: np.ndarray) -> Statistic:
    return lambda weights: (weights @ column) / weights.sum(axis=1)


def studentised_mean(
    values: np.ndarray, groups: Sequence[str] | np.ndarray, *, n_resamples: int = 2000, random_state: int = 0
) -> tuple[float, float] | None:
    """Ends of the 95 % interval of a mean whose values are skewed, by the studentised bootstrap (Efron 1981).

    values: float (n,); groups: (n,). A mean of squares that are nearly all near 0 is low in the very draws whose spread
    is low; to look at both at once makes up for that. None for less than two groups, and without any spread.
    """
    codes = group_codes(groups)
    sums, sizes = np.bincount(codes, values), np.bincount(codes).astype(np.float64)
    n_groups = len(sums)
    if n_groups < 2:
        return None

    def measured(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = weights @ sizes
        mean = weights @ sums / total
        apart = sums - mean[:, None] * sizes
        return mean, np.sqrt((weights * apart**2).sum(axis=1) * n_groups / (n_groups - 1)) / total

    (mean,), (error,) = measured(np.ones((1, n_groups)))
    rng = np.random.default_rng(random_state)
    drawn, errors = measured(rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_resamples).astype(np.float64))
    if not error > 0 or not (errors > 0).any():
        return None
    low, high = np.quantile(((drawn - mean)[errors > 0]) / errors[errors > 0], (0.025, 0.975))
    return float(mean - high * error), float(mean - low * error)


def effective_groups(codes: np.ndarray) -> float:
    """Groups of one size that would tell as much as these, (Σ n)² / Σ n² (Kish 1965). codes: int (n,), n above 0."""
    sizes = np.bincount(codes)
    return float(len(codes) ** 2 / (sizes**2).sum())


def reach_of(groups: float, at: float = 0.975) -> float:
    """By what a standard error of draws of so many groups is multiplied: t, and what drawing makes it too small."""
    from scipy.special import stdtrit

    freedom = max(groups - 1, 1.0)
    return float(stdtrit(freedom, at)) * float(np.sqrt((freedom + 1) / freedom))


def ends(value: float, reach: float, unseen: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Of an interval on the logit scale between the bounds; reach: the error on the value's scale, times its quantile.

    unseen: the share of groups of another kind that may be there though none was drawn; it counts where reach is 0.
    """
    from scipy.special import expit, logit

    least, span = bounds[0], bounds[1] - bounds[0]
    at, reach = (value - least) / span, reach / span
    if reach > _NO_WIDTH and 0 < at < 1:
        middle, half = float(logit(at)), reach / (at * (1 - at))
        low, high = float(expit(middle - half)), float(expit(middle + half))
    else:
        low, high = max(at - max(reach, unseen * at), 0.0), min(at + max(reach, unseen * (1 - at)), 1.0)
    return least + span * low, least + span * high
