"""A finished bundle at a site: kept there, measured there on images nobody else sees, and told in counts."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secondread.data import Manifest
from secondread.evidence.card import write_card
from secondread.evidence.evidence import Prediction, Scored
from secondread.lab.federated.histograms import Histogram, probability_edges
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.site import Site
from secondread.reading import Bundle, Reader, add_to_bundle, write_bundle
from secondread.stats.calibration import Calibration
from secondread.training.measure import evaluate, predictions_of

SPLIT = "test"


def measure_here(site: Site, plan: Plan, *, record: Mapping[str, Any], model: bytes) -> dict[str, Any]:
    """What a site tells of a bundle on its own test images: counts of calibrated scores by class, and of refusals.

    The bundle, with this site's own evidence in full, is put where `site.keeps` says; that stays here. Raises
    BundleError for a bundle that is none, or a network that may not be opened.
    """
    with tempfile.TemporaryDirectory() as aside:
        bundle = write_bundle(site.keeps or Path(aside) / str(record["name"]), record=record, model=model)
        test = site.data.test
        if test is None:
            return {"n": 0}
        reader = Reader.load(bundle.folder)
        if site.keeps is not None:
            own = Manifest(tuple(row for row in test.rows), test.folder)
            evidence = evaluate(bundle, own, [SPLIT], reader=reader, command="secondread federate site")
            add_to_bundle(bundle, evidence=evidence, card=write_card(bundle, evidence))
            read = [Prediction(*row) for row in _rows(evidence)]
        else:
            read = predictions_of(reader, test)
        if site.policy.leaves == "nothing":
            return {"n": 0}
        return told_of(read, bundle.calibration, thresholds_in(record))


def _rows(evidence: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [(path, label, source, str(group), probability, refusal)
            for path, label, probability, refusal, group, source in evidence["predictions"][SPLIT]]  # fmt: skip


def thresholds_in(record: Mapping[str, Any]) -> list[float]:
    """Every threshold of a bundle's record, the two ends of bands too."""
    found = [point.get(key) for point in record["operating_points"].values() for key in ("threshold", "low", "high")]
    return sorted({float(value) for value in found if value is not None})


def told_of(read: Sequence[Prediction], calibration: Calibration, thresholds: Sequence[float]) -> dict[str, Any]:
    """Predictions as counts: {n, positive, negative, refused: {code: [positives, negatives]}}."""
    scored = Scored.of(read)
    found = Histogram.of(scored.probabilities, scored.y_true, probability_edges(calibration, thresholds))
    refused = Counter((str(row.refusal), row.label) for row in read if row.probability is None)
    codes = sorted({code for code, _ in refused})
    return {
        "n": len(read),
        "positive": found.positive.tolist(),
        "negative": found.negative.tolist(),
        "refused": {code: [refused[code, 1], refused[code, 0]] for code in codes},
    }


def predictions_told(site: str, told: Mapping[str, Any], bundle: Bundle) -> list[Prediction]:
    """What a site's counts say, as predictions without a name: each at the middle of its bin, refusals by their code.

    A patient's images cannot be told together from counts, so each stands alone and intervals are a little narrow.
    Raises DataInvalid for counts that are none.
    """
    if not told.get("n"):
        return []
    edges = probability_edges(bundle.calibration, thresholds_in(bundle.record))
    found = Histogram.from_counts(edges, told["positive"], told["negative"])
    values, labels = found.values(low=0.0, high=1.0)
    rows: list[tuple[float | None, bool, str | None]] = [
        (float(value), bool(label), None) for value, label in zip(values, labels, strict=True)
    ]
    for code, counts in told["refused"].items():
        rows += [
            (None, label, str(code)) for label, count in zip((True, False), counts, strict=True) for _ in range(count)
        ]
    return [
        Prediction(f"{site}-{number}", int(label), site, f"{site}-{number}", value, code)
        for number, (value, label, code) in enumerate(rows, start=1)
    ]
