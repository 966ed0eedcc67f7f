"""Whether scores without outcomes mend a threshold at a hospital that taught nothing (SECONDREAD_DATA).

python -m benchmarks.unlabelled TUBERCULOSIS_BUNDLE

TUBERCULOSIS_BUNDLE: one that New Delhi taught nothing, such as that of before its films came:
`git archive 2ede556 src/secondread/bundles/tuberculosis/best | tar -x -C OUT`. For fractures the shipped bundle.
New Delhi is read on its train and val rows; Montgomery and MURA, as external collections, are measured and choose
nothing. Outcomes are looked at only to measure, and for the last line of each place: the threshold that would have
kept the promise there.
"""

import sys
from typing import Any

import numpy as np

from benchmarks._common import data_folder, save
from secondread.data import Manifest, load_data
from secondread.evidence.evidence import Scored
from secondread.evidence.likelihood import calibrated_at
from secondread.evidence.measured import measured_predictions
from secondread.evidence.unlabelled import reference_of
from secondread.reading import Bundle, Reader, load_bundle
from secondread.stats.delong import auc_interval
from secondread.stats.drift import Scores, score_drift
from secondread.stats.label_shift import em_prevalence, matched_threshold, prevalence_interval
from secondread.stats.prevalence import at_prevalence
from secondread.stats.rates import rates_at
from secondread.training.measure import predictions_of

LEVEL = 0.05
COMMAND = "python -m benchmarks.unlabelled"
PLACES = (
    ("tuberculosis", "newdelhi", ("train", "val")),
    ("tuberculosis", "montgomery", ("external",)),
    ("fracture", "mura", ("external",)),
)


def scored_at(bundle: Bundle, task: str, source: str, splits: tuple[str, ...]) -> Scored:
    """What a bundle says of a hospital's images, all of them: the gate, which is another one since, is left out."""
    reader = Reader.load(bundle.folder, gate=False)
    manifest = load_data(data_folder() / task / "manifest.csv", task=reader.task)
    rows = tuple(row for row in manifest.rows if row.source == source and row.split in splits)
    return Scored.of(predictions_of(reader, Manifest(rows, manifest.folder)))


def measure(bundle: Bundle, here: Scored) -> dict[str, Any]:
    """What every way makes of one place, at `screening`."""
    point, share = bundle.operating_point("screening"), calibrated_at(bundle)
    assert share is not None, "a shipped bundle says what it was calibrated to"
    home = Scored.of(measured_predictions(bundle, "test"))
    positives, negatives = home.probabilities[home.y_true], home.probabilities[~home.y_true]
    true_share, n = float(here.y_true.mean()), len(here.y_true)

    def rates(positive: np.ndarray) -> dict[str, Any]:
        found = rates_at(here.y_true, positive, here.groups)
        return {"sensitivity": found.sensitivity.to_dict(), "specificity": found.specificity.to_dict()}

    def at(threshold: float) -> dict[str, Any]:
        return {"threshold": round(threshold, 6)} | rates(here.probabilities > threshold)

    def matched(prevalence: float) -> dict[str, Any]:
        moved = matched_threshold(
            here.probabilities,
            positives=positives,
            negatives=negatives,
            threshold=point.threshold,
            prevalence=prevalence,
        )
        return at(moved) | {"prevalence": round(prevalence, 4)}

    em = prevalence_interval(here.probabilities, here.groups, calibrated_at=share)
    corrected = np.array(
        [
            at_prevalence(one, calibrated_at=share, prevalence=min(max(em.value or 0, 1e-4), 1 - 1e-4))
            for one in here.probabilities
        ]
    )
    drift = score_drift(Scores.of(here.probabilities, here.groups), reference_of(bundle, "test"), level=LEVEL)
    of_the_diseased = np.sort(here.probabilities[here.y_true])
    kept = of_the_diseased[int(np.floor((1 - bundle.task.target_sensitivity) * len(of_the_diseased)))] - 1e-6
    return {
        "n": n,
        "n_positive": int(here.y_true.sum()),
        "roc_auc": auc_interval(here.y_true, here.probabilities, groups=here.groups).to_dict(),
        "prevalence": round(true_share, 4),
        "prevalence_by_em": em.to_dict(),
        "label_shift_refused": drift.alarm,
        "drift": {"distance": drift.distance, "allowed": drift.allowed, "share": drift.share},
        "ways": {
            "as it is": at(point.threshold),
            "label shift: corrected probability above the old threshold": {"threshold": point.threshold}
            | rates(corrected > point.threshold),
            "quantiles, at the share by EM": matched(em.value or 0.0),
            "quantiles, at the true share": matched(true_share),
            "quantiles, at half the true share": matched(true_share / 2),
            "quantiles, at 1.5 times the true share": matched(min(1.5 * true_share, 1.0)),
            "with outcomes: the highest that keeps the promise here": at(float(kept)),
        },
    }


def rarer(bundle: Bundle, here: Scored, *, prevalence: float, draws: int = 200) -> dict[str, Any]:
    """The same place with fewer of its diseased, as a screening would see it: EM and the drift test over draws."""
    share = calibrated_at(bundle)
    assert share is not None, "a shipped bundle says what it was calibrated to"
    rng = np.random.default_rng(0)
    healthy, diseased = np.flatnonzero(~here.y_true), np.flatnonzero(here.y_true)
    n = max(round(prevalence / (1 - prevalence) * len(healthy)), 1)
    reference = reference_of(bundle, "test")
    shares, alarms = [], []
    for _ in range(draws):
        rows = np.concatenate([healthy, rng.choice(diseased, n, replace=False)])
        found = here.probabilities[rows]
        shares.append(em_prevalence(found, calibrated_at=share))
        alarms.append(score_drift(Scores.of(found), reference, level=LEVEL).alarm)
    low, middle, high = np.quantile(shares, (0.025, 0.5, 0.975))
    return {
        "prevalence": prevalence,
        "n": len(healthy) + n,
        "draws": draws,
        "by_em": {"median": round(float(middle), 4), "low": round(float(low), 4), "high": round(float(high), 4)},
        "refused": round(float(np.mean(alarms)), 3),
    }


def main() -> None:
    """Writes results/unlabelled.json."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bundles = {"tuberculosis": load_bundle(sys.argv[1]), "fracture": load_bundle("fracture/best")}
    places = []
    for task, source, splits in PLACES:
        bundle = bundles[task]
        here = scored_at(bundle, task, source, splits)
        found = {"task": task, "hospital": source, "splits": list(splits), "bundle": bundle.id}
        places.append(found | measure(bundle, here) | {"rarer": rarer(bundle, here, prevalence=0.1)})
        print(source, places[-1], flush=True)
    home = Scored.of(measured_predictions(bundles["tuberculosis"], "test"))
    at_home = {"hospital": "its own test split, fewer of the diseased"}
    table = {"places": places, "at_home": at_home | rarer(bundles["tuberculosis"], home, prevalence=0.1)}
    save("unlabelled", {"command": f"{COMMAND} {bundles['tuberculosis'].name}"} | table)


if __name__ == "__main__":
    main()
