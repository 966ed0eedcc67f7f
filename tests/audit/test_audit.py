"""The audit finds everything that was planted, and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secondread.auditing import KINDS, Audit, audit, write_audit
from secondread.auditing.looks import thumbnail_of
from secondread.auditing.shortcuts import PROBES
from secondread.data import load_data
from secondread.errors import DataInvalid, UnknownName
from secondread.images import Image
from secondread.testing.phantoms import encode
from tests.audit.films import COPIES, Files, clean_files, film, write_files

N = 66  # films; 44 of them, 22 of each class, in train


def audited(folder: Path, files: Files) -> Audit:
    return audit(load_data(write_files(folder, files), check=False))


def names_of(made: Audit, kind: str) -> set[frozenset[str]]:
    rows = made.looks.rows
    return {frozenset((rows[pair.first].name, rows[pair.second].name)) for pair in made.copies(kind)}


def alarms(made: Audit) -> set[str]:
    return {kind for kind in KINDS if made.found(kind)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Audit:
    return audited(tmp_path_factory.mktemp("clean"), clean_files(N))


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Audit:
    """One copy of every kind in the test split, each of another film of the train split."""
    files = clean_files(N)
    for number, (what, copy) in enumerate(COPIES.items()):
        facts = {"label": str(number % 2), "split": "test", "patient": f"copy {number}"}
        files[f"images/{what}.{number:03d}"] = (copy(film(number)), facts)
    return audited(tmp_path_factory.mktemp("copied"), files)


def test_a_clean_set_raises_no_alarm(clean: Audit) -> None:
    assert alarms(clean) == set()
    assert clean.pairs == ()
    assert clean.unreadable == ()
    assert {one.glance for one in clean.shortcuts} == {"container", "facts", "border", "thumbnail"}


@pytest.mark.parametrize("what", COPIES)
def test_a_copy_in_another_split_is_found(copied: Audit, what: str) -> None:
    number = list(COPIES).index(what)
    assert frozenset((f"images/{number:03d}.png", f"images/{what}.{number:03d}")) in names_of(copied, "leakage")


def test_nothing_but_the_copies_is_joined(copied: Audit) -> None:
    assert len(copied.pairs) == len(COPIES)
    assert alarms(copied) == {"leakage"}
    assert copied.to_dict()["copies"]["superfluous_images"] == len(COPIES)


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ("exact", "bytes", "the same file"),
        ("same pixels", "pixels", "the same pixels in another file"),
        ("flipped", "near", "mirrored"),
        ("turned 90", "near", "turned by 90°"),
        ("turned 7", "near", "turned by 7°"),
        ("recompressed", "near", "the same view, saved otherwise"),
    ],
)
def test_a_copy_is_described(copied: Audit, what: str, how: str, said: str) -> None:
    number = list(COPIES).index(what)
    (pair,) = (pair for pair in copied.pairs if copied.looks.rows[pair.second].name.startswith(f"images/{what}."))
    assert pair.first == number
    assert (pair.how, pair.said) == (how, said)


def test_copies_inside_one_group_and_split_are_counted_and_not_alarmed(tmp_path: Path) -> None:
    files = clean_files(8)
    for name, label in (("exact", "0"), ("turned 7", "1")):  # a neighbouring slice may well have the other label
        files[f"images/{name}.png"] = (COPIES[name](film(0)), {"label": label, "split": "train", "patient": "p0"})
    made = audited(tmp_path, files)
    assert alarms(made) == set()
    assert len(made.pairs) == 3
    assert made.to_dict()["copies"]["superfluous_images"] == 2


def test_one_image_with_two_labels_is_found_even_inside_a_group(tmp_path: Path) -> None:
    files = clean_files(8)
    files["images/exact.png"] = (COPIES["exact"](film(0)), {"label": "1", "split": "train", "patient": "p0"})
    files["images/flipped.png"] = (COPIES["flipped"](film(1)), {"label": "0", "split": "train", "patient": "other"})
    made = audited(tmp_path, files)
    assert names_of(made, "labels") == {
        frozenset(("images/000.png", "images/exact.png")),
        frozenset(("images/001.png", "images/flipped.png")),
    }
    assert alarms(made) == {"labels", "duplicates"}


def test_a_patient_in_two_splits_is_found(tmp_path: Path) -> None:
    files = clean_files(9)
    files["images/later.png"] = (encode(film(50), "PNG"), {"label": "0", "split": "test", "patient": "p0"})
    assert alarms(audited(tmp_path, files)) == {"groups", "leakage"}


def test_files_that_cannot_be_read_are_listed_with_their_code(tmp_path: Path) -> None:
    files = clean_files(9)
    whole = encode(film(1), "PNG")
    for name, content in (("cut.png", whole[: len(whole) // 2]), ("text.png", b"a letter"), ("gone.png", b"")):
        files[name] = (content, {"label": "0", "split": "train"})
    table = write_files(tmp_path, files)
    (tmp_path / "gone.png").unlink()
    made = audit(load_data(table, check=False))
    found = {one.row.name: one.code for one in made.unreadable}
    assert found == {"cut.png": "truncated", "text.png": "not_an_image", "gone.png": "cannot_open"}
    assert alarms(made) == {"unreadable"}


def test_nothing_readable_is_an_error_that_says_why(tmp_path: Path) -> None:
    table = write_files(tmp_path, {"a.png": (b"text", {"label": "0"}), "b.png": (b"text", {"label": "1"})})
    with pytest.raises(DataInvalid, match=r"none of 2 images.*a\.png.*not an image"):
        audit(load_data(table, check=False))


def test_a_size_that_gives_the_label_away_is_an_alarm(tmp_path: Path) -> None:
    files = clean_files(N)
    for number in range(1, N, 2):
        _, facts = files[f"images/{number:03d}.png"]
        files[f"images/{number:03d}.png"] = (encode(film(number, size=(128, 132)), "PNG"), facts)
    made = audited(tmp_path, files)
    assert alarms(made) == {"shortcut"}
    (by_size,) = (one for one in made.shortcuts if one.glance == "container")
    assert by_size.auc > 0.95
    assert by_size.strongest in ("width", "aspect")


def test_a_border_that_gives_the_label_away_is_an_alarm(tmp_path: Path) -> None:
    files = clean_files(N)
    for number in range(1, N, 2):
        pixels = film(number)
        pixels[:6] = 250  # a strip along the top, as left by one scanner
        files[f"images/{number:03d}.png"] = (encode(pixels, "PNG"), files[f"images/{number:03d}.png"][1])
    made = audited(tmp_path, files)
    assert alarms(made) == {"shortcut"}
    assert {one.glance for one in made.shortcuts if one.level == "alarm"} >= {"border"}
    assert {one.glance for one in made.shortcuts if one.level == "alarm"} <= {"border", "facts"}


def test_a_source_that_nearly_gives_the_label_is_an_alarm(tmp_path: Path) -> None:
    files = clean_files(N)
    for number, (_, facts) in enumerate(files.values()):
        facts["source"] = "north" if (number % 2) ^ (number % 20 == 0) else "south"
    made = audited(tmp_path, files)
    assert [one.glance for one in made.shortcuts if one.level == "alarm"] == ["source name"]
    told = [one for one in made.shortcuts if one.target == "source"]
    assert {one.n_classes for one in told} == {2}
    assert {one.n for one in told} == {N}


def test_rows_without_a_source_count_in_the_whole_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.auditing.shortcuts.PROBES", PROBES[-1:])  # one of them will do
    files = clean_files(N)
    for number, (_, facts) in enumerate(files.values()):
        facts["source"] = "north" if number >= 4 else ""
    told = {(one.source, one.n) for one in audited(tmp_path, files).shortcuts if one.target == "label"}
    assert told == {("", 44), ("north", 40)}


def test_shortcuts_are_measured_on_train_alone_unless_asked(clean: Audit) -> None:
    assert {(one.where, one.n) for one in clean.shortcuts} == {("train", 44)}


def test_an_unknown_split_is_refused_before_any_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"no split 'tset'"):
        audit(load_data(write_files(tmp_path, clean_files(3)), check=False), splits=["tset"])


def test_many_copies_of_one_image_cost_a_pair_each(tmp_path: Path) -> None:
    content = encode(film(0), "PNG")
    files: Files = {f"{n}.png": (content, {"label": "0", "split": "train"}) for n in range(200)}
    assert len(audited(tmp_path, files).pairs) == 199


def test_an_unknown_kind_suggests_the_nearest(clean: Audit) -> None:
    with pytest.raises(UnknownName, match="did you mean 'leakage'"):
        clean.found("leak")


def test_the_page_carries_everything_and_the_table_is_versioned(copied: Audit, tmp_path: Path) -> None:
    page = write_audit(copied, tmp_path / "out", command="secondread audit …").read_text(encoding="utf-8")
    table = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert (table["format"], table["version"]) == ("secondread-audit", 1)
    assert table["copies"]["leakage"]["n"] == len(COPIES)
    assert page.count('src="data:image/png;base64,') == 2 * len(COPIES)
    assert "http" not in page
    assert "<script" not in page
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.json", "index.html"]


def test_names_are_escaped_on_the_page(copied: Audit, tmp_path: Path) -> None:
    rows = tuple(replace(row, name=f"<b>{row.name}") for row in copied.looks.rows)
    page = write_audit(replace(copied, looks=replace(copied.looks, rows=rows)), tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize("size", [(301, 257), (64, 64), (50, 70), (700, 131)])
def test_the_thumbnail_of_a_mirrored_film_is_the_mirrored_thumbnail(size: tuple[int, int]) -> None:
    pixels = film(0, size=size)
    straight, mirrored = (thumbnail_of(Image.from_array(one)) for one in (pixels, pixels[::-1, ::-1]))
    assert np.abs(straight[::-1, ::-1].astype(int) - mirrored).max() <= 1


def test_an_audit_is_shown_in_a_line(clean):
    assert repr(clean).startswith(f"<Audit of {clean.summary['n']} images: ")
    assert len(repr(clean)) < 80
