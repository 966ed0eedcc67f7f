"""The commands that send results, show where they are, and write them as files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from pydicom import dcmread

from secondread.cli.main import secondread
from secondread.service import Service
from tests.dicom.answered import WHO, answer, answered
from tests.dicom.test_outbox import Archive, listening

pytestmark = [  # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with one reading."""
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    answered(service, answer())
    service.close()
    return tmp_path / "data"


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(secondread, ["dicom", *args, "--data-folder", str(folder)])


def test_results_are_sent_and_shown_as_sent(folder: Path) -> None:
    archive = Archive()
    with listening(archive) as place:
        sent = run(folder, "send", "1", "--to", place)
    assert sent.exit_code == 0, sent.output
    assert len(archive.kept) == 2
    rows = [json.loads(line) for line in run(folder, "sent", "--json").output.splitlines()]
    assert {(row["reading_id"], row["kind"], row["state"], row["destination"]) for row in rows} == {
        (1, "sr", "sent", place), (1, "capture", "sent", place),
    }  # fmt: skip
    assert run(folder, "sent").output.startswith("0 waiting, 2 sent, 0 failed")


def test_what_did_not_arrive_is_told_with_its_reason_and_stays_on_its_way(folder: Path) -> None:
    with listening(Archive()) as away:
        pass
    sent = run(folder, "send", "1", "--to", away)
    assert sent.exit_code == 1
    assert "does not answer" in sent.output
    assert run(folder, "sent").output.startswith("2 waiting, 0 sent, 0 failed")


def test_files_are_written_under_pseudonyms_unless_names_are_asked_for(folder: Path, tmp_path: Path) -> None:
    assert run(folder, "export", "1", "--out", str(tmp_path / "a")).exit_code == 0
    assert run(folder, "export", "1", "--out", str(tmp_path / "b"), "--identified", "--kind", "sr").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["1-capture.dcm", "1-sr.dcm"]
    assert dcmread(tmp_path / "a" / "1-sr.dcm").PatientID != WHO["PatientID"]
    assert dcmread(tmp_path / "b" / "1-sr.dcm").PatientID == WHO["PatientID"]
    service = Service.open({"DATA_FOLDER": str(folder)})
    unsealed = [line["via"] for line in service.trail.latest() if line["action"] == "identity.unsealed"]
    service.close()
    assert unsealed == ["command", "command"]  # the study and its object, of the one that asked for names


@pytest.mark.parametrize("args", [["send", "1"], ["send", "1", "--to", "somewhere"], ["send", "9", "--to", "A@b:1"]])
def test_what_cannot_be_sent_is_said(folder: Path, args: list[str]) -> None:
    found = run(folder, *args)
    assert found.exit_code != 0
    assert run(folder, "sent").output.startswith("0 waiting")
