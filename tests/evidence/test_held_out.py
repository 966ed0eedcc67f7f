"""The held-out table: what was left out first, then hospitals that taught nothing; never one that taught."""

import json

import pytest
from jsonschema import Draft202012Validator

from secondread.errors import UsageError
from secondread.evidence import evidence as evidence_module
from secondread.evidence.card import keep_held_out, write_card
from secondread.evidence.evidence import Prediction, build_evidence
from secondread.evidence.held_out import broken, elsewhere, held_out_section, spares_none
from secondread.evidence.promises import promises_of
from secondread.evidence.report import write_report
from secondread.reading import list_bundles, load_bundle

RATE = {"value": 0.6, "low": 0.5, "high": 0.7}
RESULT = {
    "n": 100, "n_positive": 50, "roc_auc": {"value": 0.8, "low": 0.7, "high": 0.9},
    "screening": {"threshold": 0.2, "sensitivity": RATE, "specificity": RATE},
}  # fmt: skip
FACTS = {"recipe": "`mine`", "date": "2026-01-01", "command": "secondread lab holdout …", "fingerprint": "f" * 64}
SECTION = held_out_section({"north": [RESULT, RESULT], "south": [RESULT]}, **FACTS)


def evidence_of(roles, splits, *, before=None):
    found = {
        split: [Prediction(f"{at}", at % 2, one, f"g{at}", 0.1 + 0.8 * (at % 2)) for at in range(30) for one in sources]
        for split, sources in splits.items()
    }
    rows = [
        {"role": role, "split": split, "source": source, "n": 9, "n_positive": None} for role, split, source in roles
    ]
    return build_evidence(
        found, bundle="tuberculosis/x@00000000", weights_sha256="a" * 64, task="tuberculosis",
        operating_point={"name": "screening", "threshold": 0.5}, data={"rows": rows, "splits": {}},
        command="", date="2026-01-01", before=before,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("roles", "splits", "seen"),
    [
        ([("taught", "train", "a")], {"test": ["a"], "external": ["b"]}, ["b"]),
        ([("taught", "train", "a")], {"test": ["a", "c"]}, ["c"]),
        ([("taught", "train", "a"), ("taught", "external-negatives", "n")], {"external-negatives": ["n"]}, []),
        ([("taught", "train", "a"), ("chose", "val", "b")], {"external": ["b"]}, []),
        ([("taught", "train", "")], {"test": ["c"], "external": ["b"]}, ["b"]),
        ([("taught", "train", ""), ("taught", "localisation", "")], {"localisation": ["c"]}, []),
        ([], {"test": ["a"], "external": ["b"]}, ["b"]),
    ],
)
def test_only_hospitals_that_taught_and_chose_nothing_are_told(roles, splits, seen):
    assert [row.hospital for row in elsewhere(evidence_of(roles, splits))] == seen


def test_what_was_left_out_comes_first_and_stays_while_the_weights_do():
    first = evidence_of([("taught", "train", "a")], {"external": ["b"]}) | {"held_out": SECTION}
    again = evidence_of([("taught", "train", "a")], {"external": ["b"]}, before=first)
    assert again["held_out"] == SECTION
    rows = elsewhere(again)
    assert [(row.hospital, row.how, row.seed) for row in rows] == [
        ("north", "left out", 0), ("north", "left out", 1), ("south", "left out", 0), ("b", "external", None),
    ]  # fmt: skip
    assert rows[0].at("screening").sensitivity.value == 0.6
    assert rows[0].at("confirm") is None
    other = evidence_of([("taught", "train", "a")], {"external": ["b"]}, before=first | {"weights_sha256": "b" * 64})
    assert "held_out" not in other, "it is not said of other weights"


def test_the_section_is_of_the_schema():
    schema = json.loads((evidence_module.Path(evidence_module.__file__).parent / "evidence.schema.json").read_text())
    part = {"$schema": schema["$schema"], "$defs": schema["$defs"], **schema["properties"]["held_out"]}
    Draft202012Validator(part).validate(SECTION)
    with pytest.raises(UsageError):
        held_out_section({}, **FACTS)


def test_promises_are_broken_where_the_whole_interval_is_below_them():
    bundle = load_bundle("tuberculosis/best")
    promises = promises_of(bundle)
    places = elsewhere({"held_out": SECTION, "results": {}})
    told = [one.in_words for one in broken(promises, places) if "left out" in one.where]
    assert len(told) == 3
    assert told[0].startswith("screening, sensitivity at least 0.9: north left out, seed 0, 0.60")
    seen = {one.where for one in broken(promises, [])}
    assert seen == {
        f"{found.split}, {found.source}" for one in promises for found in one.seen if found.kept == "broken"
    }


@pytest.mark.parametrize(("value", "k"), [(0.0, 50), (0.004, 50), (0.02, None), (None, None)])
def test_where_all_but_a_few_are_called_positive_it_is_said_in_words(value, k):
    spared = {"value": value, "low": 0.0, "high": 0.1}
    section = held_out_section(
        {"north": [{**RESULT, "screening": {**RESULT["screening"], "specificity": spared}}]}, **FACTS
    )
    said = spares_none(elsewhere({"held_out": section, "results": {}}))
    assert said == [f"north, screening: {k} of 50 images without the disease were called positive"] * (k is not None)


@pytest.mark.parametrize("name", list_bundles())
def test_card_and_page_show_it_first_and_the_same(name, tmp_path):
    bundle = load_bundle(name)
    card = write_card(bundle, bundle.evidence)
    titles = [line for line in card.splitlines() if line.startswith("## ")]
    assert titles[0] == "## At a hospital it had not seen"
    page = write_report(bundle.evidence, bundle.task, tmp_path, promises=promises_of(bundle)).read_text()
    assert page.index("At a hospital it had not seen") < page.index("Which images did what")
    places = elsewhere(bundle.evidence)
    for place in places:
        assert f"| {place.hospital} | " in card
        assert f"<td>{place.hospital}</td>" in page
    for sentence in spares_none(places):
        assert sentence in card
        assert sentence in page
    left_out = any(place.how == "left out" for place in places)
    for text in (card, page):
        assert ("measured there, is not recorded" in " ".join(text.split())) != left_out


def test_a_bundle_without_evidence_gets_no_table(tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(load_bundle("tuberculosis/paper").folder, folder)
    keep_held_out(load_bundle(folder), SECTION)
    kept = load_bundle(folder)
    assert kept.evidence["held_out"] == SECTION
    assert "| north | left out, seed 0 |" in kept.card
    (folder / "evidence.json").unlink()
    with pytest.raises(UsageError, match="no evidence"):
        keep_held_out(load_bundle(folder), SECTION)
