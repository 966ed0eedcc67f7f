"""How far two judges agree: on all images, on the diseased and on the healthy, and beyond chance; with intervals."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from secondread.stats.proportions import clopper_pearson, effective_size, group_codes

FEW = 10  # independent images below which a coefficient says nothing
_PRIOR, _MASS, _DRAWS = 0.25, 0.975, 8000


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same images, each saying 1 or 0. What is not defined is None, bounds included."""

    n: int
    n_groups: int  # patients; images where none is known
    both_positive: int
    first_only: int
    second_only: int
    both_negative: int
    raw: float | None
    raw_low: float
    raw_high: float
    positive: float | None  # of the images that either calls 1, counted for each judge, how many both do
    positive_low: float | None
    positive_high: float | None
    negative: float | None  # the same of 0
    negative_low: float | None
    negative_high: float | None
    kappa: float | None  # None where both always say the same one thing: nothing to agree on beyond chance
    kappa_low: float | None
    kappa_high: float | None
    ac1: float | None
    ac1_low: float | None
    ac1_high: float | None
    too_few: bool  # fewer than ten independent images: the numbers are there, and say nothing yet


def agreement(pairs: Iterable[tuple[int, int]], groups: Sequence[str] | None = None) -> Agreement:
    """Agreement of two judges, with 95 % intervals. groups: (n,), the patients; None: every image is one.

    pairs: (first, second), each 1 or 0. Raw agreement: Clopper–Pearson. Positive and negative agreement: Cicchetti &
    Feinstein 1990. Kappa: Cohen 1960, which falls where one answer is rare; AC1: Gwet 2008, which does not. The
    intervals of these four are quantiles of the Dirichlet law of the four cells, from a quarter of an image in each,
    97.5 % of it: on 10 to 50 images they hold the truth at least 0.94 times of 1, where the large-sample interval of
    kappa (Fleiss, Cohen & Everitt 1969) does so 0.27 to 0.86 times and has no width for 8 of 8. Images of one patient
    count for fewer, by how alike the agreement on them is.
    """
    table = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    n, same = len(table), table[:, 0] == table[:, 1]
    cells = np.array([np.sum((table[:, 0] == a) & (table[:, 1] == b)) for a in (1, 0) for b in (1, 0)])
    codes = np.arange(n) if groups is None else group_codes(groups)
    worth = _worth(same, codes)
    share = worth / n if n else 0.0
    drawn = np.random.default_rng(0).standard_gamma(cells * share + _PRIOR, size=(_DRAWS, 4))
    low, high = clopper_pearson(float(same.sum()) * share, worth)
    both, first, second, neither = (int(cell) for cell in cells)
    return Agreement(
        n, len(np.unique(codes)), both, first, second, neither,
        float(same.mean()) if n else None, low, high,
        *_with_interval(_positive, cells, drawn),
        *_with_interval(_negative, cells, drawn),
        *_with_interval(_kappa, cells, drawn),
        *_with_interval(_ac1, cells, drawn),
        too_few=worth < FEW,
    )  # fmt: skip


def _worth(same: np.ndarray, codes: np.ndarray) -> float:
    """Independent images; where they agree on all or none, those of one patient count as wholly alike."""
    if not len(same):
        return 0.0
    least = 1.0 if same.all() or not same.any() else 0.0
    return effective_size(same, codes, confidence=0.975, least_correlation=least)


_Coefficient = Callable[[np.ndarray], np.ndarray]  # cells (..., 4): both 1, first only, second only, both 0


def _with_interval(
    coefficient: _Coefficient, cells: np.ndarray, drawn: np.ndarray
) -> tuple[float | None, float | None, float | None]:
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(coefficient(cells.astype(np.float64)))
        low, high = np.nanquantile(coefficient(drawn), [(1 - _MASS) / 2, (1 + _MASS) / 2])
    if not np.isfinite(value):
        return None, None, None
    return value, min(float(low), value), max(float(high), value)


def _positive(cells: np.ndarray) -> np.ndarray:
    both, first, second, _ = np.moveaxis(cells, -1, 0)
    return np.asarray(2 * both / (2 * both + first + second))


def _negative(cells: np.ndarray) -> np.ndarray:
    return _positive(cells[..., ::-1])


def _kappa(cells: np.ndarray) -> np.ndarray:
    n = cells.sum(axis=-1)
    first, second = cells[..., :2].sum(axis=-1) / n, (cells[..., 0] + cells[..., 2]) / n  # how often each says 1
    return _beyond_chance(cells, first * second + (1 - first) * (1 - second))


def _ac1(cells: np.ndarray) -> np.ndarray:
    said = (2 * cells[..., 0] + cells[..., 1] + cells[..., 2]) / (2 * cells.sum(axis=-1))
    return _beyond_chance(cells, 2 * said * (1 - said))


def _beyond_chance(cells: np.ndarray, expected: np.ndarray) -> np.ndarray:
    raw = (cells[..., 0] + cells[..., 3]) / cells.sum(axis=-1)
    return np.asarray((raw - expected) / (1 - expected))
