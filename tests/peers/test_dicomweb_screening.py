"""An archive that speaks DICOMweb, screened: Orthanc with its plugin, by a query, killed and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secondread.errors import CannotOpen
from secondread.screening import screen
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.peers.orthanc import Orthanc, running_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]
N = 40
ROOT = "1.2.826.0.1.3680043.10.999.60"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """With films of several studies, one CT, and an account that may ask."""
    users = {"AuthenticationEnabled": True, "RegisteredUsers": {"reader": "pass word"}}
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), account=("reader", "pass word"), **users) as found:
        for number in range(N):
            found.ask("instances", _film(number))
        found.ask("instances", _film(900, Modality="CT"))
        yield found


def _film(number: int, **facts: str) -> bytes:
    study = f"{ROOT}.{number // 4}" if number < 900 else f"{ROOT}.{number}"
    own = {
        "Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientID": f"P{number // 4}",
        "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "SOPInstanceUID": f"{study}.1.{number}",
        "StudyDate": f"202601{number // 4 + 1:02}" if number < 900 else "20260105", "InstanceNumber": number,
    }  # fmt: skip
    return dicom_bytes(chest_phantom((96, 96), random_state=number), **(own | facts))


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    from secondread.screening import dicomweb

    monkeypatch.setenv("SECONDREAD_DICOM_WEB_USER", "reader")
    monkeypatch.setenv("SECONDREAD_DICOM_WEB_PASSWORD", "pass word")
    dicomweb._server.cache_clear()


def test_a_query_becomes_a_table_with_a_row_for_each_object_refusals_among_them(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    out = tmp_path / "table.csv"
    told: list[int | None] = []
    found = screen(
        f"dicomweb+{orthanc.web}/studies?StudyDate=20260101-20260105",
        out=out,
        reference="tuberculosis",
        progress=lambda done, total: told.append(total),
    )
    assert found.n == 21  # five studies of four films, and the CT
    assert found.not_opened == 0
    rows = out.read_text().splitlines()[1:]
    assert sum("wrong" in row or "refus" in row or '""code""' in row for row in rows) >= 1
    assert sum(f"studies/{ROOT}.900/" in row for row in rows) == 1
    assert told[-1] == 21


def test_a_filter_of_series_leaves_the_others_out(orthanc: Orthanc, tmp_path: Path) -> None:
    asked = f"dicomweb+{orthanc.web}/studies?StudyDate=20260105&Modality=CR"
    assert screen(asked, out=tmp_path / "table.csv", reference="tuberculosis").n == 4


def test_killed_it_goes_on_and_reads_nothing_twice_and_what_came_since_is_read_too(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    out = tmp_path / "table.csv"
    journal = tmp_path / "table.csv.journal"
    asked = f"dicomweb+{orthanc.web}/studies?ModalitiesInStudy=CR"
    command = [sys.executable, "-m", "secondread.cli", "screen", asked, "--task", "tuberculosis", "--out", str(out)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if journal.exists() and len(journal.read_bytes().splitlines()) > 5:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if out.exists():
        pytest.skip("it was ready before it could be killed")
    known = len(journal.read_bytes().splitlines()) - 1
    assert known > 3
    orthanc.ask("instances", _film(950, StudyDate="20260301"))
    try:
        found = screen(asked, out=out, reference="tuberculosis")
        assert found.n == N + 1
        assert found.resumed >= known - 1
        numbers = [line.split(",")[0] for line in out.read_text().splitlines()[1:]]
        assert len(set(numbers)) == N + 1
    finally:
        [one] = orthanc.ask("tools/find", json.dumps({"Level": "Study", "Query": {"StudyDate": "20260301"}}).encode())
        orthanc.delete(f"studies/{one}")


@pytest.mark.parametrize(
    ("query", "says"),
    [("StudyDate=19000101", "fits the query"), ("ModalitiesInStudy=CR", "does not let us in")],
)
def test_what_hinders_all_of_it_is_said(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, says: str
) -> None:
    if "let us in" in says:
        monkeypatch.setenv("SECONDREAD_DICOM_WEB_PASSWORD", "wrong")
    with pytest.raises(CannotOpen, match=says):
        screen(f"dicomweb+{orthanc.web}/studies?{query}", out=tmp_path / "t.csv", reference="tuberculosis")
