"""Differential privacy of what sites send: updates clipped to a length, noise added, and the ε that all rounds cost.

The unit that is protected is a whole site: whether a hospital took part at all, with all of its images. That is the
strongest promise there is, and with a handful of sites the dearest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from secondread.errors import UsageError

Arrays = dict[str, np.ndarray]
Where = Literal["central", "local"]


@dataclass(frozen=True)
class Privacy:
    """How updates are made private.

    where: 'central', the server adds the noise to the mean of the clipped updates and must be trusted to; 'local', each
    site adds it before it sends. clip: the longest update (L2 norm over all weights). noise: standard deviation of the
    noise on one update's sum, in units of clip. delta: of the promise (ε, δ).
    """

    where: Where
    clip: float
    noise: float
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if self.where not in ("central", "local"):
            raise UsageError(f"privacy is 'central' or 'local', not '{self.where}'")
        if not (self.clip > 0 and math.isfinite(self.clip) and self.noise > 0 and math.isfinite(self.noise)):
            raise UsageError("privacy needs a clip and a noise above 0")
        if not 0 < self.delta < 1:
            raise UsageError("delta lies between 0 and 1, and well below one over the number of sites")

    def epsilon(self, rounds: int) -> float:
        """ε at this δ after so many rounds, each a Gaussian mechanism in which every site takes part.

        Rényi: a round costs α / (2 noise²); ε is the least of rounds · α / (2 noise²) + ln(1/δ) / (α − 1), which at its
        best α is r + 2 √(r ln(1/δ)) with r = rounds / (2 noise²). Mironov, CSF 2017, propositions 1, 3 and corollary 3.
        """
        if rounds <= 0:
            return 0.0
        spent = rounds / (2 * self.noise**2)
        return spent + 2 * math.sqrt(spent * math.log(1 / self.delta))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"where": self.where, "clip": self.clip, "noise": self.noise, "delta": self.delta}


def noise_for(epsilon: float, *, delta: float, rounds: int) -> float:
    """The noise, in units of clip, with which so many rounds cost this ε at this δ. Raises UsageError."""
    if not (epsilon > 0 and 0 < delta < 1 and rounds > 0):
        raise UsageError("ε must be above 0, δ between 0 and 1, and rounds 1 or more")
    log = math.log(1 / delta)
    spent = (math.sqrt(log + epsilon) - math.sqrt(log)) ** 2  # solves spent + 2 √(spent log) = ε
    return math.sqrt(rounds / (2 * spent))


def is_finite(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether all of them are numbers."""
    return all(np.isfinite(part).all() for part in weights.values())


def norm_of(update: Mapping[str, np.ndarray]) -> float:
    """L2 over all weights together."""
    return math.sqrt(sum(float(np.sum(np.square(part, dtype=np.float64))) for part in update.values()))


def difference(after: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> Arrays:
    """The update: what was learnt in between, float64."""
    return {name: after[name].astype(np.float64) - before[name] for name in before}


def moved(before: Mapping[str, np.ndarray], update: Mapping[str, np.ndarray]) -> Arrays:
    """The weights after an update, in the type that they had."""
    return {name: (before[name] + update[name]).astype(before[name].dtype) for name in before}


def clipped(update: Mapping[str, np.ndarray], longest: float) -> Arrays:
    """The update, shortened to a norm of `longest` where it is longer."""
    factor = min(1.0, longest / max(norm_of(update), 1e-12))
    return {name: part * factor for name, part in update.items()}


def noisy(update: Mapping[str, np.ndarray], deviation: float, rng: np.random.Generator) -> Arrays:
    """The update with Gaussian noise of that standard deviation on every weight."""
    return {name: part + rng.normal(0.0, deviation, np.shape(part)) for name, part in update.items()}


_SPREAD = "running_var"  # ends the names of what normalisation layers divide by, squared
_LEAST_SPREAD = 0.1  # of what it was: a root of less than nothing is no number, and of next to nothing drowns the layer


def spread_kept(after: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray]) -> Arrays:
    """The weights with variances that stay above 0, where noise or a server's step took them below.

    It looks at nothing but what is told anyway, so it costs no privacy.
    """
    return {
        name: np.maximum(part, _LEAST_SPREAD * before[name]).astype(part.dtype) if name.endswith(_SPREAD) else part
        for name, part in after.items()
    }


def secret_rng() -> np.random.Generator:
    """Noise that nobody can draw again: seeded by the operating system, never by a run's random state."""
    return np.random.default_rng()
