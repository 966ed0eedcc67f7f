"""Archives read into one table: every source, bounds, kills in the middle, and nothing read twice."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from secondread.errors import CannotOpen, Conflict, DataInvalid, UsageError
from secondread.reading import Decision, Findings, FrameAnswer, Reading, load
from secondread.screening import screen
from secondread.screening.engine import read_here
from secondread.screening.journal import Journal
from secondread.screening.picture import Picture
from secondread.screening.source import count
from secondread.screening.table import COLUMNS, FRAME_KEYS
from secondread.testing.phantoms import chest_phantom, encode
from tests.cli.test_cli import call
from tests.several import dicom_of, stack

PAPER = "tuberculosis/paper"


@pytest.fixture(scope="module")
def films():
    """Name → bytes: films, a file of three frames, a text and an empty file."""
    found = {
        f"{at:02d}.png": encode(chest_phantom(96, random_state=at, lesion=bool(at % 2)), "PNG") for at in range(12)
    }
    return found | {"20-three.dcm": dicom_of(stack(3)), "30.txt": b"a letter", "40 empty.png": b""}


@pytest.fixture
def folder(tmp_path, films):
    here = tmp_path / "archive"
    for name, data in films.items():
        path = here / ("a" if name < "06" else "b") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (here / ".hidden.png").write_bytes(b"")
    return here


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(source, out, **more):
    return screen(source, out=out, reference=PAPER, gate=False, workers=2, **more)


def by_hand(folder):
    """What the reader says of each file, by name."""
    reader = load(PAPER, gate=False)
    return {path.name: reader.read(path).to_dict(path=None) for path in files_of(folder)}


def files_of(folder):
    """What is not hidden, in the order of an archive's table."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]


def test_a_folder_becomes_one_row_a_file_and_says_what_the_reader_says(folder, tmp_path):
    told = []
    found = run(folder, tmp_path / "out.csv", progress=lambda done, total: told.append((done, total)))
    rows = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert tuple(rows[0]) == COLUMNS
    expected = by_hand(folder)
    for row in rows:
        one = expected[row["path"].rpartition("/")[2]]
        assert row["decision"] == (one["decision"] or "")
        assert row["probability"] == ("" if one["probability"] is None else str(one["probability"]))
        assert (json.loads(row["refusal"]) if row["refusal"] else None) == one["refusal"]
        assert (json.loads(row["frames"]) if row["frames"] else None) == one.get("frames")
    assert (found.n, found.decisions["refused"], found.resumed, found.not_opened) == (15, 2, 0, 0)
    assert told == [(n, 15) for n in range(1, 16)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out.csv"]


def test_every_kind_of_source_gives_the_same_rows(folder, films, tmp_path):
    pack(films, tmp_path / "films.zip")
    with tarfile.open(tmp_path / "films.tar.gz", "w:gz") as archive:
        for name, data in films.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("elsewhere.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    lines = [
        f"{path.relative_to(tmp_path)}" for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."
    ]
    (tmp_path / "films.csv").write_text("\n".join(["path", *lines]))
    answers = {}
    for name in ("archive", "films.zip", "films.tar.gz", "films.csv"):
        run(tmp_path / name, tmp_path / "out.csv")
        answers[name] = [{**row, "path": row["path"].rpartition("/")[2]} for row in rows_of(tmp_path / "out.csv")]
    assert len(answers["archive"]) == len(films)
    assert all(found == answers["archive"] for found in answers.values())


def test_parquet_holds_what_csv_holds(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run(folder, tmp_path / "out.csv")
    run(folder, tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    rows = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    assert [row["decision"] or "" for row in table] == [row["decision"] for row in rows]
    assert [str(row["probability"] or "") for row in table] == [row["probability"] for row in rows]
    assert [row["refusal"] and row["refusal"]["code"] for row in table[-2:]] == ["not_an_image", "not_an_image"]
    several = next(row for row in table if row["path"].endswith(".dcm"))
    assert [one["frame"] for one in several["frames"]] == [1, 2, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
from secondread.reading.reader import Reader
from secondread.screening import screen
from secondread.screening.engine import read_here
real, log = Reader.read, os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def read(self, source, **more):
    os.write(log, f"{source}\\n".encode())
    return real(self, source, **more)
Reader.read = read
def told(done, total):
    if done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
screen(Path(sys.argv[1]), out=Path(sys.argv[2]), reference="tuberculosis/paper", gate=False, workers=2, progress=told)
"""


def test_a_killed_run_goes_on_and_reads_nothing_twice_that_has_a_row(folder, tmp_path):
    """Killed three times: what is read again are the pictures that were being read, one a thread at most."""
    out, log = tmp_path / "out.csv", tmp_path / "log"
    journal = tmp_path / "out.csv.journal"
    begun_in_all = rows_before = 0
    for at in (2, 6, 11):
        command = [sys.executable, "-c", KILLED, str(folder), str(out), str(log), str(at)]
        killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
        if killed.returncode == 0:  # the readers were done before it was told: nothing is left to go on with
            rows_before = 0
            break
        assert killed.returncode == -signal.SIGKILL
        assert not out.exists()
        rows = len(journal.read_text().splitlines()) - 1
        begun = len(log.read_text().splitlines()) - begun_in_all
        assert rows - rows_before <= begun <= rows - rows_before + 2
        begun_in_all, rows_before = begun_in_all + begun, rows
        with journal.open("ab") as file:
            file.write(b'[14,"", {"path": "a/0')  # what a kill leaves of a line
    found = run(folder, out)
    assert (found.n, found.resumed) == (15, rows_before)
    assert not journal.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "log", "out.csv"]
    rows = rows_of(out)
    run(folder, tmp_path / "whole.csv")
    assert rows == rows_of(tmp_path / "whole.csv")


def test_rows_that_overtook_others_are_not_read_again(folder, tmp_path, monkeypatch):
    """A journal with holes: the pictures in them are read, and the table is in order all the same."""
    whole = tmp_path / "whole.csv"
    kept = []
    real_add = Journal.add
    monkeypatch.setattr(Journal, "add", lambda self, *row: kept.append(row) or real_add(self, *row))
    run(folder, whole)
    kept.sort(key=lambda row: row[0])
    out = tmp_path / "out.csv"
    first = interrupted(folder, out, at=1)
    (tmp_path / "out.csv.journal").write_text(
        "\n".join([first, *(json.dumps(kept[number]) for number in (5, 0, 1, 9, 3, 14)), ""])
    )
    kept.clear()
    found = run(folder, out)
    assert sorted(row[0] for row in kept) == [2, 4, 6, 7, 8, 10, 11, 12, 13]
    assert (found.n, found.resumed) == (15, 6)
    assert rows_of(out) == rows_of(whole)


def interrupted(folder, out, *, at):
    """Stop a run at its Nth picture; gives the first line of its journal."""

    def stop(done, total):
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, out, progress=stop)
    return out.with_name(f"{out.name}.journal").read_text().splitlines()[0]


def test_the_journal_of_another_run_is_never_gone_on_with(folder, tmp_path):
    out = tmp_path / "out.csv"
    interrupted(folder, out, at=3)
    with pytest.raises(Conflict, match="asked something else"):
        run(folder, out, operating_point="confirm")
    with pytest.raises(Conflict, match="asked something else"):
        run(folder, out, frame=1)
    (folder / "a" / "00.png").rename(folder / "a" / "00-other.png")
    with pytest.raises(Conflict, match=r"'a/00.png' is not where it was"):
        run(folder, out)
    (tmp_path / "out.csv.journal").write_bytes(b"\x89PNG\n\xff\n")
    with pytest.raises(CannotOpen, match="no journal"):
        run(folder, out)
    assert not out.exists()


def test_a_file_that_was_written_anew_is_another(folder, films, tmp_path):
    interrupted(folder, tmp_path / "out.csv", at=3)
    (folder / "a" / "01.png").write_bytes(films["05.png"])
    with pytest.raises(Conflict, match=r"'a/01.png' has another size or date"):
        run(folder, tmp_path / "out.csv")
    pack(films, tmp_path / "films.zip")
    interrupted(tmp_path / "films.zip", tmp_path / "zipped.csv", at=3)
    pack(dict(reversed(films.items())), tmp_path / "films.zip")
    with pytest.raises(Conflict, match="has changed since"):
        run(tmp_path / "films.zip", tmp_path / "zipped.csv")


def pack(films, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in films.items():
            archive.writestr(name, data)


def test_one_frame_alone(folder, tmp_path):
    run(folder, tmp_path / "out.csv", frame=2)
    rows = {row["path"]: row for row in rows_of(tmp_path / "out.csv")}
    assert rows["b/20-three.dcm"]["decision"]
    assert not rows["b/20-three.dcm"]["frames"]
    assert "only frame 2 of 3 was read" in rows["b/20-three.dcm"]["warnings"]
    assert (
        json.loads(rows["a/00.png"]["refusal"])["code"]
        == load(PAPER, gate=False).read(folder / "a" / "00.png", frame=1).refusal.code
    )


def test_every_key_of_a_reading_has_its_column():
    """One that has none would be lost in Parquet without a word."""
    found = Findings((), 0.5)
    answers = (FrameAnswer(1, 0.5, 50, Decision.NEGATIVE, found=found),)
    row = Reading("tuberculosis", probability=0.5, found=found, frames=answers, worst_frame=1).to_dict(path="x")
    assert set(row) - {"next_step"} <= set(COLUMNS), "what to do now is left out: see picture.row_read"
    assert set(row["frames"][0]) == set(FRAME_KEYS)


def test_two_runs_do_not_write_one_table(folder, tmp_path):
    def another(done, total):
        with pytest.raises(Conflict, match="another run"):
            run(folder, tmp_path / "out.csv")

    run(folder, tmp_path / "out.csv", progress=another)


def test_what_cannot_be_read_says_what_to_do(folder, tmp_path):
    with pytest.raises(UsageError, match=r"\.parquet or \.csv"):
        run(folder, tmp_path / "out.xlsx")
    with pytest.raises(CannotOpen, match="neither a folder nor a file"):
        run(tmp_path / "gone", tmp_path / "out.csv")
    (tmp_path / "table.csv").write_text("file\na.png\n")
    with pytest.raises(DataInvalid, match="no column 'path'"):
        run(tmp_path / "table.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_tar_file_that_is_cut_ends_with_a_row_that_says_so(tmp_path, films):
    with tarfile.open(tmp_path / "films.tar", "w") as archive:
        for name, data in films.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    whole = (tmp_path / "films.tar").read_bytes()
    (tmp_path / "films.tar").write_bytes(whole[: whole.index(films["05.png"]) + 100])
    run(tmp_path / "films.tar", tmp_path / "out.csv")
    *before, last = rows_of(tmp_path / "out.csv")
    assert [row["path"] for row in before] == [f"{at:02d}.png" for at in range(5)]
    assert json.loads(last["refusal"])["code"] == "archive_damaged"


def test_a_table_in_the_folder_that_is_read_is_none_of_its_pictures(folder):
    told = []
    for _ in range(2):
        run(folder, folder / "a" / "out.csv", progress=lambda done, total: told.append((done, total)))
        assert len(rows_of(folder / "a" / "out.csv")) == 15
    assert told[-1] == (15, 15)


@pytest.mark.parametrize("kind", ["folder", "zip", "csv"])
def test_a_source_without_an_image_leaves_no_table(tmp_path, kind, capsys):
    source = tmp_path / f"nothing.{kind}"
    if kind == "folder":
        source.mkdir()
        (source / ".hidden.png").write_bytes(b"")
    elif kind == "zip":
        pack({}, source)
    else:
        source.write_text("path\n")
    with pytest.raises(UsageError, match=r"no image was found in .*nothing"):
        run(source, tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == {source.name}
    code, out, told = call(capsys, "screen", source, "--out", tmp_path / "out.csv", "--task", "tuberculosis")
    assert (code, out) == (2, "")
    assert "no image was found" in told


def test_a_damaged_member_is_a_row(films, tmp_path):
    pack(films, tmp_path / "films.zip")
    data = bytearray((tmp_path / "films.zip").read_bytes())
    data[data.index(films["03.png"]) + 500] ^= 0xFF
    (tmp_path / "films.zip").write_bytes(data)
    run(tmp_path / "films.zip", tmp_path / "out.csv")
    rows = {row["path"]: row for row in rows_of(tmp_path / "out.csv")}
    assert json.loads(rows["03.png"]["refusal"])["code"] == "archive_damaged"
    assert rows["04.png"]["decision"]


def test_no_cell_of_the_table_is_a_formula(folder, tmp_path, films):
    (folder / "=cmd()").mkdir()
    (folder / "=cmd()" / "1.png").write_bytes(films["00.png"])
    run(folder, tmp_path / "out.csv")
    assert "'=cmd()/1.png" in [row["path"] for row in rows_of(tmp_path / "out.csv")]


def test_the_command(folder, tmp_path, capsys):
    asked = (
        "screen",
        folder,
        "--task",
        "tuberculosis",
        "--bundle",
        "paper",
        "--no-gate",
        "--out",
        tmp_path / "out.csv",
    )
    code, out, _ = call(capsys, *asked)
    assert code == 0
    assert "15 pictures" in out
    assert "2 refused" in out
    (tmp_path / "table.csv").write_text("path\narchive/a/00.png\ngone.png\n")
    code, out, _ = call(capsys, "screen", tmp_path / "table.csv", *asked[2:])
    assert code == 1
    assert json.loads(rows_of(tmp_path / "out.csv")[1]["refusal"])["code"] == "cannot_open"
    assert call(capsys, "screen", folder, "--out", tmp_path / "out.txt")[0] == 2


def test_a_few_pictures_are_held_at_a_time():
    """Whatever the number: those that were taken from the source and have not come out as rows."""
    taken = most = 0

    def found():
        nonlocal taken
        for taken in range(1, 4001):
            yield taken, Picture(str(taken), b"x" if taken > 2000 else Path("x"))

    for number, _ in read_here(lambda picture: {"path": picture.name}, found(), keep=lambda *row: None, workers=2):
        most = max(most, taken - number)
    assert taken == 4000
    assert most <= 4 * 32 + 1


def test_the_time_left_is_known_of_what_can_be_counted(folder, films, tmp_path):
    pack(films, tmp_path / "films.zip")
    (tmp_path / "films.csv").write_text("path\n\n" + "\n".join(films) + "\n")
    for source in ("archive", "films.zip", "films.csv"):
        assert count(str(tmp_path / source)) == 15, source
    (tmp_path / "films.tar").write_bytes(b"")
    assert count(str(tmp_path / "films.tar")) is None
