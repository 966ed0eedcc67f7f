"""What an answer may be trusted for: the worst and the best measured place, and how many are missed."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from secondread.evidence.evidence import Prediction, build_evidence
from secondread.evidence.held_out import held_out_section
from secondread.evidence.outlook import Outlook, Place, below_screening, chosen_on, outlook
from secondread.reading import list_bundles, load_bundle
from secondread.stats.interval import Interval
from secondread.tasks import list_tasks, load_task

FRACTURE, TUMOUR = load_task("fracture"), load_task("tumour-malignancy")


def rows(source: str, *, found: int, missed: int, spared: int = 0, alarmed: int = 0) -> list[Prediction]:
    """Images of one hospital, so many with each outcome at a threshold of 0.5."""
    made = [(1, 0.9)] * found + [(1, 0.1)] * missed + [(0, 0.1)] * spared + [(0, 0.9)] * alarmed
    return [
        Prediction(f"{source}{at}.png", label, source, f"{source}{at}", probability)
        for at, (label, probability) in enumerate(made)
    ]


def evidence_of(splits: dict[str, list[Prediction]], **more: Any) -> dict[str, Any]:
    """As `evaluate` writes it, measured at 0.5."""
    return build_evidence(
        splits,
        bundle="fracture/mine@00000000",
        weights_sha256="0" * 64,
        task="fracture",
        operating_point={"name": "screening", "threshold": 0.5},
        data={"manifest": "m.csv", "fingerprint": "0"},
        command="none",
        date="2026-01-01",
        **more,
    )


HOSPITALS = {
    "test": rows("north", found=70, missed=10, spared=90, alarmed=10) + rows("south", found=39, missed=1, spared=40),
    "external": rows("far", found=60, missed=20, spared=30, alarmed=30),
}
EVIDENCE = evidence_of(HOSPITALS)


def test_other_hospitals_come_first_and_each_has_its_own_numbers() -> None:
    found = outlook(EVIDENCE, 0.5)
    assert [place.named() for place in found.places] == ["another hospital: far", "test: north", "test: south"]
    assert [place.source for place in found.elsewhere] == ["far"]
    assert found.places[0].rate("sensitivity").startswith("75 % (")
    assert found.places[1].rate("specificity").endswith("), n = 100")


@pytest.mark.parametrize(
    "role",
    [{"split": "external", "source": "far", "role": "taught"}, {"split": "external", "source": "", "role": "chose"}],
)
def test_a_collection_of_which_a_share_taught_is_no_other_hospital(role: dict[str, Any]) -> None:
    measured = {"split": "external", "source": "far", "role": "measured"}
    for rows_of_data, names in (([measured], ["far"]), ([measured, role], [])):
        told = EVIDENCE | {"data": EVIDENCE["data"] | {"rows": rows_of_data}}
        assert [place.source for place in outlook(told, 0.5).elsewhere] == names
    assert "external: far" in [place.named() for place in outlook(told, 0.5).places]


def test_another_collection_of_a_hospital_that_taught_is_no_other_hospital() -> None:
    shipped = load_bundle("fracture/best").evidence  # veda's films, which taught, and mura's are of one hospital
    assert shipped is not None
    places = outlook(shipped, 0.07).places
    assert "mura" in [place.source for place in places]
    assert not [place for place in places if place.elsewhere]
    (mura,) = [place for place in places if place.source == "mura"]
    assert mura.named() == "known hospital, that of veda, other patients: mura"
    assert mura.short_name() == "mura (hospital of veda, other patients)"
    assert "that of veda" in outlook(shipped, 0.07).missed(FRACTURE), "it is the worst that was measured"
    as_if_unknown = outlook(shipped | {"task": "a task that is not installed"}, 0.07)
    assert [place.source for place in as_if_unknown.elsewhere] == ["mura"]


def test_a_hospital_that_was_left_out_is_told_apart_and_says_nothing_of_these_weights() -> None:
    def result(found: float, spared: float) -> dict[str, Any]:
        rates = {"sensitivity": Interval(found, 0.1, 0.9, 40), "specificity": Interval(spared, 0.1, 0.9, 60)}
        point = {name: rate.to_dict() for name, rate in rates.items()}
        area = Interval(0.7, 0.6, 0.8, 100).to_dict()
        return {"n": 100, "n_positive": 40, "roc_auc": area, "screening": point}

    section = held_out_section(
        {"veda": [result(0.2, 0.3), result(0.9, 0.9)]},
        recipe="best",
        date="2026-01-01",
        command="none",
        fingerprint="0",
    )
    evidence = {**EVIDENCE, "held_out": section}
    found = outlook(evidence, 0.5, point="screening")
    (place,) = found.left_out  # the first training without it
    assert place.rate("sensitivity") == "20 % (10–90), n = 40"
    assert place.rate("specificity") == "30 % (10–90), n = 60"
    assert place.named() == "networks of this recipe, taught without it: veda"
    assert place not in found.places
    assert found.worst("sensitivity") == outlook(EVIDENCE, 0.5).worst("sensitivity")
    assert outlook(evidence, 0.5, point="mine").left_out == outlook(evidence, 0.5).left_out == ()


@pytest.mark.parametrize(
    ("spared", "alarmed", "said"),
    [(0, 40, "0 % (0–9), n = 40: all falsely called positive"), (1, 399, ": all but 1 falsely called positive")],
)
def test_a_rate_of_nothing_is_told_in_words(spared: int, alarmed: int, said: str) -> None:
    found = evidence_of({"test": rows("north", found=30, missed=1, spared=spared, alarmed=alarmed)})
    (place,) = outlook(found, 0.5).places
    assert place.rate("specificity").endswith(said)
    assert place.rate("sensitivity").endswith("n = 31")
    missed = evidence_of({"test": rows("north", found=0, missed=30, spared=5)})
    assert outlook(missed, 0.5).places[0].rate("sensitivity").endswith("n = 30: all missed")


def test_the_worst_and_the_best_place_are_named() -> None:
    found = outlook(EVIDENCE, 0.5)
    worst, best = found.worst("sensitivity"), found.best("sensitivity")
    assert worst is not None
    assert best is not None
    assert (worst.source, best.source) == ("far", "south")
    assert (
        found.missed(FRACTURE)
        == "missed at this operating point: about 1 in 4 fractures (another hospital: far, n = 80)"
    )
    assert found.false_alarms(FRACTURE) == (
        "called positive at this operating point though without a fracture: about 1 in 2 films "
        "(another hospital: far, n = 60)"
    )
    assert found.of("positive", FRACTURE) == found.false_alarms(FRACTURE)
    assert found.of("negative", FRACTURE) == found.of("uncertain", FRACTURE) == found.missed(FRACTURE)


def test_a_false_positive_is_called_by_its_tasks_negative_class() -> None:
    found = outlook(EVIDENCE, 0.5)
    assert "though a meningioma or pituitary tumour: about 1 in 2 slices" in found.of("positive", TUMOUR)
    own = replace(FRACTURE, words={key: said for key, said in FRACTURE.words.items() if key != "false"})
    assert "though without the disease: about 1 in 2 images" in found.of("positive", own)
    for name in list_tasks():
        assert "healthy" not in found.false_alarms(load_task(name)), "who lacks one disease may have another"


def test_a_handful_of_images_is_neither_worst_nor_best() -> None:
    few = {"external": rows("tiny", found=1, missed=4, spared=5), **{"test": HOSPITALS["test"]}}
    worst = outlook(evidence_of(few), 0.5).worst("sensitivity")
    assert worst is not None
    assert worst.source == "north"
    alone = outlook(evidence_of({"external": few["external"]}), 0.5).worst("sensitivity")
    assert alone is not None, "but where nothing else was measured it is told"
    assert alone.source == "tiny"


def test_none_missed_is_not_told_as_never() -> None:
    found = outlook(evidence_of({"test": rows("north", found=30, missed=0, spared=5)}), 0.5)
    assert found.missed(FRACTURE) == (
        "missed at this operating point: none of 30, at most 1 in 9 fractures (test: north, n = 30)"
    )


def test_all_missed_is_told() -> None:
    found = outlook(evidence_of({"test": rows("north", found=0, missed=30, spared=5)}), 0.5)
    assert "all of 30 fractures" in found.missed(FRACTURE)


def test_without_evidence_it_says_so() -> None:
    for found in (
        outlook(None, 0.5),
        Outlook(()),
        outlook(evidence_of({"test": rows("n", found=0, missed=0, spared=9)}), 0.5),
    ):
        assert found.missed(FRACTURE) == "how many are missed at this operating point was not measured"
    assert "was not measured" in outlook(None, 0.5).false_alarms(FRACTURE)


def test_a_threshold_of_the_site_is_measured_on_the_predictions() -> None:
    at_point, beside = (
        outlook(evidence_of(HOSPITALS, thresholds={"screening": 0.5, "mine": 0.4321}), 0.4321),
        outlook(EVIDENCE, 0.4321),
    )
    assert at_point.worst("sensitivity") == beside.worst("sensitivity")
    assert at_point.places == beside.places
    assert [place.named() for place in beside.places] == ["another hospital: far", "test"]


def test_what_is_uncertain_is_not_missed() -> None:
    graded = [Prediction(f"{at}.png", 1, "north", str(at), 0.3 if at < 10 else 0.9) for at in range(40)]
    found = outlook(evidence_of({"test": graded}), 0.5, 0.2)
    assert found.missed(FRACTURE).startswith("missed at this operating point: none of 40")


def test_a_share_in_words_is_about_the_share() -> None:
    for share in np.linspace(0.001, 0.999, 500):
        rate = Interval(1 - share, 0.0, 1.0, n=1000)
        told = Outlook((Place("test", "north", rate, rate, 1000, 1000),)).missed(FRACTURE)
        k, of = map(int, re.findall(r"about (\d+) in (\d+) fractures", told)[0])
        assert 0 < k < of, "never none, never all"
        assert abs(k / of - share) <= max(0.051, 0.15 * share), (share, told)


@pytest.mark.parametrize("name", list_bundles())
def test_every_shipped_bundle_says_what_it_misses_at_every_point(name: str) -> None:
    bundle = load_bundle(name)
    for point in bundle.operating_points.values():
        found = outlook(bundle.evidence, point.threshold, point.low)
        assert re.search(
            r"(about \d+ in \d+|none of \d+, at most \d+ in \d+|all of \d+) .*\(.*n = \d+\)$", found.missed(bundle.task)
        )
        assert found.worst("specificity") is not None
        order = [place.elsewhere for place in found.places]
        assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("val split, 24daf0f55347", "validation images"),
        (
            "val split and a share of external-negatives and a share of localisation, 24daf0f55347",
            "validation images, a share of external-negatives, a share of localisation",
        ),
        ("images reviewed here", "images reviewed here"),
    ],
)
def test_what_a_point_was_chosen_on_is_told_without_a_fingerprint(data: str, words: str) -> None:
    assert chosen_on(data) == words


def test_a_point_that_confirms_nothing_is_known() -> None:
    found = {
        name: below_screening(bundle, bundle.operating_points["confirm"])
        for name in list_bundles()
        if "confirm" in (bundle := load_bundle(name)).operating_points
    }
    for name, below in found.items():
        points = load_bundle(name).operating_points
        assert below == (points["confirm"].threshold <= points["screening"].threshold)
        assert not below_screening(load_bundle(name), points["screening"])
