"""How the slices of a series become one answer: ways to combine them compared, and a threshold, on patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.evidence.evidence import Prediction
from secondread.evidence.series import OneSeries, SeriesSet
from secondread.reading import Combination
from secondread.reading.operating_point import HIGHEST, MEAN_OF_HIGHEST, NEIGHBOURS
from secondread.stats.delong import auc_interval
from secondread.stats.operating_points import ValidationSet, choose_operating_points
from secondread.tasks import Task

CANDIDATES = (
    Combination(HIGHEST),
    *(Combination(rule, n) for n in (2, 3, 4, 5) for rule in (MEAN_OF_HIGHEST, NEIGHBOURS)),
)
LEARNED = "logistic regression of the highest, the means of the 3 and the 5 highest, and the share above one half"
# Of ROC AUC that a rule of fewer slices may lose: the more are taken together, the sooner a small lesion is missed.
_SIMPLER = 0.001


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rule and its threshold as a bundle's record holds them under `series`, with what was compared."""

    record: dict[str, Any]
    compared: tuple[dict[str, Any], ...]


def choose_series_point(
    taught: Sequence[Prediction],
    validation: Sequence[Prediction],
    *,
    task: Task,
    data: str,
    date: str,
    weights_sha256: str,
) -> Chosen:
    """The rule that ranks these patients best, and the screening threshold for it.

    taught: slices of patients that the network learnt from, whose probabilities flatter it: there are too few patients
    without them, so both choose, and what validation patients show alone is told beside. The test split has no part.
    Raises DataInvalid where there are no series.
    """
    every, own = SeriesSet.of([*taught, *validation]), SeriesSet.of(validation)
    if not every.ill or not own.ill:
        raise DataInvalid("no series of a patient with the disease is among these slices; name its source")
    compared = [_compared(rule, every, own) for rule in CANDIDATES]
    compared.append(_learned(SeriesSet.of(taught), own))
    simple = [(rule, row["roc_auc"]["value"]) for rule, row in zip(CANDIDATES, compared, strict=False)]
    near = [(rule, auc) for rule, auc in simple if auc >= max(auc for _, auc in simple) - _SIMPLER]
    rule, _ = min(near, key=lambda found: (found[0].n, -found[1]))
    labels, scores, groups = every.scored(rule)
    screening = choose_operating_points(
        ValidationSet(labels, scores, groups, data, date, weights_sha256, sources=every.sources),
        target_sensitivity=task.target_sensitivity,
        target_specificity=task.target_specificity,
    )["screening"]
    how = {
        "rule": rule.rule,
        "n_together": rule.n,
        "n_patients": len(set(groups)),
        "n_taught": len(set(groups)) - len(own.ill),
    }
    screening["chosen_by"] = screening["chosen_by"].replace(" images", " patients")
    return Chosen({**how, **screening}, tuple(compared))


def _compared(rule: Combination, every: SeriesSet, own: SeriesSet) -> dict[str, Any]:
    found = {}
    for name, part in (("roc_auc", every), ("roc_auc_validation", own)):
        labels, scores, groups = part.scored(rule)
        found[name] = auc_interval(labels, scores, groups=groups).to_dict()
    return {"rule": rule.rule, "n_together": rule.n, **found}


def _learned(taught: SeriesSet, own: SeriesSet) -> dict[str, Any]:
    """Fitted on the patients that taught the network, told of those of validation; there it has to be better."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression()
    model.fit(_features(taught), taught.scored(CANDIDATES[0])[0])
    labels, _, groups = own.scored(CANDIDATES[0])
    scores = model.predict_proba(_features(own))[:, 1]
    return {
        "rule": LEARNED,
        "n_together": 5,
        "roc_auc": None,
        "roc_auc_validation": auc_interval(labels, scores, groups=groups).to_dict(),
    }


def _features(found: SeriesSet) -> np.ndarray:
    """float (n, 4)."""

    def of(one: OneSeries) -> list[float]:
        highest, three, five = (
            Combination(rule, n)(one.probabilities)
            for rule, n in ((HIGHEST, 1), (MEAN_OF_HIGHEST, 3), (MEAN_OF_HIGHEST, 5))
        )
        return [highest, three, five, float(np.mean(np.array(one.probabilities) > 0.5))]

    return np.array([of(one) for one in (*found.ill, *found.lesion_free, *found.well)])
