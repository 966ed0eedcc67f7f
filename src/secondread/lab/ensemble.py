"""Several readers of the same images as one: their logits averaged, weighed or stacked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secondread.errors import OneClassOnly, TrainingError, UnknownName

ENSEMBLES = {
    "mean": "the mean of the members' logits",
    "weighted": "the mean of logits with weights of the least log loss on validation; none negative, their sum 1",
    "stacked": "a logistic regression on the validation logits",
}
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Ensemble:
    """How the members' logits become one: weights · logits + bias."""

    method: str
    weights: np.ndarray  # (n_members,)
    bias: float
    val_logits: np.ndarray  # (n_val,); of 'stacked', each image's by a fit that has not seen its group

    def combine(self, logits: np.ndarray) -> np.ndarray:
        """(n_members, n) → (n,)."""
        return self.weights @ np.asarray(logits, dtype=np.float64) + self.bias


def fit_ensemble(
    method: str, logits: np.ndarray, y_true: np.ndarray, *, groups: Sequence[str], random_state: int = 0
) -> Ensemble:
    """An ensemble fitted to validation images.

    method: of ENSEMBLES. logits: float (n_members, n_val) of the same images in the same order; y_true: bool (n_val,);
    groups: (n_val,), what must stay together. Stacking: Wolpert, Neural Networks 1992.
    Raises UnknownName, OneClassOnly, or TrainingError for too few groups to stack by.
    """
    logits, y_true = np.atleast_2d(np.asarray(logits, dtype=np.float64)), np.asarray(y_true, dtype=bool)
    if len(set(y_true.tolist())) < 2:
        raise OneClassOnly("an ensemble is fitted to validation images of both classes")
    if method == "stacked":
        return _stacked(logits, y_true, np.unique(groups, return_inverse=True)[1], random_state)
    if method not in ENSEMBLES:
        raise UnknownName.of("ensemble", method, ENSEMBLES)
    equal = np.full(len(logits), 1 / len(logits))
    weights = _best_weights(logits, y_true, equal) if method == "weighted" else equal
    return Ensemble(method, weights, 0.0, weights @ logits)


def log_loss(y_true: np.ndarray, logits: np.ndarray) -> float:
    """Mean negative log-likelihood. y_true: bool (n,); logits: float (n,)."""
    return float(np.logaddexp(0, np.where(y_true, -logits, logits)).mean())


def _best_weights(logits: np.ndarray, y_true: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The loss is convex in the weights, so any start leads to its one least value."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        combined = weights @ logits
        return log_loss(y_true, combined), logits @ (expit(combined) - y_true) / len(y_true)

    found = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(found.x, 0, None)
    weights /= weights.sum()
    return weights if loss(weights)[0] <= loss(start)[0] else start


def _stacked(logits: np.ndarray, y_true: np.ndarray, codes: np.ndarray, random_state: int) -> Ensemble:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    folds = min(_FOLDS, len(np.unique(codes[y_true])), len(np.unique(codes[~y_true])))
    if folds < 2:
        raise TrainingError("stacking by group needs two groups of each class in the val split; take 'mean'")
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=random_state)
    unseen = cross_val_predict(
        LogisticRegression(), logits.T, y_true, groups=codes, cv=parts, method="decision_function"
    )
    fitted = LogisticRegression().fit(logits.T, y_true)
    return Ensemble("stacked", fitted.coef_[0], float(fitted.intercept_[0]), unseen)
