"""A whole series from DCMTK's storescu: one reading, its results in the study; and a node that is killed meanwhile."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed: the extra 'dicom' brings it")
pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from benchmarks._killed_series import killed_series
from benchmarks._listening import listening

from secondread.dicom.outbox import send_due
from secondread.dicom.series import read_next
from secondread.dicom.worker import NodeWorker
from secondread.service import NODE, Service
from tests.dicom.conftest import StartNode, start_node
from tests.dicom.slices import ROOT, beside, mr_slice, shuffled
from tests.dicom.test_outbox import Archive
from tests.dicom.test_outbox import listening as archiving
from tests.dicom.test_series import make_due, readings
from tests.service.conftest import _no_waiting_for_the_disk, service, sqlite_file
from tests.several import bright_reader

__all__ = ["_no_waiting_for_the_disk", "service", "sqlite_file", "start_node"]

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed: apt-get install dcmtk"),
    # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
N = 16


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What goes over the network is the same with every database."""
    return str(request.param)


def test_a_series_shuffled_and_doubled_is_one_reading_whose_results_come_back(
    start_node: StartNode, service: Service, tmp_path: Path
) -> None:
    slices = [mr_slice(number, suspicious=number in (6, 7)) for number in range(1, N + 1)]
    files = tmp_path / "files"
    files.mkdir()
    for at, ds in enumerate(shuffled([*slices, *beside(), *slices[::2]], random_state=3)):
        ds.save_as(files / f"{at:03}.dcm", enforce_file_format=True)
    archive = Archive()
    with archiving(archive) as place:
        node = start_node(destinations=(place,))
        command = ["storescu", "-aec", "SECONDREAD", "-aet", "MR1", "-xe", "+sd", *map(str, node.address), str(files)]
        sent = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert sent.returncode == 0, sent.stderr
        make_due(service)
        reader = bright_reader("brain-tumour/best")
        number = read_next(service, service.desk(lambda *_: reader), actor=NODE)
        assert number is not None
        NodeWorker(service, lambda *_: reader).tell()
        assert send_due(service) == 2
    [reading] = readings(service)
    assert len(reading.frames) == N
    states = [row.state for row in service.dicom.latest(100)]
    assert (states.count("read"), states.count("ignored"), len(states)) == (N, 5, N + 5)
    assert {ds.StudyInstanceUID for ds in archive.kept.values()} == {f"{ROOT}.3"}
    assert sorted(ds.Modality for ds in archive.kept.values()) == ["OT", "SR"]


def test_killed_while_series_come_in_nothing_is_lost_and_nothing_read_twice() -> None:
    with listening(reads=True, dicom_series_seconds=300) as node:
        found = killed_series(node, kills=3, slices=8)
    assert (found["readings"], found["lost"], found["twice"]) == (3, 0, 0)
