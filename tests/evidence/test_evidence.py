"""The evidence file: one number has one interval wherever it is shown, and older files still open."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from secondread.errors import UsageError
from secondread.evidence.evidence import Prediction, Scored, build_evidence, load_evidence, write_evidence
from secondread.evidence.measured import measured_predictions, read_predictions, threshold_costs
from secondread.reading import load_bundle
from secondread.stats.operating_points import measure_operating_point


def predictions(n=120, *, films=3, faultless=False):
    """Of patients with some films each, two refused."""
    rng = np.random.default_rng(0)
    found = []
    for at in range(n):
        label = int(at < n / 2)
        patient = f"patient {at // films}"
        score = 0.05 + 0.9 * label if faultless else float(np.clip(rng.normal(0.35 + 0.3 * label, 0.2), 0, 1))
        found.append(Prediction(f"{at}.png", label, "here", patient, round(score, 6)))
    return [*found, *(Prediction(f"blank {at}.png", 0, "here", f"blank {at}", None, "blank") for at in range(2))]


def evidence_of(bundle, rows, **more):
    point = bundle.operating_points["screening"]
    return build_evidence(
        {"test": rows},
        bundle=bundle.id,
        weights_sha256=bundle.model.sha256,
        task=bundle.task.name,
        operating_point={"name": point.name, "threshold": point.threshold},
        thresholds={name: one.threshold for name, one in bundle.operating_points.items() if one.low is None},
        bands={name: (one.low, one.high) for name, one in bundle.operating_points.items() if one.low is not None},
        data={"fingerprint": "0" * 64, "splits": {"test": len(rows)}},
        command="secondread evaluate",
        date="2026-01-01",
        **more,
    )


def bundle_with(rows, **more):
    """A shipped bundle, as if these had been measured of it."""
    bundle = replace(load_bundle("tuberculosis/paper"))
    evidence = json.loads(json.dumps(evidence_of(bundle, rows, **more)))
    vars(bundle)["evidence"] = evidence  # in the place of the file's
    return bundle, evidence


def intervals_in(table):
    """Every {value, low, high} of the file, with its place."""
    if isinstance(table, dict):
        if {"value", "low", "high"} <= set(table):
            yield table
        for part in table.values():
            yield from intervals_in(part)
    elif isinstance(table, list):
        for part in table:
            yield from intervals_in(part)


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_card_page_and_explorer_give_one_interval_for_one_number(prevalence):
    """The card and the evaluation's page are written from the file; API and thresholds page answer with the costs."""
    bundle, evidence = bundle_with(predictions(), prevalence=prevalence)
    result = evidence["results"]["test"]
    costs = {row["threshold"]: row for row in threshold_costs(bundle, prevalence=prevalence, split="test")["rows"]}
    for row in result["thresholds"]["rows"]:
        for name in ("sensitivity", "specificity", "ppv", "npv"):
            if row["threshold"] in costs:
                assert costs[row["threshold"]][name] == row[name], name
        if row["name"]:
            flagged = costs[row["threshold"]]["referrals_per_1000"]
            assert flagged["value"] == row["flagged_per_1000"]
            assert flagged["low"] < flagged["value"] < flagged["high"]
    point = evidence["operating_point"]
    screening = costs[point["threshold"]]
    assert screening["sensitivity"] == result["metrics"]["recall"]
    assert screening["specificity"] == result["metrics"]["specificity"]
    if prevalence is None:
        assert screening["ppv"] == result["metrics"]["precision"]
    scored = Scored.of(predictions())
    measured = measure_operating_point(
        scored.y_true,
        scored.probabilities,
        threshold=point["threshold"],
        groups=scored.groups,
        **dict.fromkeys(("chosen_by", "data", "date", "weights_sha256"), ""),
    )
    assert measured["sensitivity"] == screening["sensitivity"]


@pytest.mark.parametrize("faultless", [True, False])
@pytest.mark.parametrize("films", [1, 4])
def test_no_published_interval_is_without_width(faultless, films):
    _, evidence = bundle_with(predictions(films=films, faultless=faultless))
    found = [one for one in intervals_in(evidence) if one["low"] is not None and one["high"] is not None]
    assert len(found) > 50
    assert all(one["high"] > one["low"] for one in found)


def test_the_file_names_no_patient_and_gives_back_what_was_said(tmp_path):
    rows = predictions()
    _, evidence = bundle_with(rows)
    path = tmp_path / "evidence.json"
    write_evidence(evidence, path)
    assert "patient 7" not in path.read_text(encoding="utf-8")
    found = read_predictions(load_evidence(path), "test")
    numbers = {}
    for own, one in zip(rows, found, strict=True):
        assert replace(own, group=one.group) == one
        assert numbers.setdefault(own.group, one.group) == one.group
    assert len(set(numbers.values())) == len(numbers)
    assert read_predictions(None, "test") == read_predictions(evidence, "nowhere") == []
    schema = json.loads((files("secondread.evidence") / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(evidence, schema)


def test_a_file_of_before_groups_were_kept_still_opens():
    bundle, evidence = bundle_with(predictions())
    new = threshold_costs(bundle, prevalence=0.02, split="test")["rows"]
    evidence["predictions"]["test"] = [row[:4] for row in evidence["predictions"]["test"]]
    old = threshold_costs(bundle, prevalence=0.02, split="test")["rows"]
    assert len({row.group for row in measured_predictions(bundle, "test")}) == evidence["results"]["test"]["n_groups"]
    for one, other in zip(old, new, strict=True):
        assert one["sensitivity"]["value"] == other["sensitivity"]["value"]
        width = [row["sensitivity"]["high"] - row["sensitivity"]["low"] for row in (one, other)]
        assert width[0] > 0.6 * width[1], "not as if every film were of another patient"


def test_a_split_that_was_not_measured_has_a_sentence():
    bundle, _ = bundle_with(predictions())
    with pytest.raises(UsageError, match=r"no evidence of the split 'nowhere' \(it has: test\)"):
        measured_predictions(bundle, "nowhere")
    bundle, _ = bundle_with([row for row in predictions() if row.label])
    with pytest.raises(UsageError, match="both classes"):
        threshold_costs(bundle, prevalence=None, split="test")
    with pytest.raises(UsageError, match="no share"):
        threshold_costs(bundle, prevalence=2, split="test")
