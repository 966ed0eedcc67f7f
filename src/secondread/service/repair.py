"""Whether database and folder say the same: what kills and full disks left, found, told, and on request mended.

Files are written before the row that speaks of them, so a kill between the two leaves a file that no row names: no
reading is lost by it, but retention and erasure, which go by rows, would never reach it. Pictures can be drawn again,
so that one too few is no fault; but one of an image that is gone must not stay.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from secondread.errors import TrailBroken
from secondread.service.backup import RESTORING, is_abandoned, remove_abandoned
from secondread.service.database import Database
from secondread.service.image_store import IMAGES, OF_BEFORE, PICTURES, ImageStore
from secondread.service.maintenance import maintenance
from secondread.service.outcomes import CELLS
from secondread.service.private import open_to_others, shut
from secondread.service.retention import WAITING_STATES
from secondread.service.tables import ImageRow, ItemRow, ReadingRow, now
from secondread.service.trail import Actor, AuditTrail, record

_PREFIXES = [f"{number:02x}" for number in range(256)]
_YOUNG = 900.0  # seconds: a younger file may be of an upload that is under way
_LOOKED_AT = 8  # of the 256 folders, at a start
_MOST = 2_000  # files that a start looks at
_LOG = logging.getLogger("secondread.service")
_NEWEST = 50  # rows whose files a start looks for: those that a kill or a power cut would have struck


@dataclass(frozen=True)
class Finding:
    """One kind of fault."""

    what: str
    n: int
    mended: int = 0
    advice: str = ""  # what to do where nothing here can mend it

    @property
    def left(self) -> int:
        """How many are there still."""
        return self.n - self.mended


class Repair:
    """Compares the database with the data folder, a 256th at a time, so that memory does not grow with the archive."""

    def __init__(self, database: Database, images: ImageStore, trail: AuditTrail):
        self._database = database
        self._images = images
        self._audit_trail = trail

    def check(self, *, repair: bool = False, actor: Actor) -> list[Finding]:
        """Every kind of fault with how many there are, none among them. Safe beside a running server.

        repair: remove files that no row names (but for young ones), and close or correct rows that lead nowhere; noted
        in the trail. What only a backup can bring back is told. Raises Conflict while a backup or retention runs.
        """
        with maintenance(self._database, self._images.folder) if repair else nullcontext():
            return [
                *self._of_files(self._used(), repair, actor),
                self._aside(repair),
                self._restores(repair),
                self._open(repair),
                self._items(repair, actor),
                self._foreign_keys(),
                self._integrity(),
                self._trail(),
            ]

    def tidy(self, *, actor: Actor) -> int:
        """Remove files that no row names: retention goes by rows and would keep them for ever. How many went."""
        with maintenance(self._database, self._images.folder):
            found = [*self._of_files(self._used(), True, actor), self._aside(True), self._restores(True)]
        return sum(one.mended for one in found)

    def forget_pictures(self) -> int:
        """Remove pictures on this host of images that another has erased since; how many."""
        n = 0
        for prefix in _PREFIXES:
            paths = list(self._pictures(prefix))
            names = {path.name[:64] for path in paths}
            if not names:
                continue
            kept = select(ImageRow.sha256).where(ImageRow.sha256.in_(names), ImageRow.erased_at.is_(None))
            with self._database.reading() as session:
                here = set(session.scalars(kept))
            n += _unlinked(path for path in paths if path.name[:64] not in here)
        return n

    def warn(self) -> None:
        """Say in the log what `look` finds."""
        if found := self.look():
            told = ", ".join(f"{one.what}: {one.n}" for one in found)
            _LOG.warning("found at the start: %s; `secondread db check` looks at everything", told)

    def look(self) -> list[Finding]:
        """Some of it, within a moment however large the archive: for a start. Only what was found."""
        day = datetime.now(UTC).toordinal()
        start = day * _LOOKED_AT % len(_PREFIXES)  # others every day
        some: list[str] = []
        n_files = 0
        for prefix in (_PREFIXES + _PREFIXES)[start : start + _LOOKED_AT]:
            n_files += sum(1 for _ in self._images.storage.list(f"{IMAGES}/{prefix}/"))
            if n_files > _MOST and some:
                break
            some.append(prefix)
        found = [*self._of_files(some, False, None), self._newest(), self._aside(False), self._restores(False)]
        return [one for one in found if one.n]

    def _used(self) -> list[str]:
        """The beginnings of hashes of which there is a folder or a row: of few images most have neither."""
        begins = func.substr(ImageRow.sha256, 1, 2)
        with self._database.reading() as session:
            rows = set(session.scalars(select(begins).distinct()))
        stored = self._images.storage
        return [
            prefix
            for prefix in _PREFIXES
            if prefix in rows or any(self._folders(prefix)) or any(stored.list(f"{IMAGES}/{prefix}/"))
        ]

    def _of_files(self, prefixes: Iterable[str], repair: bool, actor: Actor | None) -> list[Finding]:
        orphans = lost = pictures = mapless = 0
        removed_images = removed_pictures = corrected = 0
        for prefix in prefixes:
            here = {one.key.rpartition("/")[2]: one for one in self._images.storage.list(f"{IMAGES}/{prefix}/")}
            with self._database.reading() as session:
                rows, without = _images_of(session, prefix), _without_map(session, prefix)
            unknown = [name for name, one in here.items() if name not in rows and _is_old(one.modified)]
            others = [path for path in self._pictures(prefix) if path.name[:64] not in rows and _old(path)]
            lost += sum(name not in here and not self._images.exists(name) for name in rows)
            orphans, pictures, mapless = orphans + len(unknown), pictures + len(others), mapless + len(without)
            if repair and actor is not None and (unknown or others):
                n_images, n_pictures = self._remove(prefix, unknown, others, actor)
                removed_images, removed_pictures = removed_images + n_images, removed_pictures + n_pictures
            if repair and actor is not None and without:
                corrected += self._correct(without, actor)
        return [
            Finding("image files that no row names", orphans, removed_images),
            Finding("images whose file is missing", lost, advice="bring them back from a backup, or send them again"),
            Finding("pictures of no reading", pictures, removed_pictures),
            Finding("readings whose heat map is missing", mapless, corrected),
        ]

    def _remove(self, prefix: str, images: list[str], pictures: list[Path], actor: Actor) -> tuple[int, int]:
        """Look once more where no upload can come in between, and remove what no row names."""
        with self._database.begin() as session:
            if not self._database.is_sqlite:  # SQLite has one writer at a time
                session.execute(text("LOCK TABLE images, readings IN SHARE ROW EXCLUSIVE MODE"))
            rows = _images_of(session, prefix)
            now_here = {one.key.rpartition("/")[2]: one for one in self._images.storage.list(f"{IMAGES}/{prefix}/")}
            left = [now_here[name] for name in images if name in now_here and name not in rows]
            images = [one.key.rpartition("/")[2] for one in left if _is_old(one.modified)]  # the same may be coming in
            pictures = [path for path in pictures if path.name[:64] not in rows]
            self._images.storage.delete(*(f"{IMAGES}/{prefix}/{name}" for name in images))
            for path in pictures:
                path.unlink(missing_ok=True)
            record(session, actor, "orphans.removed", f"folder:{prefix}", images=images, pictures=len(pictures))
        return len(images), len(pictures)

    def _correct(self, readings: list[int], actor: Actor) -> int:
        """Say no more of a map than is there: the reading is shown without it."""
        with self._database.begin() as session:
            session.execute(update(ReadingRow).where(ReadingRow.id.in_(readings)).values(heat_map=""))
            record(session, actor, "pictures.corrected", "readings", readings=sorted(readings))
        return len(readings)

    def _newest(self) -> Finding:
        newest = select(ImageRow.sha256).where(ImageRow.erased_at.is_(None)).order_by(ImageRow.received_at.desc())
        with self._database.reading() as session:
            hashes = session.scalars(newest.limit(_NEWEST)).all()
        lost = sum(not self._images.exists(sha256) for sha256 in hashes)
        return Finding(f"of the newest {_NEWEST} images those whose file is missing", lost)

    def _aside(self, repair: bool) -> Finding:
        """Files that were being written when their process was killed."""
        folders = [self._images.folder, *(folder for prefix in _PREFIXES for folder in self._folders(prefix))]
        names = (".*.new", ".key-*", ".ready-*")
        left = [path for folder in folders for name in names for path in folder.glob(name) if is_abandoned(path)]
        return Finding("files that were never finished", len(left), _unlinked(left) if repair else 0)

    def _restores(self, repair: bool) -> Finding:
        place = self._images.folder.absolute().parent
        left = [path for path in place.glob(f"{RESTORING}*") if is_abandoned(path)]
        gone = remove_abandoned(place, RESTORING) if repair else 0
        return Finding("folders of restores that were killed", len(left), gone)

    def _open(self, repair: bool) -> Finding:
        left = open_to_others(self._images.folder)
        return Finding("files and folders that others can reach", len(left), shut(left) if repair else 0)

    def _items(self, repair: bool, actor: Actor) -> Finding:
        waiting = and_(
            ItemRow.state.in_(WAITING_STATES),
            or_(
                ItemRow.image_sha256.is_(None),
                ItemRow.image_sha256.in_(select(ImageRow.sha256).where(ImageRow.erased_at.is_not(None))),
            ),
        )
        nowhere = or_(waiting, and_(ItemRow.state == "done", ItemRow.reading_id.is_(None)))
        with self._database.begin() if repair else self._database.reading() as session:
            ids = session.scalars(select(ItemRow.id).where(nowhere)).all()
            if repair and ids:
                closed = {"state": "failed", "code": "erased", "lease": "", "lease_until": None, "finished_at": now()}
                session.execute(update(ItemRow).where(ItemRow.id.in_(ids)).values(**closed))
                record(session, actor, "items.closed", "items", n=len(ids))
        return Finding("items of uploads that lead nowhere", len(ids), len(ids) if repair else 0)

    def _foreign_keys(self) -> Finding:
        ask = "PRAGMA foreign_key_check" if self._database.is_sqlite else (
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"
        )  # fmt: skip
        return Finding("rows that refer to none", len(self._asked(ask)), advice="restore a backup")

    def _integrity(self) -> Finding:
        """SQLite's own check; PostgreSQL's server checks its pages itself."""
        told = [row for row in self._asked("PRAGMA integrity_check") if row != "ok"] if self._database.is_sqlite else []
        return Finding("faults in the database's file", len(told), advice="stop the server and restore a backup")

    def _trail(self) -> Finding:
        try:
            self._audit_trail.verify()
        except TrailBroken as error:
            return Finding("faults in the audit trail", 1, advice=str(error))
        return Finding("faults in the audit trail", 0)

    def _asked(self, statement: str) -> list[str]:
        with self._database.reading() as session:
            return [str(row[0]) for row in session.execute(text(statement))]

    def _folders(self, prefix: str) -> Iterator[Path]:
        kinds = (IMAGES, *OF_BEFORE, PICTURES)
        return (folder for kind in kinds if (folder := self._images.folder / kind / prefix).is_dir())

    def _pictures(self, prefix: str) -> Iterator[Path]:
        """Drawn ones, and those that earlier versions kept: the name of each begins with its image's hash."""
        for folder in self._folders(prefix):
            if folder.parent.name != IMAGES:
                yield from (path for path in folder.iterdir() if not path.name.startswith("."))


def _images_of(session: Session, prefix: str) -> set[str]:
    """Hashes that begin so, of images that are kept."""
    rows = select(ImageRow.sha256).where(_begins(ImageRow.sha256, prefix), ImageRow.erased_at.is_(None))
    return set(session.scalars(rows))


def _without_map(session: Session, prefix: str) -> list[int]:
    """Readings of images whose hash begins so, that speak of a map which is not there."""
    rows = select(ReadingRow.id).where(
        _begins(ReadingRow.image_sha256, prefix), ReadingRow.heat_map == CELLS, ReadingRow.map_cells.is_(None)
    )
    return list(session.scalars(rows))


def _begins(column: InstrumentedAttribute[str], prefix: str) -> ColumnElement[bool]:
    """As a range, which an index answers; 'g' comes after every digit of a hash."""
    return and_(column >= prefix, column < f"{prefix}g")


def _is_old(modified: float) -> bool:
    return time.time() - modified > _YOUNG


def _old(path: Path) -> bool:
    try:
        return _is_old(path.stat().st_mtime)
    except FileNotFoundError:
        return False


def _unlinked(paths: Iterable[Path]) -> int:
    n = 0
    for path in paths:
        path.unlink(missing_ok=True)
        n += 1
    return n
