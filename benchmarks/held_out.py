"""Puts what was measured with a hospital left out into the evidence of the shipped bundles of that recipe.

python -m benchmarks.held_out

It reads benchmarks/results/holdout, which `secondread lab holdout` gave; what differs from the bundle's own training is
said beside the table. tumour-malignancy/best and the bundles `paper` have none.
"""

import json
import sys
from typing import Any, NamedTuple

from benchmarks._common import RESULTS
from secondread.evidence.card import keep_held_out
from secondread.evidence.held_out import held_out_section
from secondread.reading import Bundle, load_bundle


class Measured(NamedTuple):
    """What was measured of a bundle's recipe."""

    file: str  # among benchmarks/results/holdout
    plans: tuple[str, ...]  # whose mean the bundle is
    recipe: str  # in words
    note: str  # what differs from the bundle's own training


MEASURED = {
    "tuberculosis/best": Measured(
        "tuberculosis-views",
        ("views",),
        "the mean of `mixed` and `lungs`, as the bundle's recipe file has them",
        "One seed. The images are the train and val rows of the hospital left out; the margin of screening was chosen "
        "on them too, with two seeds, when dark borders alone were cut off.",
    ),
    "fracture/best": Measured(
        "fracture-best",
        ("best",),
        "`best`, `lesion-lite0`",
        "Of the recipe before its network learnt beside a part that draws (`draw_weight`), in batches of 32, nine "
        "epochs; `val_from` and `prior_by_source` change nothing where one hospital alone teaches. One seed. The "
        "images are the train and val rows of the hospital left out.",
    ),
    "brain-tumour/best": Measured(
        "brain-tumour",
        ("base",),
        "`best`, `lesion-lite0`",
        "Trained on a GPU from a pack of images of 208 pixels at most, after near-copies of test images were taken out "
        "of the web collections, which this bundle still learnt from; one seed. `web`: navoneel, br35h and sartaj "
        "together. The images are the train and val rows of the hospital left out.",
    ),
}


def results_of(table: dict[str, Any], plans: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Hospital → results by seed, of one plan or of a mean of several."""
    if len(plans) == 1:
        (row,) = (row for row in table["plans"] if row["name"] == plans[0])
        return dict(row["hospitals"])
    (row,) = (row for row in table["means"] if sorted(row["plans"]) == sorted(plans))
    return {
        name: [
            {"seed": seed, "n": found["roc_auc"]["n"], "n_positive": found["screening"]["sensitivity"]["n"], **found}
            for seed, found in zip(row["seeds"], results, strict=True)
        ]
        for name, results in row["hospitals"].items()
    }


def put(bundle: Bundle, measured: Measured) -> None:
    """Into the bundle's evidence and card."""
    table = json.loads((RESULTS / "holdout" / f"{measured.file}.json").read_text(encoding="utf-8"))
    section = held_out_section(
        results_of(table, measured.plans),
        recipe=measured.recipe,
        date=table["date"],
        command=table["command"],
        fingerprint=table["data"]["fingerprint"],
        note=measured.note,
    )
    keep_held_out(bundle, section)


def main() -> None:
    """Rewrites evidence.json and card.md of the bundles named above."""
    for name, measured in MEASURED.items():
        put(load_bundle(name), measured)
        sys.stdout.write(f"{name}: {', '.join(measured.plans)}\n")


if __name__ == "__main__":
    main()
