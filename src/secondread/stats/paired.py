"""Recipes compared on the same images: each trained several times, all beside one of them."""

from collections.abc import Sequence

import numpy as np

from secondread.stats.bootstrap import effective_groups, ends, reach_of
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
    """ROC AUC and log loss of every recipe, and how they differ from the reference's, with bootstrap intervals.

    y_true: bool (n,); logits: float (n_recipes, n_seeds, n) of the same images; groups (n,): what stays together.
    folds: int (n,), which network of a seed answered; areas are taken within a fold, since two networks' scores have no
    common scale, and averaged. Groups and seeds are drawn anew, the same for every recipe: the differences are paired.
    Intervals are the draws' standard error times the t quantile of the smaller class's groups, for areas on the logit
    scale: percentiles of the draws hold the truth about 0.85 times of 1 for an area near 1.
    Returns for each recipe {roc_auc, log_loss, roc_auc_difference, log_loss_difference}; the reference does not differ
    from itself, and has no interval of that.
    """
    y_true, codes = np.asarray(y_true, dtype=bool), group_codes(groups)
    folds = np.zeros(len(y_true), dtype=int) if folds is None else np.asarray(folds)
    n_groups, n_seeds = int(codes.max()) + 1, logits.shape[1]
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)[:, codes].astype(np.float64)
    weights = np.vstack([np.ones(len(y_true)), drawn])  # the first row is the data as they are
    seeds = np.vstack([np.ones(n_seeds), rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples)])
    found = [_measure(y_true, recipe, folds, weights, seeds / n_seeds) for recipe in logits]
    parts = (codes[y_true], codes[~y_true])
    fewest = min(len(np.unique(part)) for part in parts)
    reach = reach_of(min(map(effective_groups, parts)), (1 + confidence) / 2) if fewest > 1 else np.inf
    return [
        {name: _interval(values, name, fewest, reach) for name, values in measured.items()}
        | {
            f"{name}_difference": NOTHING
            if number == reference
            else _interval(values - found[reference][name], f"{name}_difference", fewest, reach)
            for name, values in measured.items()
        }
        for number, measured in enumerate(found)
    ]


def choice_optimism(
    y_true: np.ndarray, scores: np.ndarray, *, groups: Sequence[str], n_resamples: int = 1000, random_state: int = 0
) -> float:
    """By how much choosing the model of the best ROC AUC on some images flatters its AUC on these.

    y_true: bool (n,); scores: float (n_models, n); groups: (n,). Models are chosen on groups drawn with replacement and
    measured on the groups that were left out; the mean difference (Efron, Journal of the ASA 1983), less that of the
    same model over all draws, which the choice has no part in. It counts the choice among these models alone, not what
    else was chosen on the same images. NaN where no draw has both classes on both sides.
    """
    y_true, codes = np.asarray(y_true, dtype=bool), group_codes(groups)
    n_groups = int(codes.max()) + 1
    rng = np.random.default_rng(random_state)
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)[:, codes].astype(np.float64)
    left = (drawn == 0).astype(np.float64)
    inside, outside = (np.stack([weighted_roc_auc(y_true, one, part) for one in scores]) for part in (drawn, left))
    known = ~np.isnan(inside).any(axis=0) & ~np.isnan(outside).any(axis=0)
    if not known.any():
        return float("nan")
    gained = (inside - outside)[:, known]
    best = inside[:, known].argmax(axis=0)
    return float((gained[best, np.arange(gained.shape[1])] - gained.mean(axis=1)[best]).mean())


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


_BOUNDS = {"roc_auc": (0.0, 1.0), "roc_auc_difference": (-1.0, 1.0)}


def _interval(values: np.ndarray, name: str, fewest: int, reach: float) -> Interval:
    """values (rows,): the first is the data's own. fewest: groups of the smaller class; reach: see `reach_of`."""
    value, drawn = float(values[0]), values[1:][~np.isnan(values[1:])]
    if np.isnan(value) or not len(drawn):
        return NOTHING
    if fewest < 2:
        return Interval(value)
    reach *= float(drawn.std())
    if name not in _BOUNDS:
        return Interval(value, value - reach, value + reach)
    return Interval(value, *ends(value, reach, 1 - 0.025 ** (1 / fewest), _BOUNDS[name]))
