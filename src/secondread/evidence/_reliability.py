"""Do the probabilities mean what they say? Bins, expected calibration error, the table of a reliability diagram."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from secondread.evidence._clusters import group_codes
from secondread.evidence._proportions import proportion

Strategy = Literal["mass", "width"]


def expected_calibration_error(
    y_true: np.ndarray, probabilities: np.ndarray, *, n_bins: int = 10, strategy: Strategy = "mass"
) -> float:
    """Mean distance between what was said and what came true, over bins weighted by their images. NaN without images.

    y_true: bool (n,); probabilities: float (n,). strategy: 'mass', bins of equal numbers of images (the default: none
    is empty, and it leans less), or 'width', bins of equal width. Naeini et al., AAAI 2015; Nixon et al., CVPR-W 2019.
    On few images it leans upwards even for perfect probabilities: read it beside its n.
    """
    weights = np.ones((1, len(y_true)))
    return float(weighted_calibration_error(y_true, probabilities, weights, n_bins=n_bins, strategy=strategy)[0])


def weighted_calibration_error(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray,
    *,
    n_bins: int = 10,
    strategy: Strategy = "mass",
) -> np.ndarray:
    """The error of every row of weights at once, in bins of the unweighted data.

    y_true (n,), probabilities (n,), weights (n_resamples, n) → (n_resamples,).
    """
    bin_of, _ = _bins(np.asarray(probabilities, dtype=np.float64), n_bins, strategy)
    gaps = np.asarray(y_true, dtype=np.float64) - probabilities
    member = bin_of[:, None] == np.arange(n_bins)  # (n, n_bins)
    total = weights.sum(axis=1)
    off = np.abs(weights @ (gaps[:, None] * member)).sum(axis=1)
    return np.divide(off, total, out=np.full(len(total), np.nan), where=total > 0)


def reliability(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    n_bins: int = 10,
    strategy: Strategy = "mass",
) -> list[dict[str, Any]]:
    """The bins that hold images: {low, high, n, said, observed: {value, low, high, n}}, from the lowest.

    said: mean probability; observed: share of positives, 95 % Clopper–Pearson, on the effective number of images where
    `groups` says which belong together. Shapes as `expected_calibration_error`.
    """
    y_true, probabilities = np.asarray(y_true, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    codes = None if groups is None else group_codes(groups)
    bin_of, edges = _bins(probabilities, n_bins, strategy)
    table = []
    for number in np.unique(bin_of):
        here = bin_of == number
        table.append(
            {
                "low": round(float(edges[number]), 6),
                "high": round(float(edges[number + 1]), 6),
                "n": int(here.sum()),
                "said": round(float(probabilities[here].mean()), 6),
                "observed": proportion(y_true[here], None if codes is None else codes[here]),
            }
        )
    return table


def _bins(probabilities: np.ndarray, n_bins: int, strategy: Strategy) -> tuple[np.ndarray, np.ndarray]:
    """The bin of every probability, int (n,), and the edges, float (n_bins + 1,). A bin holds its upper edge.

    Equal probabilities share a bin, so with many ties bins of equal mass are only nearly so.
    """
    if strategy == "mass" and len(probabilities):
        edges = np.quantile(probabilities, np.linspace(0, 1, n_bins + 1))
    else:
        edges = np.linspace(0, 1, n_bins + 1)
    return np.searchsorted(edges[1:-1], probabilities, side="left"), edges
