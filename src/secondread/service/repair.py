"""Whether database and folder say the same: what kills and full disks left, found, told, and on request mended.

Files are written before the row that speaks of them, so a kill between the two leaves a file that no row names: no
reading is lost by it, but retention and erasure, which go by rows, would never reach it.
"""

import logging
import os
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
from secondread.service.image_store import (
    HEAT_MAPS,
    IMAGES,
    KINDS,
    PICTURES,
    THUMBNAILS,
    ImageStore,
    maintenance,
    thumbnail_name,
)
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
        with maintenance(self._images.folder) if repair else nullcontext():
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
        with maintenance(self._images.folder):
            found = [*self._of_files(self._used(), True, actor), self._aside(True), self._restores(True)]
        return sum(one.mended for one in found)

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
            n_files += sum(sum(1 for _ in os.scandir(folder)) for folder in self._folders(prefix))
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
        return [prefix for prefix in _PREFIXES if prefix in rows or any(self._folders(prefix))]

    def _of_files(self, prefixes: Iterable[str], repair: bool, actor: Actor | None) -> list[Finding]:
        orphans = lost = pictures = missing = 0
        removed_images = removed_pictures = corrected = 0
        for prefix in prefixes:
            here = {kind: dict(self._files(kind, prefix)) for kind in KINDS}
            with self._database.reading() as session:
                rows, wanted = _images_of(session, prefix), _pictures_of(session, prefix)
            unknown = [path for name, path in here[IMAGES].items() if name not in rows and _old(path)]
            others = [
                path
                for kind in (THUMBNAILS, HEAT_MAPS)
                for name, path in here[kind].items()
                if name not in wanted[kind] and _old(path)
            ]
            others += [path for name, path in self._files(PICTURES, prefix) if name[:64] not in rows and _old(path)]
            lost += sum(name not in here[IMAGES] and not self._images.exists(IMAGES, name) for name in rows)
            gone = {
                reading
                for kind in (THUMBNAILS, HEAT_MAPS)
                for name, readings in wanted[kind].items()
                if name not in here[kind] and not self._images.exists(kind, name)
                for reading in readings
            }
            orphans, pictures, missing = orphans + len(unknown), pictures + len(others), missing + len(gone)
            if repair and actor is not None and (unknown or others):
                n_images, n_pictures = self._remove(prefix, unknown, others, actor)
                removed_images, removed_pictures = removed_images + n_images, removed_pictures + n_pictures
            if repair and actor is not None and gone:
                corrected += self._correct(gone, actor)
        return [
            Finding("image files that no row names", orphans, removed_images),
            Finding("images whose file is missing", lost, advice="bring them back from a backup, or send them again"),
            Finding("pictures of no reading", pictures, removed_pictures),
            Finding("readings whose thumbnail or heat map is missing", missing, corrected),
        ]

    def _remove(self, prefix: str, images: list[Path], pictures: list[Path], actor: Actor) -> tuple[int, int]:
        """Look once more where no upload can come in between, and remove what no row names."""
        with self._database.begin() as session:
            if not self._database.is_sqlite:  # SQLite has one writer at a time
                session.execute(text("LOCK TABLE images, readings IN SHARE ROW EXCLUSIVE MODE"))
            rows, wanted = _images_of(session, prefix), _pictures_of(session, prefix)
            images = [path for path in images if path.name not in rows]
            kinds = {**wanted, PICTURES: {}}
            pictures = [path for path in pictures if path.stem not in kinds[path.parent.parent.name]]
            for path in (*images, *pictures):
                path.unlink(missing_ok=True)
            hashes = [path.name for path in images]
            record(session, actor, "orphans.removed", f"folder:{prefix}", images=hashes, pictures=len(pictures))
        return len(images), len(pictures)

    def _correct(self, readings: set[int], actor: Actor) -> int:
        """Say no more of a picture than is there: a list of readings is not shown without it else."""
        with self._database.begin() as session:
            rows = session.scalars(select(ReadingRow).where(ReadingRow.id.in_(readings)).with_for_update()).all()
            for row in rows:
                has = self._images.exists(THUMBNAILS, thumbnail_name(row.image_sha256, row.frame))
                row.has_thumbnail = row.has_thumbnail and has
                row.heat_map = row.heat_map if row.heat_map and self._images.exists(HEAT_MAPS, row.heat_map) else ""
            record(session, actor, "pictures.corrected", "readings", readings=sorted(readings))
            return len(rows)

    def _newest(self) -> Finding:
        newest = select(ImageRow.sha256).where(ImageRow.erased_at.is_(None)).order_by(ImageRow.received_at.desc())
        with self._database.reading() as session:
            hashes = session.scalars(newest.limit(_NEWEST)).all()
        lost = sum(not self._images.exists(IMAGES, sha256) for sha256 in hashes)
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
        return (folder for kind in (*KINDS, PICTURES) if (folder := self._images.folder / kind / prefix).is_dir())

    def _files(self, kind: str, prefix: str) -> Iterator[tuple[str, Path]]:
        """(the store's name of it, where it is)."""
        folder = self._images.folder / kind / prefix
        for path in folder.iterdir() if folder.is_dir() else ():
            if not path.name.startswith("."):
                yield (path.name if kind in (IMAGES, PICTURES) else path.stem), path


def _images_of(session: Session, prefix: str) -> set[str]:
    """Hashes that begin so, of images that are kept."""
    rows = select(ImageRow.sha256).where(_begins(ImageRow.sha256, prefix), ImageRow.erased_at.is_(None))
    return set(session.scalars(rows))


def _pictures_of(session: Session, prefix: str) -> dict[str, dict[str, list[int]]]:
    """Kind → name → readings that show it, of images whose hash begins so."""
    found: dict[str, dict[str, list[int]]] = {THUMBNAILS: {}, HEAT_MAPS: {}}
    rows = select(
        ReadingRow.id, ReadingRow.image_sha256, ReadingRow.frame, ReadingRow.has_thumbnail, ReadingRow.heat_map
    ).where(_begins(ReadingRow.image_sha256, prefix), ReadingRow.erased_at.is_(None))
    for row in session.execute(rows):
        if row.has_thumbnail:
            found[THUMBNAILS].setdefault(thumbnail_name(row.image_sha256, row.frame), []).append(row.id)
        if row.heat_map:
            found[HEAT_MAPS].setdefault(row.heat_map, []).append(row.id)
    return found


def _begins(column: InstrumentedAttribute[str], prefix: str) -> ColumnElement[bool]:
    """As a range, which an index answers; 'g' comes after every digit of a hash."""
    return and_(column >= prefix, column < f"{prefix}g")


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _YOUNG
    except FileNotFoundError:
        return False


def _unlinked(paths: Iterable[Path]) -> int:
    n = 0
    for path in paths:
        path.unlink(missing_ok=True)
        n += 1
    return n
