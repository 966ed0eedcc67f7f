"""The audit sees the traps that the benchmark data are known to hold.

Parts of the collections are looked at, enough for each trap: in `make test-peers`, since that is some thousand images,
and in `make test` one small collection of each task. `make evidence` audits them whole.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from secondread.auditing import Audit, Shortcut, audit
from secondread.data import Manifest, Row, load_data
from secondread.tasks import load_task

WEB = {"br35h", "navoneel", "sartaj"}
PARTS = {
    "tuberculosis": lambda row: row.source in ("shenzhen", "newdelhi"),
    "brain-tumour": lambda row: row.source in WEB or (row.source == "lgg" and row.split in ("val", "test")),
    "fracture": lambda row: row.source == "fracatlas" and row.split in ("val", "test"),
}
SMALL = {
    "tuberculosis": lambda row: row.source == "newdelhi",
    "brain-tumour": lambda row: row.source == "navoneel",
    "fracture": lambda row: row.source == "fracatlas" and row.split == "val",
}


def audit_of(folder: Path, name: str, wanted: Callable[[Row], bool]) -> Audit:
    whole = load_data(folder / name / "manifest.csv", task=load_task(name), check=False)
    part = Manifest(tuple(row for row in whole.rows if wanted(row)), whole.folder)
    return audit(part, splits=tuple(name for name in ("train", "val", "test") if name in part.splits()))


@cache
def audited(folder: Path, name: str) -> Audit:
    return audit_of(folder, name, PARTS[name])


def told(made: Audit, look: str, *, source: str = "", target: str = "label") -> Shortcut:
    (one,) = (one for one in made.shortcuts if (one.glance, one.source, one.target) == (look, source, target))
    return one


@pytest.mark.data
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("parts", ["small", pytest.param("large", marks=pytest.mark.peers)])
def test_every_file_is_read_and_nothing_is_divided_between_splits(data_folder: Path, name: str, parts: str) -> None:
    made = audited(data_folder, name) if parts == "large" else audit_of(data_folder, name, SMALL[name])
    assert made.unreadable == ()
    assert not made.found("groups")
    assert not made.found("labels")
    assert not made.found("leakage")


@pytest.mark.data
@pytest.mark.peers
def test_size_gives_the_class_away_inside_a_web_collection(data_folder: Path) -> None:
    made = audited(data_folder, "brain-tumour")
    assert {one.source for one in made.shortcuts if one.level == "alarm"} >= {"br35h"}
    assert told(made, "container", source="br35h").auc == pytest.approx(0.83, abs=0.06)
    assert told(made, "container", source="lgg").auc == pytest.approx(0.5, abs=0.06)


@pytest.mark.data
@pytest.mark.peers
def test_near_copies_are_left_inside_a_split_of_the_web_collections_alone(data_folder: Path) -> None:
    made = audited(data_folder, "brain-tumour")
    pairs = made.copies("duplicates")
    assert {made.looks.rows[number].source for pair in pairs for number in (pair.first, pair.second)} <= WEB
    assert len(pairs) > 20


@pytest.mark.data
@pytest.mark.peers
def test_slice_position_is_seen_by_a_thumbnail_in_lgg(data_folder: Path) -> None:
    assert told(audited(data_folder, "brain-tumour"), "thumbnail", source="lgg").auc == pytest.approx(0.77, abs=0.06)


@pytest.mark.data
@pytest.mark.peers
def test_a_thumbnail_reads_shenzhen_and_tells_the_hospitals_apart(data_folder: Path) -> None:
    made = audited(data_folder, "tuberculosis")
    assert told(made, "thumbnail", source="shenzhen").auc == pytest.approx(0.87, abs=0.04)
    assert told(made, "thumbnail", source="shenzhen").level == "note"
    assert told(made, "thumbnail", target="source").auc > 0.9


@pytest.mark.data
@pytest.mark.peers
def test_always_negative_is_noted_for_fractures(data_folder: Path) -> None:
    made = audited(data_folder, "fracture")
    assert made.summary["majority_accuracy"] == pytest.approx(0.81, abs=0.01)
    assert any("Always answering 'negative'" in finding.sentence for finding in made.findings)
    assert not made.found("duplicates")
