"""DCMTK's worklist server, asked: what it has scheduled is shown, kept, and named by a result."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date
from pathlib import Path

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from secondread.dicom.destinations import Destination
from secondread.dicom.results import make
from secondread.dicom.worklist import Worklist
from secondread.errors import CannotOpen
from secondread.service import NODE, Service
from tests.dicom.answered import WHO, answer, answered
from tests.dicom.test_worklist import scheduled
from tests.peers.orthanc import free_ports

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("wlmscpfs") is None, reason="wlmscpfs is not installed: apt-get install dcmtk"),
    # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
DAY = date(2026, 3, 1)


@pytest.fixture
def ris(tmp_path: Path) -> Iterator[Worklist]:
    """One with two steps of that day and one of another."""
    folder = tmp_path / "RIS"
    folder.mkdir()
    (folder / "lockfile").touch()
    steps = [scheduled(1, StudyInstanceUID=WHO["StudyInstanceUID"]), scheduled(2), scheduled(3)]
    steps[2].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate = "20260305"
    for number, ds in enumerate(steps):
        ds.PatientBirthDate, ds.PatientSex, ds.ReferringPhysicianName = "19700101", "F", ""
        ds.ScheduledProcedureStepSequence[0].ScheduledPerformingPhysicianName = ""
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        ds.save_as(folder / f"{number}.wl", enforce_file_format=True)
    (port,) = free_ports(1)
    process = subprocess.Popen(["wlmscpfs", "-dfp", str(tmp_path), str(port)])
    try:
        found = Worklist(Destination("RIS", "127.0.0.1", port), "SECONDREAD", zone=UTC)
        end = time.monotonic() + 60
        while True:
            try:
                found.orders(since=DAY, until=DAY)
                break
            except CannotOpen:
                assert time.monotonic() < end, "wlmscpfs does not answer"
                time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait()


def test_what_is_scheduled_is_kept_and_named_by_a_result(ris: Worklist, tmp_path: Path) -> None:
    found = ris.orders(since=DAY, until=DAY)
    assert [one.accession_number for one in found] == ["ACC-1", "ACC-2"]
    assert len(ris.orders(since=DAY, until=date(2026, 3, 9))) == 3
    assert ris.orders(since=DAY, until=DAY, modality="MR") == []
    service = Service.open({"DATA_FOLDER": str(tmp_path / "data")})
    try:
        assert service.orders.keep(found, worklist=str(ris.place), actor=NODE) == 2
        ds = make(service, answered(service, answer()), "sr", actor=NODE, identified=True)
        assert ds.ReferencedRequestSequence[0].RequestedProcedureID == "RP1"
    finally:
        service.close()
