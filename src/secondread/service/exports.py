"""Reviewed images as files for other commands: a manifest for `train`, a table of scores for `recalibrate`."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select

from secondread.data import Manifest, Row, safe, write_manifest
from secondread.errors import CannotOpen, DataInvalid
from secondread.evidence.localisation import BOXES
from secondread.files import write_json
from secondread.service.boxes import Drawing, last_drawn
from secondread.service.database import Database
from secondread.service.erasure import note_exported
from secondread.service.filters import Filter, conditions_of
from secondread.service.image_store import ImageStore
from secondread.service.outcomes import WHOLE
from secondread.service.tables import ImageRow
from secondread.service.trail import Actor, record
from secondread.tasks import task_named

_SUFFIXES = {"DICOM": ".dcm", "PNG": ".png", "JPEG": ".jpg", "TIFF": ".tiff", "WebP": ".webp", "BMP": ".bmp"}
_CHUNK = 1 << 15  # characters
_SCORE_COLUMNS = ("path", "probability", "outcome", "patient", "bundle")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, end: str = "\r\n") -> Iterator[str]:
    """A table as CSV, some thousand characters at a time; lists and dictionaries are JSON in their cell.

    Text that a spreadsheet would take for a formula begins with an apostrophe (see `data.cells`).
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        if text.tell() > _CHUNK:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    return safe(value)  # None is an empty cell


@dataclass(frozen=True)
class _Reviewed:
    image: str
    suffix: str
    patient: str
    source: str
    task: str
    bundle: str
    probability: float | None
    finding: int
    drawn: Drawing | None = None  # the boxes that a person saved last


class ReviewedExport:
    """Images on whose finding reviewers agreed or which were settled; the finding is the label."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def manifest(self, folder: Path, *, task: str, only: Filter | None = None, split: str = "", actor: Actor) -> int:
        """Write `manifest.csv` and the images into a folder, and `boxes.json` where people drew boxes; gives the number
        of images.

        patient: the pseudonym of a DICOM file's patient, so that one person's images stay in one split. split: empty
        lets `secondread data split` divide them. An image read by several bundles counts once; one on which its
        readings were reviewed to different findings is left out, as no label is known. So is a file of several frames:
        its finding is of all of them, its score the highest, and training takes one picture of a file. Boxes are those
        that were saved last, of images with disease; of one whose boxes nobody saved it is not known where they lie.
        Raises DataInvalid, CannotOpen.
        """
        found: dict[str, _Reviewed] = {}
        contradicted = set()
        for row in self._reviewed(replace(only or Filter(), task=task)):
            before = found.get(row.image)
            if before is not None and before.finding != row.finding:
                contradicted.add(row.image)
            drawn = [one.drawn for one in (row, before) if one is not None and one.drawn is not None]
            found[row.image] = replace(row, drawn=max(drawn, key=lambda one: one.id, default=None))
        kept = [row for image, row in sorted(found.items()) if image not in contradicted]
        if not kept:
            raise DataInvalid(f"no image of task '{task}' has been reviewed; review some first, or widen the filter")
        self._note(actor, "reviews.exported", [row.image for row in kept])
        try:
            (folder / "images").mkdir(parents=True, exist_ok=True)
            for row in kept:
                (folder / "images" / f"{row.image}{row.suffix}").write_bytes(self._images.image(row.image))
        except OSError as error:
            raise CannotOpen(f"cannot write to '{folder}': {error.strerror}") from error
        rows = tuple(_manifest_row(row, folder.absolute(), split) for row in kept)
        write_manifest(Manifest(rows, folder.absolute()), folder / "manifest.csv")
        category = task_named(task).positive_class
        if boxes := {_name(row): _bboxes(row.drawn, category) for row in kept if row.finding == 1 and row.drawn}:
            write_json(folder / BOXES, boxes)
        return len(rows)

    def scores(self, *, bundle: str, only: Filter | None = None, actor: Actor) -> str:
        """The CSV table that `secondread recalibrate --scores` takes, for one bundle (task/name@hash).

        Raises DataInvalid where nothing was reviewed.
        """
        seen: dict[str, _Reviewed] = {}
        for row in self._reviewed(replace(only or Filter(), bundle=bundle)):
            if row.probability is not None:
                seen[row.image] = row
        if not seen:
            raise DataInvalid(f"no image read by {bundle} has been reviewed; review some first, or widen the filter")
        self._note(actor, "scores.exported", list(seen))
        rows = ((row.image, f"{row.probability:.6f}", row.finding, row.patient, row.bundle) for row in seen.values())
        return "".join(csv_text(_SCORE_COLUMNS, rows, end="\n"))

    def _note(self, actor: Actor, action: str, images: Sequence[str]) -> None:
        with self._database.begin() as session:
            note_exported(session, images, action, actor)
            record(session, actor, action, "reviews", n=len(images))

    def _reviewed(self, only: Filter) -> Iterator[_Reviewed]:
        readings = conditions_of(only).subquery()
        statement = (
            select(readings, ImageRow.format, ImageRow.patient)
            .join(ImageRow, ImageRow.sha256 == readings.c.image_sha256)
            .where(
                readings.c.finding.is_not(None),
                ImageRow.erased_at.is_(None),
                readings.c.frame == 0,
                readings.c.point_key.not_like(f"{WHOLE}%"),
            )
            .order_by(readings.c.id)
        )
        with self._database.reading() as session:
            drawn = last_drawn(session, select(readings.c.id))
            for row in session.execute(statement).mappings():
                yield _Reviewed(
                    row["image_sha256"], _SUFFIXES.get(row["format"], ""), row["patient"], row["source"],
                    row["task"], row["bundle"], row["probability"], row["finding"], drawn.get(row["id"]),
                )  # fmt: skip


def _name(row: _Reviewed) -> str:
    return f"images/{row.image}{row.suffix}"


def _bboxes(drawn: Drawing, category: str) -> list[dict[str, Any]]:
    """As `evidence.localisation.load_lesions` reads them."""
    return [{"category": category, "bbox": list(one.box)} for one in drawn.boxes]


def _manifest_row(row: _Reviewed, folder: Path, split: str) -> Row:
    name = _name(row)
    return Row(
        path=folder / name,
        name=name,
        label=row.finding,
        source=row.source or "site",
        patient=row.patient,
        split=split,
        note=f"read by {row.bundle}" if row.bundle else "",
    )
