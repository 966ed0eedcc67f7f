"""The boxes of a reading: how those that the network found are drawn, and what people made of them.

Nobody's boxes are ever changed: a person's are kept as a whole each time they save them, beside the network's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from secondread.errors import NotAllowed, UsageError
from secondread.reading import Bundle, drawn_from
from secondread.service.database import Database
from secondread.service.outcomes import Outcome, StoredReading
from secondread.service.readings import check_shown, live_reading
from secondread.service.tables import DrawnBoxesRow
from secondread.service.trail import Actor, may_review, record
from secondread.stats.scale import score_of

SOLID, DOTTED = "solid", "dotted"
MOST_BOXES = 50  # that one person draws on one image
_LEAST_SIDE = 1.0  # pixel
_SAME = 0.5  # pixels: a box whose sides moved by less was left as it is


@dataclass(frozen=True)
class Mark:
    """A box that the network found, as it is drawn."""

    number: int  # from 1, the surest first
    box: tuple[float, float, float, float]  # x, y, width, height in pixels of the image as decoded
    probability: float
    score: int  # 0 to 100, as the reading's
    label: str
    line: str  # 'solid': sure; 'dotted': in doubt

    @property
    def plain(self) -> dict[str, Any]:
        """What a page draws it of."""
        return {"number": self.number, "box": list(self.box), "score": self.score, "line": self.line}


def marks_of(reading: Outcome, bundle: Bundle | None, *, frame: int | None = None) -> tuple[Mark, ...] | None:
    """The boxes that are drawn, as `drawn_from` says. None where the bundle has none.

    bundle: the one that read it; None where it is not here any more: then the point that decided draws both lines.
    frame: from 0, of several that were read; None: the one that answered.
    """
    found = _found(reading, frame)
    if found is None:
        return None
    threshold, low = reading.facts.get("frame_point") or (reading.threshold, reading.low)
    points = {} if bundle is None else bundle.operating_points
    thresholds = {name: point.threshold for name, point in points.items()}
    dotted_from, solid_from = drawn_from(thresholds, threshold, low)
    return tuple(
        Mark(
            number=number,
            box=tuple(one["box"]),
            probability=one["score"],
            score=score_of(one["score"], threshold, low),
            label=one["label"],
            line=SOLID if one["score"] > solid_from else DOTTED,
        )
        for number, one in enumerate((one for one in found if one["score"] > dotted_from), start=1)
    )


def _found(reading: Outcome, frame: int | None) -> Sequence[Mapping[str, Any]] | None:
    if frame is None or not reading.frames or frame == reading.frame:
        return reading.findings
    return next((one.get("findings") for one in reading.frames if one["frame"] == frame + 1), None)


@dataclass(frozen=True)
class DrawnBox:
    """A box of a person.

    box: as of Mark; of: the number of the network's box that it was, from 1; None: the person's own.
    """

    box: tuple[float, float, float, float]
    of: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it is kept."""
        return {"box": list(self.box), "of": self.of}


@dataclass(frozen=True)
class Drawing:
    """All boxes of an image as one person left them, and what they did to the network's."""

    id: int
    reading_id: int
    person: str
    made_at: datetime
    boxes: tuple[DrawnBox, ...]
    found: tuple[tuple[float, ...], ...]  # the network's boxes at that time, by number
    current: bool = True  # False where the same person saved others later

    @property
    def kept(self) -> int:
        """How many of the network's were left as they are."""
        return sum(one.of is not None and not self._moved(one) for one in self.boxes)

    @property
    def moved(self) -> int:
        """How many were moved or resized."""
        return sum(self._moved(one) for one in self.boxes)

    @property
    def added(self) -> int:
        """How many are the person's own."""
        return sum(one.of is None for one in self.boxes)

    @property
    def deleted(self) -> int:
        """How many of the network's are not there any more."""
        return len(self.found) - len({one.of for one in self.boxes if one.of is not None})

    def _moved(self, one: DrawnBox) -> bool:
        if one.of is None:
            return False
        return any(abs(own - was) > _SAME for own, was in zip(one.box, self.found[one.of - 1], strict=True))


class DrawnBoxes:
    """What people drew. Rows are only ever added."""

    def __init__(self, database: Database):
        self._database = database

    def add(
        self, reading_id: int, boxes: Sequence[Mapping[str, Any]], *, bundle: Bundle | None, actor: Actor, role: str
    ) -> Drawing:
        """Keep a person's boxes of the frame that answered: all of them, also those that they left as they are.

        boxes: {box: x, y, width, height; of: number of the network's box, or None}. What lies beyond the image is cut
        off. bundle: the one that read it, see `marks_of`.
        Raises NotThere, NotAllowed (also where the answer is withheld until they give an opinion) or UsageError.
        """
        if not may_review(role):
            raise NotAllowed("only a reviewer or an administrator draws boxes; ask for the role")
        with self._database.begin() as session:
            reading = live_reading(session, reading_id, actor=actor)
            check_shown(reading)
            found = tuple(one.box for one in marks_of(reading, bundle) or ())
            kept = _checked(boxes, reading, n_found=len(found))
            row = DrawnBoxesRow(
                reading_id=reading.id,
                person=actor.name,
                boxes=[one.to_dict() for one in kept],
                found=[list(box) for box in found],
            )
            session.add(row)
            session.flush()
            made = _drawing(row)
            counts = {name: getattr(made, name) for name in ("kept", "moved", "deleted", "added")}
            record(session, actor, "boxes.drawn", f"reading:{reading.id}", drawing=row.id, **counts)
            return made

    def of(self, reading_id: int) -> list[Drawing]:
        """Everything that was drawn on a reading, the oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(
                select(DrawnBoxesRow).where(DrawnBoxesRow.reading_id == reading_id).order_by(DrawnBoxesRow.id)
            ).all()
            last = {row.person: row.id for row in rows}
            return [_drawing(row, current=row.id == last[row.person]) for row in rows]


def last_drawn(session: Session, among: Select[tuple[int]]) -> dict[int, Drawing]:
    """Reading → the boxes that were saved last, whoever did: what counts in an export. among: numbers of readings."""
    rows = session.scalars(select(DrawnBoxesRow).where(DrawnBoxesRow.reading_id.in_(among)).order_by(DrawnBoxesRow.id))
    return {row.reading_id: _drawing(row) for row in rows}


def _drawing(row: DrawnBoxesRow, *, current: bool = True) -> Drawing:
    return Drawing(
        id=row.id,
        reading_id=row.reading_id,
        person=row.person,
        made_at=row.made_at,
        boxes=tuple(DrawnBox(tuple(one["box"]), one["of"]) for one in row.boxes),
        found=tuple(tuple(box) for box in row.found),
        current=current,
    )


def _checked(boxes: Sequence[Mapping[str, Any]], reading: StoredReading, *, n_found: int) -> list[DrawnBox]:
    """Cut off at the image's border. Raises UsageError."""
    width, height = (float(reading.facts.get(side) or 0) for side in ("width", "height"))
    if not width or reading.erased_at is not None:
        raise UsageError("there is no image to draw boxes on")
    if len(boxes) > MOST_BOXES:
        raise UsageError(f"at most {MOST_BOXES} boxes can be drawn on an image; these are {len(boxes)}")
    named = [int(one["of"]) for one in boxes if one.get("of") is not None]
    if len(set(named)) < len(named) or not all(1 <= number <= n_found for number in named):
        raise UsageError(f"`of` names one of the {n_found} boxes that were found, each at most once")
    return [DrawnBox(_inside(one["box"], width, height), one.get("of")) for one in boxes]


def _inside(box: Sequence[float], width: float, height: float) -> tuple[float, float, float, float]:
    if len(box) != 4 or not all(math.isfinite(side) for side in box):
        raise UsageError("a box is four numbers: x, y, width, height in pixels of the image")
    left, top = max(0.0, box[0]), max(0.0, box[1])
    wide, high = min(width, box[0] + box[2]) - left, min(height, box[1] + box[3]) - top
    if wide < _LEAST_SIDE or high < _LEAST_SIDE:
        raise UsageError(f"a box has to cover a pixel of the image ({width:g} × {height:g}) at least")
    return round(left, 1), round(top, 1), round(wide, 1), round(high, 1)
