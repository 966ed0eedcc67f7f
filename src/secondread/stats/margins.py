"""How far a threshold is moved, so that what validation promises holds at hospitals that it does not know as well.

A threshold that finds nine of ten at the hospitals whose images chose it finds fewer elsewhere. How many fewer is
measured by leaving hospitals out; the margin takes it back, on average over them.
"""

from collections.abc import Sequence

import numpy as np

from secondread.stats.thresholds import STEPS

POINTS = ("screening", "confirm")  # that have one: the first is moved downwards, the second upwards


def moved(threshold: float, by: float) -> float:
    """A threshold of probabilities, moved on the scale of logits, in whole millionths; one that no probability passes,
    or every one, stays. by: logits, below 0 towards more positive answers."""
    if not by or not 0 < threshold < 1:
        return threshold
    logit = np.log(threshold / (1 - threshold)) + by
    return round(float(1 / (1 + np.exp(-logit))), 6)


def least_margin(beyond: Sequence[np.ndarray], *, target: float) -> float:
    """The least margin, in logits and at least 0, with which the mean rate over hospitals reaches the target.

    beyond: by hospital, float (n,), of the images that a rate is about: how far each lies on the right side of its
    hospital's own threshold, in logits; below 0 on the wrong one. Rounded up to hundredths.
    """
    short = np.sort(np.concatenate([-part for part in beyond]))
    margins = (0.0, *(np.ceil(np.unique(short[short >= 0]) * 100 + 1e-9) / 100))  # with the last, none falls short
    return next(round(float(margin), 2) for margin in margins if _mean_rate(beyond, margin) >= target)


def beyond_threshold(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """How far probabilities lie above a threshold, in logits, float (n,); both in whole millionths at least."""
    inside = np.clip(np.append(probabilities, threshold), 0.5 / STEPS, 1 - 0.5 / STEPS)
    logits = np.log(inside / (1 - inside))
    return logits[:-1] - logits[-1]


def _mean_rate(beyond: Sequence[np.ndarray], margin: float) -> float:
    return float(np.mean([np.mean(part > -margin) for part in beyond]))
