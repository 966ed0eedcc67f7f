"""What a manifest knows of its rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secondread.data import Manifest
from secondread.errors import CannotOpen, DataInvalid
from tests.data.folders import manifest_of, rows_of, write_images


@pytest.fixture
def three(tmp_path: Path) -> Manifest:
    return manifest_of(write_images(tmp_path, ["a.png", "b.png", "c.png"]), tmp_path)


def test_labels_are_bool_in_row_order() -> None:
    labels = rows_of({"label": 1}, {"label": 0}).labels
    assert labels.dtype == np.bool_
    assert labels.tolist() == [True, False]


def test_group_wins_over_patient_and_patient_over_path() -> None:
    manifest = rows_of({"group": "g", "patient": "p"}, {"patient": "p"}, {})
    assert manifest.groups == ("g", "p", "2")


def test_split_keeps_rows_and_order() -> None:
    manifest = rows_of({"split": "train"}, {"split": "test"}, {"split": "train"})
    assert [row.name for row in manifest.split("train").rows] == ["0", "2"]
    assert manifest.splits() == {"train": 2, "test": 1}


def test_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(DataInvalid, match=r"no split 'valid'.*train \(1\), val \(1\)"):
        rows_of({"split": "train"}, {"split": "val"}).split("valid")


def test_without_splits_the_error_says_how_to_make_them() -> None:
    with pytest.raises(DataInvalid, match="secondread data split"):
        rows_of({}).split("train")


def test_divided_groups_are_found_and_unsplit_rows_do_not_count() -> None:
    manifest = rows_of(
        {"group": "a", "split": "train"},
        {"group": "a", "split": "test"},
        {"group": "b", "split": "train"},
        {"group": "b", "split": ""},
    )
    assert manifest.divided() == {"a": ("test", "train")}


def test_divided_patients_are_found_behind_different_groups() -> None:
    manifest = rows_of(
        {"patient": "p", "group": "a", "split": "train"}, {"patient": "p", "group": "b", "split": "test"}
    )
    assert manifest.divided() == {}
    assert manifest.divided("patient") == {"p": ("test", "train")}


def test_fingerprint_ignores_the_order_of_rows(three: Manifest) -> None:
    assert replace(three, rows=three.rows[::-1]).fingerprint() == three.fingerprint()


@pytest.mark.parametrize("change", [{"name": "z.png"}, {"label": 1}, {"split": "test"}])
def test_fingerprint_changes_with_names_labels_and_splits(three: Manifest, change: dict[str, object]) -> None:
    changed = replace(three, rows=(replace(three.rows[0], **change), *three.rows[1:]))  # type: ignore[arg-type]
    assert changed.fingerprint() != three.fingerprint()


def test_fingerprint_changes_with_content_alone(three: Manifest) -> None:
    before = three.fingerprint()
    path = three.rows[0].path
    path.write_bytes(path.read_bytes() + b"\0")
    assert three.fingerprint() != before


def test_fingerprint_of_a_missing_file_is_an_error(three: Manifest) -> None:
    three.rows[0].path.unlink()
    with pytest.raises(CannotOpen, match=r"a\.png"):
        three.fingerprint()
