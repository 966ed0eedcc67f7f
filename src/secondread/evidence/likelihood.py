"""What one answer of a bundle says of disease: its likelihood ratio in the evidence, and what it was calibrated to."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from secondread.evidence.evidence import Scored
from secondread.evidence.measured import read_predictions
from secondread.reading import Bundle
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.rates import likelihood_ratio

MEASURED_ON = "test"


@dataclass(frozen=True)
class AnswerLikelihood:
    """How many times likelier an answer is with disease than without."""

    ratio: Interval  # nothing where it was not measured; its value alone is None where no healthy image got the answer
    split: str
    n_positive: int
    n_negative: int

    def to_dict(self) -> dict[str, Any]:
        """As a reading's JSON has it: the value, and what it rests on."""
        rests_on = {"split": self.split, "n_positive": self.n_positive, "n_negative": self.n_negative}
        measured = {"low": _rounded(self.ratio.low), "high": _rounded(self.ratio.high)} | rests_on
        return {"likelihood_ratio": _rounded(self.ratio.value), "likelihood_ratio_measured": measured}


NOT_MEASURED: dict[str, Any] = {"likelihood_ratio": None, "likelihood_ratio_measured": None}


@lru_cache(maxsize=64)
def likelihood_of(bundle: Bundle, *, threshold: float, low: float | None) -> dict[str, AnswerLikelihood]:
    """Of every answer at this threshold, on the whole test split: 'positive', 'negative' and, with a band, 'uncertain'.

    The test split holds images of every hospital that was learnt from; at another the ratio may be nearer to 1. Empty
    where the bundle has no evidence of it.
    """
    scored = Scored.of(read_predictions(bundle.evidence, MEASURED_ON))
    if len(set(scored.y_true.tolist())) < 2:
        return {}
    above, below = scored.probabilities > threshold, scored.probabilities <= (threshold if low is None else low)
    given = {"positive": above, "negative": below} | ({} if low is None else {"uncertain": ~above & ~below})
    n_positive = int(scored.y_true.sum())
    return {
        answer: AnswerLikelihood(
            likelihood_ratio(scored.y_true, here, scored.groups) if here.any() else NOTHING,
            MEASURED_ON,
            n_positive,
            len(scored.y_true) - n_positive,
        )
        for answer, here in given.items()
    }


def calibrated_at(bundle: Bundle) -> float | None:
    """Share of the diseased among the images that the bundle's probabilities are calibrated to; None: not recorded.

    They are the images on which its operating points were chosen, of the site where it was recalibrated.
    """
    point = bundle.operating_point()
    n_positive, n_negative = point.sensitivity.n or 0, point.specificity.n or 0
    return n_positive / (n_positive + n_negative) if n_positive and n_negative else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
