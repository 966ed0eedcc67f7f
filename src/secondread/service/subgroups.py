"""How a bundle does here by sex, band of age and device, as far as DICOM headers say them: on what was reviewed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from secondread.evidence.evidence import FEW
from secondread.evidence.whom import header_facts
from secondread.reading import Bundle
from secondread.service.database import Database
from secondread.service.tables import ImageRow, ReadingRow
from secondread.stats.interval import NOTHING, Interval
from secondread.stats.rates import rates_at

_MOST = 50_000  # readings, the newest


@dataclass(frozen=True)
class Part:
    """Images of one kind. Rates are of nothing where a class has fewer than 20 reviewed images."""

    by: str  # 'sex', 'age' or 'device'
    value: str
    n: int
    n_patients: int
    n_refused: int
    n_reviewed: int  # and read
    n_positive: int  # diseased among these
    sensitivity: Interval
    specificity: Interval
    few: bool


class Subgroups:
    """Measured on what the store holds."""

    def __init__(self, database: Database):
        self._database = database

    def table(self, bundle: Bundle) -> list[Part]:
        """Every part of the newest 50,000 images that this bundle was asked, those of a kind together.

        Empty where headers say nothing, or the same of all. An image counts once; 'uncertain' counts as not positive.
        """
        statement = (
            select(
                ReadingRow.image_sha256,
                ReadingRow.decision,
                ReadingRow.refusal_code,
                ReadingRow.finding,
                ImageRow.patient,
                ImageRow.header,
            )
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(ReadingRow.bundle_sha256 == bundle.sha256, ReadingRow.deleted_at.is_(None))
            .order_by(ReadingRow.id.desc())
            .limit(_MOST)
        )
        with self._database.reading() as session:
            newest: dict[str, Any] = {}
            for row in session.execute(statement):
                newest.setdefault(row.image_sha256, row)
        rows = list(newest.values())
        return [
            _part(by, value, [row for row, own in zip(rows, values, strict=True) if own == value])
            for by, values in header_facts([row.header for row in rows]).items()
            for value in sorted(set(values) - {""})
        ]


def _part(by: str, value: str, rows: Sequence[Any]) -> Part:
    judged = [row for row in rows if row.finding is not None and row.decision]
    y_true = np.array([row.finding == 1 for row in judged], dtype=bool)
    few = min(int(y_true.sum()), int((~y_true).sum())) < FEW
    sensitivity = specificity = NOTHING
    if not few:
        positive = np.array([row.decision == "positive" for row in judged], dtype=bool)
        rates = rates_at(y_true, positive, [row.patient or row.image_sha256 for row in judged])
        sensitivity, specificity = rates.sensitivity, rates.specificity
    return Part(
        by=by,
        value=value,
        n=len(rows),
        n_patients=len({row.patient or row.image_sha256 for row in rows}),
        n_refused=sum(bool(row.refusal_code) for row in rows),
        n_reviewed=len(judged),
        n_positive=int(y_true.sum()),
        sensitivity=sensitivity,
        specificity=specificity,
        few=few,
    )
