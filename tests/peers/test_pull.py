"""Images fetched from a real archive: Orthanc asked by C-FIND and C-GET, by C-MOVE and by DICOMweb; and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed: the extra 'dicom' brings it")

from pydicom.uid import JPEG2000Lossless, RLELossless

from secondread.dicom.arrivals import arrivals_of
from secondread.dicom.destinations import Destination
from secondread.dicom.pull import Puller, puller_of
from secondread.dicom.pull_filter import PullFilter
from secondread.dicom.rules import load_rules
from secondread.errors import CannotOpen
from secondread.service import Service, settings_from
from tests.dicom.conftest import StartNode, start_node
from tests.dicom.scu import radiograph
from tests.dicom.slices import bytes_of, mr_slice
from tests.peers.orthanc import Orthanc, free_ports, running_orthanc
from tests.service.conftest import _no_waiting_for_the_disk, service, sqlite_file

__all__ = ["_no_waiting_for_the_disk", "service", "sqlite_file", "start_node"]

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(600),
    # pynetdicom lets go of a socket that could not be connected without closing it
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SINCE, UNTIL = date(2026, 3, 1), date(2026, 3, 4)
N_FILMS, N_SLICES = 6, 9
PORT = free_ports(1)[0]  # of this node, which an archive must know to move objects to it


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What goes over the network is the same with every database."""
    return str(request.param)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """With films, one of them compressed, a series of slices, and a CT that nobody asks for."""
    modalities = {"secondread": ["SECONDREAD", "127.0.0.1", PORT]}
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), DicomModalities=modalities) as found:
        for ds in kept():
            found.ask("instances", bytes_of(ds))
        yield found


def kept() -> list[Any]:
    films = [film(number) for number in range(N_FILMS)]
    films[0].compress(RLELossless, generate_instance_uid=False)
    films[1].compress(JPEG2000Lossless, generate_instance_uid=False)
    slices = [mr_slice(number, StudyDate="20260302") for number in range(1, N_SLICES + 1)]
    return [*films, *slices, film(99, Modality="CT")]


def film(number: int, **facts: Any) -> Any:
    own = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.4.{number}", "StudyDate": "20260303"}
    return radiograph(number, size=(96, 96), **(own | facts))


def asking(service: Service, place: str, **settings: str) -> Puller:
    found = settings_from({}, given=settings)
    only = PullFilter.parse(str(found["DICOM_PULL_FILTER"]))
    return puller_of(service, arrivals_of(service, load_rules()), Destination.parse(place), only, found)


@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_what_an_archive_has_comes_once_and_then_what_is_new(
    orthanc: Orthanc, service: Service, start_node: StartNode, way: str
) -> None:
    place = orthanc.web if way == "web" else orthanc.node
    if way == "move":
        start_node(port=PORT)
    by = {"dicom_pull_by": "move"} if way == "move" else {}
    found = asking(service, place, **by).round(since=SINCE, until=UNTIL)
    assert found.fetched == N_FILMS + N_SLICES
    assert not found.counts["missing"]
    rows = service.dicom.latest(1000)
    assert sorted(row.modality for row in rows) == ["CR"] * N_FILMS + ["MR"] * N_SLICES
    assert {row.state for row in rows} == {"received", "waiting"}
    again = asking(service, place, **by).round(since=SINCE, until=UNTIL)
    assert (again.fetched, again.counts["known"]) == (0, N_FILMS + N_SLICES)
    new = film(50 + len(way), StudyDate="20260304")
    orthanc.ask("instances", bytes_of(new))
    try:
        assert asking(service, place, **by).round(until=UNTIL).fetched == 1
    finally:
        for one in orthanc.ask("tools/find", b'{"Level": "Study", "Query": {"StudyDate": "20260304"}}'):
            orthanc.delete(f"studies/{one}")


def test_an_archive_that_sends_where_nobody_listens_is_said(orthanc: Orthanc, service: Service) -> None:
    with pytest.raises(CannotOpen, match="dicom listen"):
        asking(service, orthanc.node, dicom_pull_by="move").round(since=SINCE, until=UNTIL)


def test_an_archive_that_does_not_know_us_is_said(orthanc: Orthanc, service: Service) -> None:
    with pytest.raises(CannotOpen, match="entered there"):
        asking(service, orthanc.node, dicom_aet="STRANGER", dicom_pull_by="move").round(since=SINCE, until=UNTIL)


def test_killed_again_and_again_nothing_is_lost_and_nothing_read_twice(orthanc: Orthanc, tmp_path: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SECONDREAD_GATE": "off", "SECONDREAD_LEASE_SECONDS": "1",
           "SECONDREAD_DICOM_SERIES_SECONDS": "1"}  # fmt: skip
    command = [
        sys.executable, "-m", "secondread.cli", "dicom", "pull", "--from", orthanc.web, "--since", f"{SINCE}",
        "--until", f"{UNTIL}", "--data-folder", str(tmp_path),
    ]  # fmt: skip
    service = Service.open({"DATA_FOLDER": str(tmp_path)})
    try:
        for least in (2, 5, 9):
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            end = time.monotonic() + 120
            while sum(service.dicom.counts().values()) < least and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            _forget_the_dead(service)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "studies" in done.stdout
        rows = service.dicom.latest(1000)
        assert len(rows) == N_FILMS + N_SLICES
        assert {row.state for row in rows} == {"read"}
        made = [line["subject"] for line in service.trail.lines(action="reading.made")]
        assert len(made) == len(set(made)) == N_FILMS + 1
        service.trail.verify()
    finally:
        service.close()


def _forget_the_dead(service: Service) -> None:
    """As if the lease of who was killed had run out."""
    from sqlalchemy import update

    from secondread.service.dicom_tables import DicomPullRow

    with service.database.begin() as session:
        session.execute(update(DicomPullRow).values(held_until=None))
