"""Drift: whether readings still look like what the reader was measured on.

Three things are compared, window by window, with the bundle's evidence or with the first weeks of the place itself. The
chance of any false alarm within a year is at most the level; it is shared out over what is compared.

**Scores.** A clinic has another share of the diseased than the test set, so its scores differ without any drift. The
window is therefore compared with every mixture of the evidence's scores of diseased and of healthy images, and the
alarm goes off only where no share of the diseased explains it: where, for every share p, the Kolmogorov–Smirnov
distance exceeds e(window) + p·e(diseased) + (1 − p)·e(healthy). Each e(n) is the Dvoretzky–Kiefer–Wolfowitz bound with
Massart's constant, √(ln(2/a)/2n), a being a third of the level: at the true share the sum bounds the distance by the
triangle inequality, whatever the distributions. Images of one patient count as wholly alike: n is (Σm)²/Σm², m being
the images of each (Kish 1965). Every window is looked at once, when it is over, and has its share of the year's level.
The population stability index (PSI) is shown beside it, without alarm.

**Refusals.** Their rate, in both directions, and **agreement**: sensitivity and specificity against what reviewers
concluded, which hold at any share of the diseased. All are watched as `stats.watch` says, however often one looks; a
patient is one observation, the mean of their images in the first window that has some. Only reviewed images count: if
people review what looks odd, the rates are lower than over all images. With each window stands what it could have seen:
`seen_below` is the highest true rate that would raise the alarm four times of five.

The intervals shown beside a rate are 95 %, on the effective number of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from secondread.stats.interval import Interval
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.watch import Watch

_SHARES = np.linspace(0, 1, 101)
_BINS = 10


@dataclass(frozen=True)
class Rate:
    """A share in one window with its interval, beside the one that it is held against."""

    hits: int
    n: int
    n_groups: int  # patients, or images where no patient is known
    value: float | None
    low: float
    high: float
    evidence_value: float | None
    evidence_low: float
    evidence_high: float
    seen_below: float | None  # a true rate up to here would raise the alarm four times of five; None: no fall would
    alarm: bool
    since: int | None  # the window, from 0, since which the rate has left what it is held against


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
class Scores:
    """Scores, and what they are worth in independent ones."""

    values: np.ndarray  # float (n,), sorted
    n_effective: float

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray, groups: Sequence[str] | np.ndarray | None = None) -> "Scores":
        """groups: (n,), what belongs together; None: every one is independent."""
        found = np.sort(np.asarray(values, dtype=np.float64))
        sizes = (
            np.ones(len(found)) if groups is None else np.bincount(group_codes(groups)) if len(found) else np.zeros(0)
        )
        return cls(found, float(sizes.sum() ** 2 / (sizes**2).sum()) if len(found) else 0.0)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Reference:
    """What scores and refusals are held against; without labels all scores stand under `negatives`."""

    positives: Scores  # of the diseased
    negatives: Scores
    refusals: Interval


@dataclass(frozen=True, eq=False)
class Observed:
    """One window's images of which a share is watched."""

    hits: np.ndarray  # bool (n,)
    groups: Sequence[str]  # (n,), their patients


def score_drift(scores: Scores, reference: Reference, *, level: float) -> ScoreDrift:
    """Whether any mixture of the reference explains these scores; see the module.

    level: the greatest chance of an alarm without drift.
    """
    every = (scores, reference.positives, reference.negatives)
    if not len(scores) or not (len(reference.positives) or len(reference.negatives)):
        return ScoreDrift(len(scores), None, None, None, None, False)
    at = np.unique(np.concatenate([known.values for known in every]))
    here, diseased, healthy = (_distribution(known.values, at) for known in every)
    shares = _SHARES if len(reference.positives) and len(reference.negatives) else np.array([0.0])
    if not len(reference.negatives):
        shares = np.array([1.0])
    mixtures = shares[:, None] * diseased + (1 - shares)[:, None] * healthy  # (share, place)
    # The distance between steps is the same as at the steps: all three are constant in between.
    distances = np.abs(mixtures - here).max(axis=1)
    e_here, e_diseased, e_healthy = (_dkw(known.n_effective, level / 3) for known in every)
    # Half a step of the grid of shares may lie between the true share and the nearest one looked at.
    grid = 0.5 / (len(_SHARES) - 1)
    allowed = e_here + shares * e_diseased + (1 - shares) * e_healthy + (grid if len(shares) > 1 else 0.0)
    best = int(np.argmin(distances - allowed))
    share = float(shares[best])
    return ScoreDrift(
        n=len(scores),
        distance=float(distances[best]),
        allowed=float(allowed[best]),
        share=share if len(shares) > 1 else None,
        psi=_psi(scores.values, reference, share),
        alarm=bool(distances[best] > allowed[best]),
    )


def watched(
    windows: Sequence[Observed], known: Interval, *, level: float, windows_a_year: int, both_sides: bool = False
) -> list[Rate]:
    """A rate in each of consecutive windows, and since when it is lower than `known` (both_sides: or higher).

    level: the greatest chance of a false alarm among the windows of a year.
    """
    sides = [(known, False), (_other_side(known), True)] if both_sides else [(known, False)]
    each = level / len(sides)
    watches = [(Watch.over(side, level=each, starts_a_year=windows_a_year), turned) for side, turned in sides]
    hits, n = _observations(windows)
    since = [watch.alarms(n - hits if turned else hits, n) for watch, turned in watches]
    rates = []
    for at, window in enumerate(windows):
        here = proportion(np.asarray(window.hits, dtype=bool), group_codes(window.groups) if len(window.hits) else None)
        began = [found[at] for found in since if found[at] is not None]
        rates.append(
            Rate(
                hits=int(np.sum(window.hits)),
                n=len(window.hits),
                n_groups=len(set(window.groups)),
                value=here.value,
                low=here.low or 0.0,
                high=1.0 if here.high is None else here.high,
                evidence_value=known.value,
                evidence_low=known.low or 0.0,
                evidence_high=1.0 if known.high is None else known.high,
                seen_below=watches[0][0].seen_below(int(n[at])),
                alarm=bool(began),
                since=min((one for one in began if one is not None), default=None),
            )
        )
    return rates


def _other_side(known: Interval) -> Interval:
    return known if known.value is None else Interval(1 - known.value, n=known.n, n_effective=known.n_effective)


def _observations(windows: Sequence[Observed]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the observations of each window: a patient's mean, in the first window that has them."""
    met: set[str] = set()
    hits, n = np.zeros(len(windows)), np.zeros(len(windows))
    for at, window in enumerate(windows):
        here: dict[str, list[bool]] = {}
        for hit, patient in zip(window.hits, window.groups, strict=True):
            if patient not in met:
                here.setdefault(patient, []).append(bool(hit))
        met |= set(here)
        hits[at], n[at] = sum(np.mean(found) for found in here.values()), len(here)
    return hits, n


def _distribution(known: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Share of `known` (sorted) up to each place."""
    return np.searchsorted(known, at, side="right") / len(known) if len(known) else np.zeros(len(at))


def _dkw(n: float, level: float) -> float:
    return sqrt(log(2 / level) / (2 * n)) if n else 0.0


def _psi(values: np.ndarray, reference: Reference, share: float) -> float:
    """Σ (here − there) ln(here / there) over ten bins; half an image is added to each so that none is empty."""
    both = np.sort(np.concatenate([reference.positives.values, reference.negatives.values]))
    edges = np.quantile(both, np.linspace(0, 1, _BINS + 1)[1:-1])

    def shares(known: np.ndarray) -> np.ndarray:
        counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=_BINS) + 0.5
        return counts / counts.sum()

    there = share * shares(reference.positives.values) + (1 - share) * shares(reference.negatives.values)
    here = shares(values)
    return float(((here - there) * np.log(here / there)).sum())
