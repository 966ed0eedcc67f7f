"""Series sent by DCMTK's storescu to a node that is killed while it takes them in and reads them."""

import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from tests.dicom.slices import beside, mr_slice, shuffled

from secondread.service import Service

_READ_SECONDS = 600.0


class Node(Protocol):
    """A node in a process of its own."""

    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""

    def start(self) -> None:
        """Return when it answers."""

    def kill(self) -> None:
        """SIGKILL."""

    def stop(self) -> None:
        """In good order."""


def killed_series(node: Node, *, kills: int, slices: int, random_state: int = 0) -> dict[str, Any]:
    """A series for each kill, shuffled, with localisers and every third slice twice; killed at a random moment of it.

    Sent again until all of it was acknowledged. At the end each series is one reading of all its slices.
    """
    if shutil.which("storescu") is None:
        raise SystemExit("storescu is not installed: apt-get install dcmtk")
    rng = random.Random(random_state)
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            part = Path(folder) / str(number)
            n_files = _write(part, number, slices)
            sending = subprocess.Popen(_command(node, part), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.1, 1.5))
            broken += sending.poll() is None
            node.kill()
            sending.wait()
            node.start()
            while subprocess.run(_command(node, part), capture_output=True).returncode != 0:
                time.sleep(0.2)
        _wait_until_read(node.folder)
        node.stop()
        told = {"kills": kills, "while_sending": broken, "files": kills * n_files}
        return told | _checked(node.folder, kills, slices)


def _write(folder: Path, number: int, slices: int) -> int:
    folder.mkdir()
    series = {"SeriesInstanceUID": f"1.2.826.0.1.3680043.10.999.70.{number}.1", "PatientID": f"HOSP-{number}",
              "StudyInstanceUID": f"1.2.826.0.1.3680043.10.999.70.{number}"}  # fmt: skip
    objects = [*(mr_slice(at, **series) for at in range(1, slices + 1)), *beside()[:3]]
    for ds in objects:
        ds.SOPInstanceUID = f"{series['SeriesInstanceUID']}.{ds.InstanceNumber}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        for keyword, value in series.items():
            setattr(ds, keyword, value)
    files = shuffled([*objects, *objects[:slices:3]], random_state=number)
    for at, ds in enumerate(files):
        ds.save_as(folder / f"{at:04}.dcm", enforce_file_format=True)
    return len(files)


def _command(node: Node, folder: Path) -> list[str]:
    return ["storescu", "-aec", "SECONDREAD", "-aet", "SCANNER", "-xe", "+sd", *map(str, node.address), str(folder)]


def _wait_until_read(folder: Path) -> None:
    service, end = Service.open({"DATA_FOLDER": str(folder)}), time.monotonic() + _READ_SECONDS
    try:
        while (counts := service.dicom.counts())["received"] + counts["waiting"]:
            assert time.monotonic() < end, f"not all is read after {_READ_SECONDS:g} s: {counts}"
            time.sleep(0.5)
    finally:
        service.close()


def _checked(folder: Path, n_series: int, slices: int) -> dict[str, Any]:
    service = Service.open({"DATA_FOLDER": str(folder)})
    try:
        rows = service.dicom.latest(10**6)
        made = [line["subject"] for line in service.trail.lines(action="reading.made")]
        service.trail.verify()
    finally:
        service.close()
    read = Counter(row.reading_id for row in rows if row.state == "read")
    assert len(rows) == n_series * (slices + 3), f"{len(rows)} objects are here"
    assert {row.state for row in rows} == {"read", "ignored"}
    assert len(read) == n_series, f"{len(read)} readings of {n_series} series"
    assert set(read.values()) == {slices}, "a slice is missing in a reading, or read twice"
    assert len(made) == len(set(made)) == n_series, f"{len(made)} readings were made"
    return {"series": n_series, "slices": slices, "readings": len(made), "lost": 0, "twice": 0}
