"""Drift: whether a window of readings still looks like what the reader was measured on.

Three things are compared with the evidence, each with an alarm whose chance of going off while nothing has changed is
at most its `level`.

**Scores.** A clinic has another share of the diseased than the test set, so its scores differ without any drift. The
window is therefore compared with every mixture of the evidence's scores of diseased and of healthy images, and the
alarm goes off only where no share of the diseased explains it: where, for every share p, the Kolmogorov–Smirnov
distance exceeds e(window) + p·e(diseased) + (1 − p)·e(healthy). Each e(n) is the Dvoretzky–Kiefer–Wolfowitz bound with
Massart's constant, √(ln(2/a)/2n), a being a third of the level: at the true share the sum bounds the distance by the
triangle inequality, whatever the distributions. The population stability index (PSI) is shown beside it, without alarm.

**Refusals.** The refusal rate in the window against that in the evidence by Fisher's exact test (1935), half the level
on each side.

**Agreement.** Sensitivity and specificity against what reviewers concluded, which hold at any share of the diseased;
Fisher's test of being lower than in the evidence, on the independent images that the evidence is worth. Only reviewed
images count: if people review what looks odd, the rates are lower than over all images. Without an alarm a window says
what it could have seen: `seen_below` is the highest true rate that would raise the alarm four times of five.

The intervals shown beside a rate are Clopper–Pearson's, each at half the level: where they do not meet, Fisher's test
has raised the alarm already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from secondread.stats.proportions import clopper_pearson

_SHARES = np.linspace(0, 1, 101)
_BINS = 10


@dataclass(frozen=True)
class Rate:
    """A share with its interval, beside the evidence's."""

    hits: int
    n: int
    value: float | None
    low: float
    high: float
    evidence_value: float | None
    evidence_low: float
    evidence_high: float
    seen_below: float | None  # a true rate up to here would raise the alarm four times of five; None: no fall would
    alarm: bool


@dataclass(frozen=True)
class ScoreDrift:
    """Scores of a window against the mixture of the evidence's that fits best."""

    n: int
    distance: float | None  # Kolmogorov–Smirnov, to the best mixture; None without scores
    allowed: float | None  # what chance explains at that share
    share: float | None  # of the diseased in that mixture: a rough estimate of the prevalence here
    psi: float | None  # population stability index against that mixture, ten bins of equal evidence
    alarm: bool


@dataclass(frozen=True, eq=False)
class Reference:
    """What a bundle's evidence says of one split."""

    split: str
    positives: np.ndarray  # sorted scores of the diseased
    negatives: np.ndarray
    n_refused: int
    n: int


def score_drift(scores: Sequence[float] | np.ndarray, reference: Reference, *, level: float) -> ScoreDrift:
    """Whether any mixture of the reference explains these scores; see the module.

    level: the greatest chance of an alarm without drift.
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    if not len(values) or not (len(reference.positives) or len(reference.negatives)):
        return ScoreDrift(len(values), None, None, None, None, False)
    at = np.unique(np.concatenate([values, reference.positives, reference.negatives]))
    here, diseased, healthy = (_distribution(known, at) for known in (values, reference.positives, reference.negatives))
    shares = _SHARES if len(reference.positives) and len(reference.negatives) else np.array([0.0])
    if not len(reference.negatives):
        shares = np.array([1.0])
    mixtures = shares[:, None] * diseased + (1 - shares)[:, None] * healthy  # (share, place)
    # The distance between steps is the same as at the steps: all three are constant in between.
    distances = np.abs(mixtures - here).max(axis=1)
    e_here, e_diseased, e_healthy = (
        _dkw(len(known), level / 3) for known in (values, reference.positives, reference.negatives)
    )
    # Half a step of the grid of shares may lie between the true share and the nearest one looked at.
    grid = 0.5 / (len(_SHARES) - 1)
    allowed = e_here + shares * e_diseased + (1 - shares) * e_healthy + (grid if len(shares) > 1 else 0.0)
    best = int(np.argmin(distances - allowed))
    share = float(shares[best])
    return ScoreDrift(
        n=len(values),
        distance=float(distances[best]),
        allowed=float(allowed[best]),
        share=share,
        psi=_psi(values, reference, share),
        alarm=bool(distances[best] > allowed[best]),
    )


def rate_of(hits: int, n: int, *, evidence_hits: float, evidence_n: float, level: float, below_only: bool) -> Rate:
    """A share beside the evidence's, and whether it left it. below_only: a higher one is no alarm.

    evidence_hits, evidence_n: may be fractions, of an effective size; whole images of it are counted.
    level: the greatest chance of an alarm without drift.
    """
    confidence, side = 1 - level / 2, level if below_only else level / 2
    low, high = clopper_pearson(hits, n, confidence=confidence)
    known = clopper_pearson(evidence_hits, evidence_n, confidence=confidence)
    size = int(evidence_n)
    there = round(evidence_hits / evidence_n * size) if size else 0
    alarm = chance_of_fewer(hits, n, there, size) <= side
    if not below_only:
        alarm = alarm or chance_of_fewer(n - hits, n, size - there, size) <= side
    return Rate(
        hits,
        n,
        hits / n if n else None,
        low,
        high,
        evidence_hits / evidence_n if evidence_n else None,
        *known,
        seen_below=_seen_below(n, there, size, side),
        alarm=alarm,
    )


def chance_of_fewer(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """Fisher's exact test: how often chance alone gives so few of all hits to the first of two samples of one rate."""
    from scipy.special import gammaln

    every, least = hits + other_hits, max(0, hits + other_hits - other_n)
    here = np.arange(least, hits + 1)

    def log_choose(of: int, chosen: np.ndarray | int) -> np.ndarray:
        return np.asarray(gammaln(of + 1) - gammaln(np.asarray(chosen) + 1) - gammaln(of - np.asarray(chosen) + 1))

    logs = log_choose(n, here) + log_choose(other_n, every - here) - log_choose(n + other_n, every)
    return float(min(np.exp(logs).sum(), 1.0))


def _seen_below(n: int, evidence_hits: int, evidence_n: int, level: float) -> float | None:
    """The highest true rate with which n images raise the alarm of a fall with a chance of 0.8; None without one."""
    from scipy.special import betaincinv

    low, high = -1, n  # hits that raise it, and hits that do not
    while high - low > 1:
        middle = (low + high) // 2
        if chance_of_fewer(middle, n, evidence_hits, evidence_n) <= level:
            low = middle
        else:
            high = middle
    return None if low < 0 else float(1 - betaincinv(n - low, low + 1, 0.8))


def _distribution(known: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of `known` (sorted) up to each place."""
    return np.searchsorted(known, at, side="right") / len(known) if len(known) else np.zeros(len(at))


def _dkw(n: int, level: float) -> float:
    return sqrt(log(2 / level) / (2 * n)) if n else 0.0


def _psi(values: np.ndarray, reference: Reference, share: float) -> float:
    """Σ (here − there) ln(here / there) over ten bins; half an image is added to each so that none is empty."""
    both = np.sort(np.concatenate([reference.positives, reference.negatives]))
    edges = np.quantile(both, np.linspace(0, 1, _BINS + 1)[1:-1])

    def shares(known: np.ndarray) -> np.ndarray:
        counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=_BINS) + 0.5
        return counts / counts.sum()

    there = share * shares(reference.positives) + (1 - share) * shares(reference.negatives)
    here = shares(values)
    return float(((here - there) * np.log(here / there)).sum())
