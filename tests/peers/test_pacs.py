"""The archive's configuration that comes with the package: a film goes round, and its results stand beside it."""

import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from secondread.service import LOCAL, Service
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.peers.orthanc import Orthanc, free_ports, running_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

PACS = Path(__file__).parents[2] / "deploy" / "pacs"
SECONDS = 120.0  # for what takes a few


@contextmanager
def listening(folder: Path, port: int, orthanc: Orthanc) -> Iterator[None]:
    """`secondread dicom listen`, as a person starts it."""
    command = [
        sys.executable,
        "-m",
        "secondread.cli",
        "dicom",
        "listen",
        "--port",
        str(port),
        "--send-to",
        orthanc.node,
    ]
    with (folder / "node.log").open("w+b") as log:
        process = subprocess.Popen([*command, "--data-folder", str(folder / "data")], stdout=log, stderr=log)
        try:
            _until(lambda: "is ready" in (folder / "node.log").read_text(), "the node does not start")
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.parametrize("sender", ["archive", "storescu"])
def test_a_film_gets_a_report_and_a_capture_in_its_own_study(tmp_path: Path, sender: str) -> None:
    """The archive sends it on, or DCMTK's program stands for the scanner that sends it to both."""
    if sender == "storescu" and shutil.which("storescu") is None:
        pytest.skip("storescu is not installed: apt-get install dcmtk")
    (port,) = free_ports(1)
    given = json.loads((PACS / "orthanc.json").read_text())
    given["DicomModalities"]["secondread"][2] = port
    scripts = [str(PACS / name) for name in given["LuaScripts"]] if sender == "archive" else []
    settings = {"LuaScripts": scripts, "DicomModalities": given["DicomModalities"], "StableAge": 1}
    study = generate_uid()
    film = dicom_bytes(
        chest_phantom(256, random_state=1),
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="PA",
        PatientName="Doe^Jane",
        PatientID="P1",
        AccessionNumber="A1",
        StudyInstanceUID=study,
        SeriesInstanceUID=generate_uid(),
    )
    with running_orthanc(tmp_path, **settings) as orthanc, listening(tmp_path, port, orthanc):
        if sender == "archive":
            orthanc.ask("instances", film)
        else:
            path = tmp_path / "film.dcm"
            path.write_bytes(film)
            for aet, at in (("ORTHANC", orthanc.dicom_port), ("SECONDREAD", port)):
                subprocess.run(["storescu", "-aec", aet, "127.0.0.1", str(at), str(path)], check=True, timeout=60)
        _until(lambda: len(orthanc.files(Modality="*")) >= 3, "no results came back")
        time.sleep(5)  # five times what makes a series stable: were results read again, they would come back by now
        found = [pydicom.dcmread(io.BytesIO(data)) for data in orthanc.files(Modality="*")]
        listed = orthanc.find(f"studies/{study}/instances?includefield=Modality")
    assert sorted(ds.Modality for ds in found) == ["DX", "OT", "SR"]
    assert {one["00080018"]["Value"][0] for one in listed} == {ds.SOPInstanceUID for ds in found}
    for name in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber"):
        assert len({str(ds.get(name)) for ds in found}) == 1, name
    with closing(Service.open({"DATA_FOLDER": str(tmp_path / "data"), "DATABASE": ""})) as service:
        assert service.dicom_exports.counts()["sent"] == 2
        assert [row.source for row in service.worklist.page(actor=LOCAL).rows] == [
            "ORTHANC" if sender == "archive" else "STORESCU"
        ]


def _until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        if time.monotonic() > end:
            pytest.fail(otherwise)
        time.sleep(0.2)
