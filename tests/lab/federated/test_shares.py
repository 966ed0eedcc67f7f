"""Whose images are whose."""

from pathlib import Path

import pytest

from secondread.data import Manifest, Row
from secondread.errors import DataInvalid, UsageError
from secondread.lab.federated.shares import site_data, sites_of


def _row(number, source="a", split="train", patient=None):
    name = f"{source}-{split}-{number}"
    return Row(
        Path("/x") / name, name, number % 2, source=source, split=split, patient=patient or f"p{source}{number // 2}"
    )


def _manifest(*parts):
    return Manifest(tuple(_row(n, source, split) for source, split, count in parts for n in range(count)), Path("/x"))


def test_every_source_is_a_hospital_and_what_lies_elsewhere_is_nobodys():
    found = sites_of(_manifest(("b", "train", 8), ("a", "val", 4), ("c", "external", 6)))
    assert {name: len(part) for name, part in found.items()} == {"a": 4, "b": 8}


def test_sources_may_be_one_hospital_and_one_hospital_several():
    manifest = _manifest(("a", "train", 40), ("b", "train", 8), ("c", "train", 8))
    found = sites_of(manifest, together={"web": ["b", "c"]}, divide={"a": 2})
    assert set(found) == {"a-1", "a-2", "web"}
    assert len(found["web"]) == 16
    patients = [{row.patient for row in found[name].rows} for name in ("a-1", "a-2")]
    assert not patients[0] & patients[1]
    assert len(found["a-1"]) + len(found["a-2"]) == 40


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"together": {"web": ["z"]}}, UsageError, "no source 'z'"),
        ({"divide": {"z": 2}}, UsageError, "no hospital 'z'"),
        ({"divide": {"a": 1}}, UsageError, "two or more"),
        ({"together": {"all": ["a", "b"]}}, DataInvalid, "--divide"),
    ],
)
def test_what_gives_no_hospitals_is_told(options, kind, why):
    with pytest.raises(kind, match=why):
        sites_of(_manifest(("a", "train", 8), ("b", "train", 8)), **options)


def test_without_validation_rows_a_fifth_of_the_patients_validates_and_no_patient_is_in_two_parts():
    data = site_data("a", _manifest(("a", "train", 400)))
    assert 40 < len(data.val) < 130
    assert not {row.patient for row in data.train.rows} & {row.patient for row in data.val.rows}
    assert data.test is None
    assert data.counts()["train"] + data.counts()["val"] == 400


@pytest.mark.parametrize("train", [range(1, 20, 2), range(20)])  # diseased ones alone, without boxes; both
def test_a_class_that_teaches_or_chooses_must_not_be_missing(train):
    rows = (*(_row(n) for n in train), *(_row(n, split="val") for n in range(1, 20, 2)))
    with pytest.raises(DataInvalid, match="both classes"):
        site_data("a", Manifest(rows, Path("/x")))
