"""Whole series measured beside their slices: which slices belong together, what stands for a series without disease."""

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from secondread.errors import DataInvalid
from secondread.evidence.evidence import Prediction
from secondread.evidence.outlook import series_outlook
from secondread.evidence.series import LEAST, SeriesSet, series_evidence, series_in
from secondread.lab.series import CANDIDATES, choose_series_point
from secondread.reading import Combination, load_bundle
from secondread.reading.operating_point import HIGHEST, MEAN_OF_HIGHEST, NEIGHBOURS, RULES
from secondread.tasks import task_named

BUNDLE = load_bundle("brain-tumour/best")


def slices(patient: str, chances: list[float], ill: tuple[int, ...] = (), *, source: str = "lgg") -> list[Prediction]:
    return [
        Prediction(f"images/{source}/{patient}_{at:02}.jpg", int(at in ill), source, patient, chance)
        for at, chance in enumerate(chances, 1)
    ]


def patient(name: str, *, seed: int, height: float = 0.9, n: int = 20) -> list[Prediction]:
    """A series with four slices of a lesion and one false alarm beside it."""
    chances = np.random.default_rng(seed).uniform(0.01, 0.1, n)
    chances[4:8] = height
    chances[15] = 0.6
    return slices(name, [round(float(one), 6) for one in chances], (5, 6, 7, 8))


@pytest.mark.parametrize("rule", RULES)
def test_a_combination_never_exceeds_the_highest_and_grows_with_every_picture(rule: str) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        combine = Combination(rule, n)
        for _ in range(20):
            chances = rng.uniform(0, 1, rng.integers(1, 12))
            found = combine(chances.tolist())
            assert np.min(chances) - 1e-6 <= found <= np.max(chances) + 1e-6
            more = np.minimum(chances + rng.uniform(0, 0.1, len(chances)), 1)
            assert combine(more.tolist()) >= found - 1e-6


def test_combinations_differ_in_what_they_take_together() -> None:
    chances = [0.1, 0.9, 0.1, 0.5, 0.6, 0.1]
    assert Combination(HIGHEST)(chances) == 0.9
    assert Combination(MEAN_OF_HIGHEST, 2)(chances) == 0.75
    assert Combination(NEIGHBOURS, 2)(chances) == 0.55
    assert Combination(MEAN_OF_HIGHEST, 5)([0.2, 0.4]) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="no way to combine"):
        Combination("sum", 2)


def test_slices_of_one_patient_and_name_are_a_series_in_the_order_of_their_numbers() -> None:
    mixed = slices("a", [0.1] * 19 + [0.9])
    mixed.reverse()
    [found] = series_in([*mixed, *slices("b", [0.1] * (LEAST - 1)), Prediction("x/12.jpg", 0, "br35h", "c", 0.1)])
    assert (found.group, found.probabilities[-1], len(found.labels)) == ("a", 0.9, 20)


def test_refused_slices_are_no_part_of_a_series() -> None:
    rows = slices("a", [0.1] * 20)
    rows[3] = replace(rows[3], probability=None, refusal="blank")
    assert len(series_in(rows)[0].labels) == 19


def test_a_series_without_the_lesion_is_made_of_the_other_slices() -> None:
    found = SeriesSet.of(patient("a", seed=0))
    assert [one.labels for one in found.lesion_free] == [(0,) * 16]
    assert max(found.lesion_free[0].probabilities) == 0.6
    assert found.ill[0].worst_is_ill


def test_a_rule_that_ranks_patients_better_is_chosen_and_its_threshold_lies_between() -> None:
    taught = [row for at in range(40) for row in patient(f"t{at}", seed=at)]
    own = [row for at in range(40, 50) for row in patient(f"v{at}", seed=at, height=0.58)]  # below the false alarm
    chosen = choose_series_point(
        taught, own, task=task_named("brain-tumour"), data="phantoms", date="2026-01-01", weights_sha256="a" * 64
    )
    assert chosen.record["rule"] != HIGHEST
    assert 0.3 < chosen.record["threshold"] < 0.58
    assert len(chosen.compared) == len(CANDIDATES) + 1
    assert (chosen.record["n_patients"], chosen.record["n_taught"]) == (50, 40)
    assert chosen.record["sensitivity"]["value"] == 1.0
    assert chosen.record["specificity"]["value"] >= 0.9


def test_a_point_is_not_chosen_without_series() -> None:
    with pytest.raises(DataInvalid, match="no series of a patient"):
        choose_series_point(
            [], slices("a", [0.1] * 20), task=task_named("brain-tumour"), data="", date="", weights_sha256="a" * 64
        )


def test_the_shipped_evidence_of_series_is_what_its_predictions_give() -> None:
    evidence, point = BUNDLE.evidence, BUNDLE.series
    assert evidence is not None
    assert point is not None
    from secondread.evidence.measured import read_predictions

    splits = {split: read_predictions(evidence, split) for split in evidence["predictions"]}
    again = series_evidence(point, splits, slice_threshold=evidence["operating_point"]["threshold"])
    assert json.loads(json.dumps(again)) == evidence["series"]
    schema = json.loads((files("secondread.evidence") / "evidence.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(evidence, schema)


def test_patients_stand_beside_slices_in_the_shipped_evidence_and_on_the_card() -> None:
    test = (BUNDLE.evidence or {})["series"]["results"]["test"]
    assert test["at_the_point"]["sensitivity"]["n_groups"] == 18
    assert test["slices"]["sensitivity"]["n"] > test["at_the_point"]["sensitivity"]["n"]
    lower = test["highest_slice"]["specificity_lesion_free"]["value"]
    assert lower < test["at_the_point"]["specificity_lesion_free"]["value"]
    assert "## Series" in BUNDLE.card
    outlook = series_outlook(BUNDLE.evidence)
    assert [place.elsewhere for place in outlook.places] == [True, False]
    assert "series with the disease" in outlook.missed(None)


def test_a_bundle_without_series_has_no_point_for_them() -> None:
    assert load_bundle("tuberculosis/best").series is None
    assert series_outlook(load_bundle("tuberculosis/best").evidence).places == ()
