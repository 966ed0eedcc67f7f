"""Takes over what earlier versions kept as pictures: heat maps become cells beside their readings, thumbnails go.

Earlier versions wrote a PNG of each thumbnail and of each heat map into the data folder. Readings of theirs are taken
over some at a time, each in one transaction; the files go once no row needs them, so a kill at any moment loses nothing
and the next start goes on.
"""

import logging
import shutil
from pathlib import Path

from sqlalchemy import select

from secondread.errors import ImageError
from secondread.service.database import Database
from secondread.service.image_store import OF_BEFORE, ImageStore
from secondread.service.map_cells import pack_drawn
from secondread.service.outcomes import CELLS
from secondread.service.tables import ReadingRow
from secondread.service.trail import Actor, record

_CHUNK = 200  # readings in a transaction
_ACTOR = Actor("secondread", "upgrade")
_LOG = logging.getLogger("secondread.service")


def take_over(database: Database, images: ImageStore) -> int:
    """Take over what the data folder holds of earlier versions; how many heat maps. Several processes may do it.

    A heat map whose file is missing or damaged is said to be none; the log and the trail say how many.
    """
    folders = [folder for kind in OF_BEFORE if (folder := images.folder / kind).is_dir()]
    if not folders:
        return 0
    n = after = 0
    while (found := _take_over_some(database, images.folder, after)) is not None:
        n, after = n + found[0], found[1]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # another process may do the same
    if n:
        _LOG.info("%d heat maps of an earlier version lie beside their readings now", n)
    return n


def _take_over_some(database: Database, folder: Path, after: int) -> tuple[int, int] | None:
    """(heat maps taken over, the last reading looked at); None where no reading is left after that one."""
    with database.begin() as session:
        rows = session.scalars(
            select(ReadingRow)
            .where(ReadingRow.id > after, ReadingRow.heat_map.not_in(("", CELLS)))
            .order_by(ReadingRow.id)
            .limit(_CHUNK)
            .with_for_update()
        ).all()
        if not rows:
            return None
        for row in rows:
            row.map_cells = _cells_of(folder, row)
            row.heat_map = CELLS if row.map_cells else ""
        n = sum(row.heat_map == CELLS for row in rows)
        if lost := len(rows) - n:
            _LOG.warning("%d heat maps of an earlier version are missing or damaged", lost)
        record(session, _ACTOR, "heat_maps.taken_over", "readings", n=n, lost=lost, last=rows[-1].id)
        return n, rows[-1].id


def _cells_of(folder: Path, row: ReadingRow) -> bytes | None:
    path = folder / "heatmaps" / row.heat_map[:2] / f"{row.heat_map}.png"
    try:
        png = path.read_bytes()
        return pack_drawn(png, width=int(row.facts["width"]), height=int(row.facts["height"]))
    except (FileNotFoundError, ImageError, KeyError):
        return None
