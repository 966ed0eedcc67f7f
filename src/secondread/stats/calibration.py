"""From logits to probabilities that mean what they say: fitted on validation; and how far they mean it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from secondread.errors import DataInvalid, OneClassOnly, UnknownName
from secondread.stats.proportions import group_codes, proportion

CALIBRATION_METHODS = ("temperature", "platt", "isotonic", "none")
_COLDEST, _HOTTEST = 0.05, 20.0  # beyond these a temperature says that the data cannot decide it
_LARGEST_LOGIT = 60.0
_KEYS = ("temperature", "bias", "isotonic", "calibration")


@dataclass(frozen=True)
class Calibration:
    """What makes a probability of a network's logit: 1 / (1 + exp(−(logit / temperature + bias))), or knots instead."""

    temperature: float = 1.0
    bias: float | None = None
    knots: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # logits and probabilities of a line through them
    how: str = ""  # the method in words

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Calibration":
        """From the entries of a bundle's record."""
        line = record.get("isotonic")
        return cls(
            float(record["temperature"]),
            float(record["bias"]) if "bias" in record else None,
            None if line is None else (tuple(line["logits"]), tuple(line["probabilities"])),
            str(record.get("calibration", "")),
        )

    def to_record(self) -> dict[str, Any]:
        """The entries of a bundle's record: temperature, bias and isotonic where there are, calibration in words."""
        record: dict[str, Any] = {"temperature": self.temperature}
        if self.bias is not None:
            record["bias"] = self.bias
        if self.knots is not None:
            record["isotonic"] = {"logits": list(self.knots[0]), "probabilities": list(self.knots[1])}
        return record | {"calibration": self.how}

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of the positive class, float (n,). logits: float (n,). Needs numpy alone."""
        logits = np.asarray(logits, dtype=np.float64)
        if self.knots is None:
            return _sigmoid(logits / self.temperature + (self.bias or 0.0))
        return _sigmoid(_through(logits, *self._line, slope=1 / self.temperature))

    def undo(self, probabilities: np.ndarray) -> np.ndarray:
        """The logits behind calibrated probabilities of six decimals, float (n,); 0 and 1 count as half a step."""
        inside = np.clip(np.asarray(probabilities, dtype=np.float64), 5e-7, 1 - 5e-7)
        wanted = np.log(inside / (1 - inside))
        if self.knots is None:
            return (wanted - (self.bias or 0.0)) * self.temperature
        before, after = self._line
        return _through(wanted, after, before, slope=self.temperature)

    @property
    def undecided(self) -> bool:
        """Whether the temperature lies at an end of the search: the data would have it further, or decide none."""
        return self.temperature <= _COLDEST * 1.001 or self.temperature >= _HOTTEST * 0.999

    @property
    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        """The knots' logits before and after."""
        assert self.knots is not None, "only asked for where there are knots"
        shares = np.asarray(self.knots[1], dtype=np.float64)
        return np.asarray(self.knots[0], dtype=np.float64), np.log(shares / (1 - shares))


def fit_calibration(method: str, logits: np.ndarray, y_true: np.ndarray) -> Calibration:
    """method: 'temperature', 'platt' (temperature and bias: also mends another prevalence), 'isotonic', or 'none'.

    'none' leaves the network's own probabilities. Raises UnknownName, OneClassOnly or DataInvalid.
    """
    if method == "temperature":
        return Calibration(fit_temperature(logits, y_true), how="temperature by least negative log-likelihood")
    if method == "platt":
        temperature, bias = fit_platt(logits, y_true)
        return Calibration(temperature, bias, how="temperature and bias by least negative log-likelihood (Platt)")
    if method == "isotonic":
        knots = fit_isotonic(logits, y_true)
        return Calibration(fit_temperature(logits, y_true), knots=knots, how="centred isotonic regression")
    if method == "none":
        return Calibration(how="none: the probability is the network's own")
    raise UnknownName.of("calibration method", method, CALIBRATION_METHODS)


def without_calibration(record: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle's record without the entries that `Calibration.to_record` gives."""
    return {key: value for key, value in record.items() if key not in _KEYS}


def fit_temperature(logits: np.ndarray, y_true: np.ndarray) -> float:
    """The number to divide logits by for the least negative log-likelihood. Guo et al., ICML 2017.

    logits: float (n,); y_true: bool (n,). Between 0.05 and 20: Platt's softened targets keep it from vanishing where
    the classes are separable (and, in simulation, halve what is lost on fresh images after fitting to 50; at 700 they
    do not matter); the upper end is given to scores that say nothing.
    Raises OneClassOnly or DataInvalid.
    """
    from scipy.optimize import minimize_scalar

    logits, targets = _checked(logits, y_true)
    found = minimize_scalar(
        lambda log_slope: _loss(logits * np.exp(log_slope), targets),
        bounds=(-np.log(_HOTTEST), -np.log(_COLDEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return round(float(np.exp(-found.x)), 6)


def fit_platt(logits: np.ndarray, y_true: np.ndarray) -> tuple[float, float]:
    """Temperature and bias: the probability is sigmoid(logit / temperature + bias). Platt 1999, with his targets.

    Shapes, bounds and errors as `fit_temperature`.
    """
    from scipy.optimize import minimize

    logits, targets = _checked(logits, y_true)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        values = logits * at[0] + at[1]
        off = (_sigmoid(values) - targets) / len(targets)
        return _loss(values, targets), np.array([off @ logits, off.sum()])

    bounds = [(1 / _HOTTEST, 1 / _COLDEST), (-_LARGEST_LOGIT, _LARGEST_LOGIT)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B")
    return round(float(1 / found.x[0]), 6), round(float(found.x[1]), 6)


def fit_isotonic(logits: np.ndarray, y_true: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of a rising line from logit to probability: logits and probabilities, both rising strictly.

    The blocks of isotonic regression, each as one knot at its mean logit (Oron & Flournoy, Statistics in
    Biopharmaceutical Research 2017), so that no two images are tied that were not; outside the knots the temperature
    continues. Shares of 0 and 1 are drawn in to 1 / (n + 2) and its complement: n images prove neither.
    Shapes and errors as `fit_temperature`.
    """
    from scipy.optimize import isotonic_regression

    logits, _ = _checked(logits, y_true)
    _, tie, n_tied = np.unique(logits, return_inverse=True, return_counts=True)
    fitted = isotonic_regression(np.bincount(tie, np.asarray(y_true, dtype=np.float64)) / n_tied, weights=n_tied).x[tie]
    shares, block = np.unique(fitted, return_inverse=True)
    places = np.bincount(block, logits) / np.bincount(block)
    edge = 1 / (len(logits) + 2)
    inside = np.clip(shares, edge, 1 - edge)
    return tuple(round(float(place), 9) for place in places), tuple(round(float(share), 9) for share in inside)


def _through(x: np.ndarray, xs: np.ndarray, ys: np.ndarray, *, slope: float) -> np.ndarray:
    """The line through the knots (xs, ys), going on with `slope` outside them."""
    outside = np.minimum(x - xs[0], 0) + np.maximum(x - xs[-1], 0)
    return np.asarray(np.interp(x, xs, ys) + slope * outside)


def _checked(logits: np.ndarray, y_true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and Platt's targets (n₊ + 1) / (n₊ + 2) and 1 / (n₋ + 2) for positives and negatives."""
    logits, y_true = np.asarray(logits, dtype=np.float64), np.asarray(y_true, dtype=bool)
    if not np.isfinite(logits).all():
        raise DataInvalid("calibration needs finite logits; leave out the images that were refused")
    n_positive, n_negative = int(y_true.sum()), int((~y_true).sum())
    if not n_positive or not n_negative:
        raise OneClassOnly("calibration needs images of both classes; add some of the class that is missing")
    return logits, np.where(y_true, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))


def _loss(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log-likelihood, in the form that does not overflow."""
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT))))


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
                "observed": proportion(y_true[here], None if codes is None else codes[here]).to_dict(),
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
