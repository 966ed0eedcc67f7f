"""Recipes compared on the same images: each trained several times, all beside one of them."""

from collections.abc import Sequence

import numpy as np

from secondread.stats.interval import NOTHING, Interval
from secondread.stats.metrics import weighted_roc_auc
from secondread.stats.proportions import group_codes


def compare_runs(
    y_true: np.ndarray,
    logits: np.ndarray,
    *,
    groups: Sequence[str],
    reference: int,
    folds: np.ndarray | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> list[dict[str, Interval]]:
    """ROC AUC and log loss of every recipe, and how they differ from the reference's, with percentile intervals.

    y_true: bool (n,); logits: float (n_recipes, n_seeds, n) of the same images; groups (n,): what stays together.
    folds: int (n,), which network of a seed answered; areas are taken within a fold, since two networks' scores have no
    common scale, and averaged. Groups and seeds are drawn anew, the same for every recipe: the differences are paired.
    Returns for each recipe {roc_auc, log_loss, roc_auc_difference, log_loss_difference}, the differences of the
    reference from itself being nothing for certain.
    """
    y_true, codes = np.asarray(y_true, dtype=bool), group_codes(groups)
    folds = np.zeros(len(y_true), dtype=int) if folds is None else np.asarray(folds)
    n_groups, n_seeds = int(codes.max()) + 1, logits.shape[1]
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)[:, codes].astype(np.float64)
    weights = np.vstack([np.ones(len(y_true)), drawn])  # the first row is the data as they are
    seeds = np.vstack([np.ones(n_seeds), rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)])
    found = [_measure(y_true, recipe, folds, weights, seeds / n_seeds) for recipe in logits]
    tails = (50 * (1 - confidence), 50 * (1 + confidence))
    return [
        {name: _interval(values, tails) for name, values in measured.items()}
        | {f"{name}_difference": _interval(values - found[reference][name], tails) for name, values in measured.items()}
        for measured in found
    ]


def _measure(
    y_true: np.ndarray, logits: np.ndarray, folds: np.ndarray, weights: np.ndarray, seeds: np.ndarray
) -> dict[str, np.ndarray]:
    """logits (n_seeds, n); weights (rows, n); seeds (rows, n_seeds) that sum to 1 → name → (rows,)."""
    areas = np.stack([_areas(y_true, one, folds, weights) for one in logits], axis=1)  # (rows, n_seeds)
    losses = np.logaddexp(0, logits) - y_true * logits  # (n_seeds, n)
    log_losses = weights @ losses.T / weights.sum(axis=1, keepdims=True)
    return {"roc_auc": (areas * seeds).sum(axis=1), "log_loss": (log_losses * seeds).sum(axis=1)}


def _areas(y_true: np.ndarray, scores: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over the folds, (rows,); NaN where a fold was drawn without one of the classes."""
    parts = [folds == fold for fold in np.unique(folds)]
    return np.mean([weighted_roc_auc(y_true[part], scores[part], weights[:, part]) for part in parts], axis=0)


def _interval(values: np.ndarray, tails: tuple[float, float]) -> Interval:
    """values (rows,): the first is the data's own."""
    value, drawn = values[0], values[1:][~np.isnan(values[1:])]
    if np.isnan(value) or not len(drawn):
        return NOTHING
    low, high = np.percentile(drawn, tails)
    return Interval(float(value), float(low), float(high))
