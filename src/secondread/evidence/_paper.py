"""What the seed paper reports, to stand beside what was measured here."""

from typing import Any

import numpy as np

from secondread.evidence._metrics import METRICS

# Table 1 (percent) and the confusion matrices of its figures 6.1(c), 6.2(c) and 6.3(c). They disagree with each
# other, so both are quoted; the accuracy that a matrix gives is computed, not copied.
PAPER_CLAIMS: dict[str, dict[str, dict[str, float]]] = {
    "brain-tumour": {
        "table_1": {"accuracy": 94.2, "precision": 92.5, "recall": 91.8, "f1": 92.1},
        "confusion": {"tp": 67, "fn": 24, "tn": 136, "fp": 17},
    },
    "tuberculosis": {
        "table_1": {"accuracy": 93.6, "precision": 90.7, "recall": 94.3, "f1": 92.4},
        "confusion": {"tp": 285, "fn": 20, "tn": 344, "fp": 39},
    },
    "fracture": {
        "table_1": {"accuracy": 91.8, "precision": 89.5, "recall": 92.1, "f1": 90.7},
        "confusion": {"tp": 543, "fn": 51, "tn": 518, "fp": 44},
    },
}


def compare_with_paper(evidence: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows {name, table, matrix, ours}: Table 1 and its own confusion matrix in percent, and ours on the test split.

    Empty for a task of the user's own, or where test was not measured.
    """
    claims, test = PAPER_CLAIMS.get(evidence["task"]), evidence["results"].get("test")
    if claims is None or not test or not test["metrics"]:
        return []
    cells = [np.float64(claims["confusion"][key]) for key in ("tp", "fp", "tn", "fn")]
    return [
        {"name": name, "table": claimed, "matrix": 100 * float(METRICS[name](*cells)), "ours": test["metrics"][name]}
        for name, claimed in claims["table_1"].items()
    ]
