"""Promises of operating points: told hospital by hospital, with what other images showed, the same everywhere."""

import json
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from secondread.evidence.card import write_card
from secondread.evidence.evidence import Prediction, build_evidence
from secondread.evidence.promises import guarantees_of, promises_of
from secondread.evidence.report import roles_in_words
from secondread.reading import list_bundles, load_bundle

BEST = [name for name in list_bundles() if name.endswith("/best")]


def predictions(sensitivity, *, source, n=200):
    """Half diseased, of which this share is above 0.5; every healthy one below."""
    found = [Prediction(f"{source}{at}", 1, source, f"{source}{at}", 0.9 if at < sensitivity * n / 2 else 0.1)
             for at in range(n // 2)]  # fmt: skip
    return found + [Prediction(f"{source}h{at}", 0, source, f"{source}h{at}", 0.1) for at in range(n // 2)]


def measured(splits, *, before=None, **more):
    return build_evidence(
        splits,
        bundle="t/b@00000000",
        weights_sha256="0" * 64,
        task="t",
        operating_point={"name": "screening", "threshold": 0.5},
        data={"fingerprint": "0" * 64, "splits": {}},
        command="",
        date="2026-01-01",
        before=before,
        **more,
    )


def test_readings_of_the_same_weights_are_counted_on():
    first = measured({"test": predictions(0.9, source="a")})
    assert first["reads"] == {"test": 1}
    again = measured({"test": predictions(0.9, source="a"), "external": predictions(0.9, source="b")}, before=first)
    assert again["reads"] == {"test": 2, "external": 1}
    only = measured({"external": predictions(0.9, source="b")}, before=again)
    assert only["reads"] == {"test": 2, "external": 2}, "what is left out this time was read all the same"
    assert measured({"test": []}, before={**again, "weights_sha256": "1" * 64})["reads"] == {"test": 1}
    uncounted = {key: value for key, value in first.items() if key != "reads"}
    assert measured({"test": []}, before=uncounted)["reads"] == {"test": 2}, "evidence without a count is one time"


def test_one_class_has_no_f1_or_average_precision_but_a_reason():
    rows = predictions(0.9, source="a")
    evidence = measured({"ill": rows[:100], "well": rows[100:]})["results"]
    for split, names, why in (
        ("ill", ("specificity", "precision", "roc_auc", "average_precision", "lr_positive"), "no healthy image"),
        ("well", ("recall", "precision", "f1", "roc_auc", "average_precision", "lr_negative"), "no diseased image"),
    ):
        for name in names:
            assert evidence[split]["metrics"][name] == {"value": None, "low": None, "high": None, "reason": why}
    assert evidence["ill"]["metrics"]["f1"]["value"] > 0.9


@pytest.mark.parametrize("name", BEST)
def test_the_shipped_evidence_tells_hospitals_apart(name):
    bundle = load_bundle(name)
    schema = json.loads((files("secondread.evidence") / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(bundle.evidence, schema)
    promised = promises_of(bundle)
    assert [one.operating_point for one in promised] == ["screening", "confirm"]
    for one in promised:
        assert all(shown.source for shown in one.guarantee.sources)
        assert one.guarantee.holds == all(shown.shown for shown in one.guarantee.sources)
        assert guarantees_of(bundle, bundle.operating_points[one.operating_point]) == (one.guarantee,)
        rates = {"sensitivity": "recall", "specificity": "specificity"}
        for seen in one.seen:
            result = bundle.evidence["results"][seen.split]
            part = result.get("by_source", {}).get(seen.source, result)
            if one.operating_point == bundle.evidence["operating_point"]["name"]:
                assert seen.rate.value == pytest.approx(part["metrics"][rates[one.guarantee.on]]["value"], abs=1e-6)
    assert {row["role"] for row in bundle.evidence["data"]["rows"]} == {"taught", "chose", "measured"}
    assert bundle.evidence["reads"]["test"] >= 1


@pytest.mark.parametrize("name", BEST)
def test_the_card_says_what_was_shown_and_where(name):
    bundle = load_bundle(name)
    card = write_card(bundle, bundle.evidence)
    assert "only read" not in card
    assert "proven" not in card
    for sentence in roles_in_words(bundle.evidence):
        assert sentence in card
    for one in promises_of(bundle):
        for shown in one.guarantee.sources:
            (line,) = (
                row for row in card.splitlines()
                if row.startswith(f"| {one.operating_point} |") and f"| {shown.source} | {shown.n} (" in row
            )  # fmt: skip
            assert ("**shown**" in line) == shown.shown
            assert ("too few" in line) == (shown.too_few and not shown.shown)


def test_kept_broken_and_open_are_told_by_the_interval():
    bundle = load_bundle("tuberculosis/best")
    point = bundle.operating_points["screening"]
    low, high = point.threshold - 0.01, point.threshold + 0.01
    rows = {
        source: [Prediction(f"{at}", 1, source, f"{at}", high if at < hits else low) for at in range(100)]
        for source, hits in (("good", 100), ("bad", 50), ("so so", 92))
    }
    seen = {one.source: one.kept for one in promises_of(bundle, measured(rows))[0].seen}
    assert seen == {"good": "kept", "bad": "broken", "so so": "open"}
    assert np.all([one.n == 100 for one in promises_of(bundle, measured(rows))[0].seen])
