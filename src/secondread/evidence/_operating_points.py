"""Operating points measured on validation data: what a threshold costs and what it finds."""

from typing import Any

import numpy as np

from secondread.evidence._intervals import clopper_pearson
from secondread.evidence._metrics import confusion


def measure_operating_point(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    *,
    threshold: float,
    chosen_by: str,
    data: str,
    date: str,
    weights_sha256: str,
) -> dict[str, Any]:
    """A threshold bound to one set of weights, with sensitivity and specificity on the data it was measured on.

    y_true: bool (n,); probabilities: float (n,) calibrated. Positive is above the threshold.
    chosen_by, data: in words, for the record. Intervals: Clopper–Pearson, 95 %.
    """
    counts = confusion(y_true, np.asarray(probabilities) > threshold)
    return {
        "threshold": threshold,
        "chosen_by": chosen_by,
        "data": data,
        "date": date,
        "weights_sha256": weights_sha256,
        "n": len(y_true),
        "sensitivity": _proportion(counts.tp, counts.tp + counts.fn),
        "specificity": _proportion(counts.tn, counts.tn + counts.fp),
    }


def _proportion(successes: int, n: int) -> dict[str, float | int | None]:
    low, high = clopper_pearson(successes, n)
    return {"value": round(successes / n, 6) if n else None, "low": round(low, 6), "high": round(high, 6), "n": n}
