"""Subgroups: every image in its part, small parts marked, lesions of a size set against all negatives."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondread.data import Manifest, Row
from secondread.errors import DataInvalid
from secondread.evidence.evidence import LESION_SIZE, Prediction, bands, facts_of, subgroups, summarise


def make_predictions(n=120):
    rng = np.random.default_rng(0)
    return [
        Prediction(
            f"{i}.png", i % 2, f"site{i % 3}", f"p{i // 2}", round(float(rng.uniform(0, 0.6) + 0.4 * (i % 2)), 6)
        )
        for i in range(n)
    ]


def test_parts_add_up_and_are_measured_as_the_whole_is():
    rows = make_predictions()
    table = subgroups(rows, {"source": [row.source for row in rows]}, threshold=0.5)["source"]
    assert [part["value"] for part in table] == ["site0", "site1", "site2"]
    assert sum(part["n"] for part in table) == len(rows)
    first = summarise([row for row in rows if row.source == "site0"], 0.5)
    assert table[0] == {"value": "site0", **first, "few": None}
    assert first["metrics"]["roc_auc"]["low"] is not None


@pytest.mark.parametrize(
    ("n_positive", "n_negative", "few"), [(20, 20, None), (19, 20, "positives"), (30, 3, "negatives"), (2, 2, "both")]
)
def test_small_parts_are_marked(n_positive, n_negative, few):
    rows = [Prediction("a", 1, "s", f"{i}", 0.8) for i in range(n_positive)]
    rows += [Prediction("b", 0, "s", f"n{i}", 0.2) for i in range(n_negative)]
    (part,) = subgroups(rows, {"source": ["s"] * len(rows)}, threshold=0.5)["source"]
    assert part["few"] == few


def test_lesions_of_a_size_are_set_against_all_negatives():
    rows = make_predictions(60)
    sizes = bands([None if row.label == 0 else float(i) for i, row in enumerate(rows)], unit="%")
    table = subgroups(rows, {LESION_SIZE: sizes}, threshold=0.5)[LESION_SIZE]
    assert [part["n_positive"] for part in table] == [10, 10, 10]
    assert [part["n"] - part["n_positive"] for part in table] == [30, 30, 30]


def test_images_of_unknown_kind_are_in_no_part_and_refused_ones_are_counted():
    rows = [
        Prediction("a", 1, "s", "1", 0.9),
        Prediction("b", 0, "s", "2", None, "blank"),
        Prediction("c", 0, "s", "3", 0.1),
    ]
    (part,) = subgroups(rows, {"body part": ["hand", "hand", ""]}, threshold=0.5)["body part"]
    assert (part["n"], part["n_refused"], part["few"]) == (1, 1, "both")


def test_a_fact_of_another_length_is_an_error():
    with pytest.raises(DataInvalid, match="given for 1 images"):
        subgroups(make_predictions(4), {"source": ["a"]}, threshold=0.5)


@given(st.lists(st.one_of(st.none(), st.integers(0, 9).map(float)), max_size=40))
def test_bands_rise_with_the_value(values):
    names = bands(values, unit="px")
    assert [name == "" for name in names] == [value is None for value in values]
    known = sorted((value, int(name[0])) for value, name in zip(values, names, strict=True) if value is not None)
    assert [band for _, band in known] == sorted(band for _, band in known)
    assert len({name for name in names if name}) <= 3


def test_bands_are_named_by_their_edges():
    assert bands([10.0, 20.0, 30.0, None], unit="px") == [
        "1: up to 10 px",
        "2: up to 20 px",
        "3: above 20 px",
        "",
    ]
    assert bands([512.0, 512.0], unit="px") == ["1: 512 px"] * 2


def make_manifest(notes, sources):
    rows = [
        Row(Path(f"/x/{i}.png"), f"{i}.png", i % 2, source=source, note=note)
        for i, (note, source) in enumerate(zip(notes, sources, strict=True))
    ]
    return Manifest(tuple(rows), Path("/x"))


def test_facts_of_a_manifest_leave_out_what_all_images_share():
    manifest = make_manifest(["hand", "leg; hardware", "leg", ""], ["a"] * 4)
    facts = facts_of(manifest, image_sizes=[(100, 90)] * 2 + [(80, 300)] * 2, lesion_shares=[None, 0.01, None, 0.2])
    assert facts["body part"] == ["hand", "leg", "leg", ""]
    assert set(facts) == {"body part", "image size", LESION_SIZE}
    assert len(set(facts["image size"])) == 2


def test_a_note_that_differs_for_every_image_is_no_body_part():
    assert facts_of(make_manifest([f"slice {i}" for i in range(20)], ["a", "b"] * 10)) == {"source": ["a", "b"] * 10}
