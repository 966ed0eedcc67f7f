"""Reviewed images as files for other commands: a manifest for `train`, a table of scores for `recalibrate`."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select

from secondread.data import Manifest, Row, write_manifest
from secondread.errors import CannotOpen, DataInvalid
from secondread.files import write_text
from secondread.service.chain import Actor, record
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.tables import ImageRow
from secondread.service.worklist import Filter, conditions_of

_SUFFIXES = {"DICOM": ".dcm", "PNG": ".png", "JPEG": ".jpg", "TIFF": ".tiff", "WebP": ".webp", "BMP": ".bmp"}
_SCORE_COLUMNS = ("path", "probability", "outcome", "patient", "bundle")


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


class ReviewedExport:
    """Images on whose finding reviewers agreed or which were settled; the finding is the label."""

    def __init__(self, database: Database, images: ImageStore):
        self._database = database
        self._images = images

    def manifest(self, folder: Path, *, task: str, only: Filter | None = None, split: str = "", actor: Actor) -> int:
        """Write `manifest.csv` and the images into a folder; gives the number of images.

        patient: the pseudonym of a DICOM file's patient, so that one person's images stay in one split. split: empty
        lets `secondread data split` divide them. An image read by several bundles counts once; one on which its
        readings were reviewed to different findings is left out, as no label is known. Raises DataInvalid, CannotOpen.
        """
        found: dict[str, _Reviewed] = {}
        contradicted = set()
        for row in self._reviewed(replace(only or Filter(), task=task)):
            if row.image in found and found[row.image].finding != row.finding:
                contradicted.add(row.image)
            found[row.image] = row
        kept = [row for image, row in sorted(found.items()) if image not in contradicted]
        if not kept:
            raise DataInvalid(f"no image of task '{task}' has been reviewed; review some first, or widen the filter")
        self._note(actor, "reviews.exported", len(kept))
        try:
            (folder / "images").mkdir(parents=True, exist_ok=True)
            for row in kept:
                (folder / "images" / f"{row.image}{row.suffix}").write_bytes(self._images.image(row.image))
        except OSError as error:
            raise CannotOpen(f"cannot write to '{folder}': {error.strerror}") from error
        rows = tuple(_manifest_row(row, folder.absolute(), split) for row in kept)
        write_manifest(Manifest(rows, folder.absolute()), folder / "manifest.csv")
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
        self._note(actor, "scores.exported", len(seen))
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_SCORE_COLUMNS)
        for row in seen.values():
            writer.writerow([row.image, f"{row.probability:.6f}", row.finding, row.patient, row.bundle])
        return text.getvalue()

    def write_scores(self, path: Path, *, bundle: str, only: Filter | None = None, actor: Actor) -> None:
        """As `scores`, into a file, aside and then renamed. Raises DataInvalid, CannotOpen."""
        text = self.scores(bundle=bundle, only=only, actor=actor)
        try:
            write_text(path, text)
        except OSError as error:
            raise CannotOpen(f"cannot write '{path}': {error.strerror}") from error

    def _note(self, actor: Actor, action: str, n: int) -> None:
        with self._database.begin() as session:
            record(session, actor, action, "reviews", n=n)

    def _reviewed(self, only: Filter) -> Iterator[_Reviewed]:
        readings = conditions_of(only).subquery()
        statement = (
            select(readings, ImageRow.format, ImageRow.patient)
            .join(ImageRow, ImageRow.sha256 == readings.c.image_sha256)
            .where(readings.c.finding.is_not(None), ImageRow.erased_at.is_(None), readings.c.frame == 0)
            .order_by(readings.c.id)
        )
        with self._database.reading() as session:
            for row in session.execute(statement).mappings():
                yield _Reviewed(
                    row["image_sha256"], _SUFFIXES.get(row["format"], ""), row["patient"], row["source"],
                    row["task"], row["bundle"], row["probability"], row["finding"],
                )  # fmt: skip


def _manifest_row(row: _Reviewed, folder: Path, split: str) -> Row:
    name = f"images/{row.image}{row.suffix}"
    return Row(
        path=folder / name,
        name=name,
        label=row.finding,
        source=row.source or "site",
        patient=row.patient,
        split=split,
        note=f"read by {row.bundle}" if row.bundle else "",
    )
