"""The audit sees the traps that the benchmark data are known to hold."""

from functools import cache
from pathlib import Path

import pytest

from secondread.audit import Audit, Shortcut, audit
from secondread.data import load_data
from secondread.tasks import load_task


@cache
def audited(folder: Path, name: str) -> Audit:
    return audit(load_data(folder / name / "manifest.csv", task=load_task(name), check=False))


def told(made: Audit, glance: str, *, source: str = "", target: str = "label") -> Shortcut:
    (one,) = (one for one in made.shortcuts if (one.glance, one.source, one.target) == (glance, source, target))
    return one


@pytest.mark.data
@pytest.mark.parametrize("name", ["tuberculosis", "brain-tumour", "fracture"])
def test_every_file_is_read_and_no_patient_is_divided(data_folder: Path, name: str) -> None:
    made = audited(data_folder, name)
    assert made.unreadable == ()
    assert not made.found("groups")
    assert not made.found("labels")


@pytest.mark.data
def test_size_gives_the_class_away_inside_the_web_collections(data_folder: Path) -> None:
    made = audited(data_folder, "brain-tumour")
    assert {one.source for one in made.shortcuts if one.level == "alarm"} == {"br35h", "navoneel"}
    assert told(made, "container", source="br35h").auc == pytest.approx(0.83, abs=0.05)
    assert told(made, "container", source="lgg").auc == pytest.approx(0.5, abs=0.05)


@pytest.mark.data
def test_web_collections_still_hold_mirrored_copies_across_splits_and_lgg_does_not(data_folder: Path) -> None:
    made = audited(data_folder, "brain-tumour")
    sources = {
        made.looks.rows[number].source for pair in made.copies("leakage") for number in (pair.first, pair.second)
    }
    assert sources <= {"br35h", "navoneel", "sartaj"}
    assert len(made.copies("leakage")) > 100


@pytest.mark.data
def test_slice_position_is_seen_by_a_thumbnail_in_lgg(data_folder: Path) -> None:
    assert told(audited(data_folder, "brain-tumour"), "thumbnail", source="lgg").auc == pytest.approx(0.80, abs=0.05)


@pytest.mark.data
def test_a_thumbnail_reads_shenzhen(data_folder: Path) -> None:
    made = audited(data_folder, "tuberculosis")
    assert told(made, "thumbnail").auc == pytest.approx(0.86, abs=0.04)
    assert told(made, "thumbnail").level == "note"
    assert told(made, "thumbnail", target="source").auc > 0.9


@pytest.mark.data
def test_always_negative_is_noted_for_fractures(data_folder: Path) -> None:
    made = audited(data_folder, "fracture")
    assert made.summary["majority_accuracy"] == pytest.approx(0.82, abs=0.01)
    assert any("Always answering 'negative'" in finding.sentence for finding in made.findings)
    assert not made.found("leakage")
    assert not made.found("duplicates")
