"""A series of 384 slices with localisers and field maps beside, shuffled, by DICOM: one reading, and what it takes."""

import resource
import sys
import tempfile
import time
from datetime import timedelta

import numpy as np
from sqlalchemy import select, update
from tests.dicom.slices import beside, mr_slice, shuffled, take

from benchmarks._common import save
from secondread.dicom.series import read_next
from secondread.reading import load
from secondread.service import Actor, Service
from secondread.service.dicom_tables import DicomObjectRow, DicomSeriesRow
from secondread.service.tables import ReadingRow, now

N, SIDE = 384, 256
NODE = Actor("node", "dicom", scopes=frozenset({"read", "write"}))


def main() -> None:
    """Receive, read, and look at every slice as the viewer does. Seconds of the processor, of all threads."""
    objects = shuffled([*(mr_slice(at, side=SIDE) for at in range(1, N + 1)), *beside()], random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        service = Service.open({"DATA_FOLDER": folder})
        before = time.process_time()
        take(service, objects)
        received = time.process_time() - before
        with service.database.begin() as session:
            session.execute(update(DicomSeriesRow).values(due_at=now() - timedelta(seconds=1)))
        reader = load("brain-tumour", gate=False)  # the phantoms are no heads that the gate lets pass
        desk = service.desk(lambda *_: reader)
        peak, before, wall = _peak_mb(), time.process_time(), time.monotonic()
        number = read_next(service, desk, actor=NODE)
        reading_s, wall = time.process_time() - before, time.monotonic() - wall
        grown = _peak_mb() - peak
        assert number is not None, "nothing was due"
        with service.database.reading() as session:
            n_readings = len(session.scalars(select(ReadingRow)).all())
            row = session.get_one(ReadingRow, number)
            found = session.execute(select(DicomObjectRow.image_sha256, DicomObjectRow.instance_number)).all()
            numbers = dict(found)
        order = [numbers[one.sha256] for one in service.dicom_series.slices(row.image_sha256)]
        drawn = _draw(service, row.image_sha256)
        table = {
            "slices": N,
            "beside": len(objects) - N,
            "side": SIDE,
            "readings": n_readings,
            "in_order": order == list(range(1, N + 1)),
            "receiving_cpu_seconds": round(received, 2),
            "reading_cpu_seconds": round(reading_s, 2),
            "reading_wall_seconds": round(wall, 2),
            "peak_memory_grown_mb": round(grown, 1),
            **drawn,
        }
        service.close()
    save("dicom_series", table)
    if not table["in_order"] or n_readings != 1:
        sys.exit("the series was not one reading in the order of the body")


def _draw(service: Service, sha256: str) -> dict[str, float]:
    """Every slice's picture as the viewer asks for it: made once, then out of the cache."""
    told = {}
    for which in ("first", "again"):
        each, sizes = [], []
        for frame in range(N):
            before = time.process_time()
            sizes.append(len(service.pictures.shown(sha256, frame, longest_side=4096)))
            each.append(1000 * (time.process_time() - before))
        told[f"picture_{which}_cpu_ms_median"] = round(float(np.median(each)), 2)
        told[f"picture_{which}_cpu_ms_most"] = round(max(each), 2)
        told["picture_kb_median"] = round(float(np.median(sizes)) / 1000, 1)
    return told


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
