"""What an answer means where disease is as common as said: odds before, times a likelihood ratio, are the odds after.

A probability is calibrated to images of which a certain share is diseased. Where another share is, the odds change by
the ratio of the two odds of disease, as long as the diseased look alike in both places and so do the healthy (Saerens,
Latinne & Decaestecker, Neural Computation 2002).
"""

from math import inf

_LEAST = 1e-6  # probabilities are given with six decimals: 0 and 1 stand for what rounds to them


def after(prevalence: float, likelihood_ratio: float) -> float:
    """Chance of disease after an answer with this likelihood ratio. prevalence: between 0 and 1, both left out."""
    if likelihood_ratio == inf:
        return 1.0
    odds = prevalence / (1 - prevalence) * likelihood_ratio
    return odds / (1 + odds)


def at_prevalence(probability: float, *, calibrated_at: float, prevalence: float) -> float:
    """A probability calibrated where `calibrated_at` of the images are diseased, as it is where `prevalence` are.

    All are shares; the two prevalences lie between 0 and 1, both left out.
    """
    inside = min(max(probability, _LEAST), 1 - _LEAST)
    return after(prevalence, inside / (1 - inside) * (1 - calibrated_at) / calibrated_at)
