"""Manifest tables: every complaint names its line, and what is written is read back."""

import os
import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondread.data import Manifest, Row, read_manifest, write_manifest
from secondread.errors import CannotOpen, DataInvalid, DiskFull
from secondread.tasks import load_task
from tests.data.folders import manifest_of, write_images

TASK = load_task("fracture")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    return tmp_path / "manifest.csv"


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.png,0\nb.png,1\n",
        "path;label\na.png;0\nb.png;1\n",
        "path\tlabel\r\na.png\t0\r\nb.png\t1\r\n",
        "\ufeffpath,label\na.png,0\nb.png,1",
        "\n Path , LABEL \n\na.png , 0\n\nb.png,1.0\n",
        'label,path,age\n0,"a.png",71\n1,./b.png,\n',
        "path,label\na.png,not fractured\nb.png,Fractured\n",
    ],
)
def test_tables_as_people_write_them(table: Path, text: str) -> None:
    table.write_text(text, encoding="utf-8", newline="")
    manifest = read_manifest(table, task=TASK)
    assert [(row.path, row.label) for row in manifest.rows] == [
        (table.parent / "a.png", 0),
        (table.parent / "b.png", 1),
    ]
    assert [row.class_name for row in manifest.rows] == list(TASK.classes)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty.*path,label"),
        ("\n \n", "is empty"),
        ("path,label\n", "no rows"),
        ("path,class\na.png,0\n", "line 1.*lacks the column label"),
        ("file,value\na.png,0\n", "line 1.*lacks the column path and label"),
        ("path,label,label\na.png,0,1\n", "line 1.*'label' twice"),
        ("path,label,patient_id\na.png,0,7\n", "line 1.*'patient_id'; did you mean 'patient'"),
        ("path,label\na.png,0\nb.png,2\n", "line 3: label '2' is not 0 or 1"),
        ("path,label\na.png,\n", "line 2: label '' is not 0 or 1"),
        ("path,label\n,1\n", "line 2 has no path"),
        ("path,label\na.png,0,extra\n", "line 2 has 3 cells where the header has 2"),
        ("path,label\na.png\n", "line 2 has 1 cells"),
        ("path,label\na.png,0\n./a.png,0\n", "line 3: './a.png' is already on line 2"),
        ("path,label\na.png,0\nx.png,1\ny.png,1\n", "2 of 3 rows name a file that is not there: 'x.png', 'y.png'"),
        ("path,label,mask\na.png,0,\nb.png,1,m.png\n", "1 of 2 rows name a file that is not there: .*m.png"),
        ("path,label,group,split\na.png,0,g,train\nb.png,1,g,test\n", "group 'g' is in the splits test and train"),
        ("path,label,patient,split\na.png,0,p,train\nb.png,1,p,test\n", "group 'p' is in the splits test and train"),
    ],
)
def test_complaints_name_the_place(table: Path, text: str, complaint: str) -> None:
    table.write_text(text, encoding="utf-8")
    with pytest.raises(DataInvalid, match=complaint):
        read_manifest(table)


def test_many_missing_files_are_counted_and_few_named(table: Path) -> None:
    table.write_text("path,label\n" + "".join(f"x{n}.png,0\n" for n in range(9)))
    with pytest.raises(DataInvalid, match=r"9 of 9 .*'x0\.png', 'x1\.png', 'x2\.png' and 6 more"):
        read_manifest(table)


def test_unchecked_tables_are_read_with_their_faults(table: Path) -> None:
    table.write_text("path,label,group,split\nx.png,0,g,train\nb.png,1,g,test\n")
    manifest = read_manifest(table, check=False)
    assert [row.name for row in manifest.missing()] == ["x.png"]
    assert manifest.divided() == {"g": ("test", "train")}


def test_class_names_of_another_task_are_no_labels(table: Path) -> None:
    table.write_text("path,label\na.png,tuberculosis\n")
    with pytest.raises(
        DataInvalid, match="line 2: label 'tuberculosis' is not 0 or 1 or one of the classes 'not fractured'"
    ):
        read_manifest(table, task=TASK)


def test_other_encodings_are_named_with_the_line(table: Path) -> None:
    table.write_bytes("path,label\na.png,0\nTüte.png,1\n".encode("latin-1"))
    with pytest.raises(DataInvalid, match="line 3 is not UTF-8"):
        read_manifest(table)


def test_a_path_that_does_not_exist_or_is_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(CannotOpen):
            read_manifest(path)


_WORD = st.text(string.ascii_letters + string.digits + ",;\"' äß雪-", max_size=12).map(str.strip)


@given(facts=st.lists(st.tuples(st.integers(0, 1), _WORD, _WORD, _WORD, _WORD), min_size=1, max_size=3))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read_back(table: Path, facts: list[tuple[int, str, str, str, str]]) -> None:
    rows = tuple(
        Row(
            table.parent / name,
            name,
            label,
            source=source,
            patient=patient,
            mask=table.parent / "c.png",
            note=note,
            group=group,
        )
        for name, (label, source, patient, note, group) in zip(("a.png", "b.png", "c.png"), facts, strict=False)
    )
    rows = tuple(replace(row, note=" ".join(row.note.split())) for row in rows)
    written = Manifest(rows, table.parent)
    write_manifest(written, table)
    assert read_manifest(table) == written


def test_a_table_elsewhere_still_finds_its_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    manifest = manifest_of(write_images(images, ["a.png", "b.png"]), images)
    table = tmp_path / "tables" / "manifest.csv"
    write_manifest(manifest, table)
    again = read_manifest(table)
    assert [row.path for row in again.rows] == [row.path for row in manifest.rows]
    assert again.rows[0].name == "../images/a.png"


def test_a_failed_write_leaves_the_old_table_and_nothing_else(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_text("path,label\na.png,0\n")
    manifest = read_manifest(table)
    before = sorted(path.name for path in table.parent.iterdir())

    def full(self: Path, target: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull, match="No space left"):
        write_manifest(manifest, table)
    assert sorted(path.name for path in table.parent.iterdir()) == before
    assert table.read_text() == "path,label\na.png,0\n"
