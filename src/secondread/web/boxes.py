"""The boxes of a reading: how those that the network found are drawn, and those that people save."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Float, Integer, List, Nested
from apiflask.validators import Length, Range

from secondread.service import Drawing, DrawnBox, Mark, bundle_of, check_shown, marks_of
from secondread.service.boxes import MOST_BOXES
from secondread.web.auth import current_actor, current_role, require
from secondread.web.context import service
from secondread.web.idempotency import once
from secondread.web.pictures import FrameQuery, index_of
from secondread.web.shapes import LARGEST_ID, one_of, said, shape_of

boxes = APIBlueprint("boxes", __name__, url_prefix="/api/v1", tag="reviews")
_FOUR = "x, y, width, height in pixels of the image as decoded"


@shape_of(Mark, "number box probability score label line")
class MarkRow(Schema):
    """A box that the network found."""

    number = said("from 1, the surest first")
    box = said(_FOUR)
    probability = said("calibrated, on the scale of the reading's")
    score = said("0 to 100, as the reading's")
    line = one_of(["solid", "dotted"]) | said("solid: above `confirm`, sure; dotted: above `screening`, in doubt")


@shape_of(DrawnBox, "box of")
class DrawnBoxRow(Schema):
    """A box of a person."""

    box = said(_FOUR)
    of = said("number of the network's box that it was; null: the person's own")


@shape_of(Drawing, "id reading_id person made_at boxes kept moved deleted added current")
class DrawingRow(Schema):
    """All boxes of an image as one person left them."""

    boxes = List(Nested(DrawnBoxRow), required=True)
    kept = said("of the network's boxes left as they are")
    moved = said("of the network's boxes moved or resized")
    deleted = said("of the network's boxes deleted")
    added = said("boxes of the person's own")
    current = said("false where the same person saved others later")


class DrawingOut(DrawingRow):
    """All boxes of an image as one person left them."""


class BoxesOut(Schema):
    """Found and drawn."""

    given = Boolean(required=True, metadata=said("false: this bundle finds no boxes"))
    found = List(Nested(MarkRow), required=True)
    drawn = List(Nested(DrawingRow), required=True, metadata=said("of the frame that answered, the oldest first"))


class BoxIn(Schema):
    """One box."""

    box = List(Float(), required=True, validate=Length(equal=4), metadata=said(_FOUR))
    of = Integer(
        load_default=None, allow_none=True, strict=True, validate=Range(1, LARGEST_ID),
        metadata=said("number of the network's box that it is or was"),
    )  # fmt: skip


class BoxesIn(Schema):
    """All boxes as a person sees them; none: nothing looks diseased to them, or no place can be named."""

    boxes = List(Nested(BoxIn), required=True, validate=Length(max=MOST_BOXES))


@boxes.get("/readings/<int:reading_id>/boxes")
@require("read")
@boxes.input(FrameQuery, location="query")
@boxes.output(BoxesOut)
@boxes.doc(operation_id="getBoxes", summary="List the boxes of a reading")
def get_boxes(reading_id: int, query_data: dict[str, Any]) -> Any:
    """Answer with the boxes that are drawn, of any frame that was read, and with what people made of them."""
    reading = service().readings.get(reading_id, actor=current_actor(), stepping=True)
    check_shown(reading)
    index = index_of(reading, query_data)
    found = marks_of(reading, bundle_of(reading), frame=index)
    drawn = service().boxes.of(reading_id) if index == reading.frame else []
    return {"given": found is not None, "found": found or (), "drawn": drawn}


@boxes.post("/readings/<int:reading_id>/boxes")
@require("review")
@boxes.input(BoxesIn)
@boxes.doc(operation_id="drawBoxes", summary="Save the boxes of an image as a person sees them")
@once(boxes)
@boxes.output(DrawingOut, status_code=201)
def draw_boxes(reading_id: int, json_data: dict[str, Any]) -> Any:
    """Keep all boxes of the frame that answered: also those left as they are. Nothing of before is changed.

    A box of the network that no `of` names counts as deleted.
    """
    reading = service().readings.get(reading_id, actor=current_actor())
    made = service().boxes.add(
        reading_id, json_data["boxes"], bundle=bundle_of(reading), actor=current_actor(), role=current_role()
    )
    return made, 201, {"Location": f"/api/v1/readings/{reading_id}/boxes"}
