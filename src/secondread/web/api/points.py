"""Thresholds: what each would cost here, and the one that a site chooses for itself."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Dict, Float, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask import Response, jsonify

from secondread.service import SitePoint
from secondread.web.auth import current_actor, require
from secondread.web.context import bundle_named, service
from secondread.web.costs import costs
from secondread.web.document import created
from secondread.web.idempotency import KeyHeader, once
from secondread.web.schemas import Text, said

points = APIBlueprint("points", __name__, url_prefix="/api/v1", tag="thresholds")
_SHARE = Range(0, 1, min_inclusive=False, max_inclusive=False)


class BundleQuery(Schema):
    """Which bundle."""

    bundle = Text(required=True, metadata=said("task/name, or a task for its own choice"))


class ThresholdsQuery(BundleQuery):
    """Which bundle, used where."""

    prevalence = Float(load_default=None, validate=_SHARE, metadata=said("share of the diseased, as 0.02 for 2 %"))
    split = Text(load_default="test", metadata=said("of the bundle's evidence"))


class IntervalRow(Schema):
    """A value and its 95 % interval."""

    value = Float(required=True, allow_none=True)
    low = Float(required=True, allow_none=True)
    high = Float(required=True, allow_none=True)


class ThresholdRow(Schema):
    """What a threshold finds and costs."""

    threshold = Float(required=True)
    name = String(required=True, metadata=said("of the operating point that has it"))
    sensitivity = Nested(IntervalRow, required=True)
    specificity = Nested(IntervalRow, required=True)
    ppv = Nested(IntervalRow, required=True)
    npv = Nested(IntervalRow, required=True)
    referrals_per_1000 = Nested(IntervalRow, required=True)
    missed_per_1000 = Nested(IntervalRow, required=True)


class ThresholdsOut(Schema):
    """Every threshold, from the lowest."""

    bundle = String(required=True)
    split = String(required=True)
    n = Integer(required=True)
    n_positive = Integer(required=True)
    prevalence = Float(required=True)
    rows = List(Nested(ThresholdRow), required=True)


class PointIn(BundleQuery):
    """A threshold that is to decide from now on."""

    threshold = Float(required=True, validate=Range(0, 1, max_inclusive=False))
    low = Float(load_default=None, allow_none=True, metadata=said("below the threshold and above this is uncertain"))
    prevalence = Float(load_default=None, allow_none=True, validate=_SHARE)
    note = Text(load_default="", validate=Length(max=2000))
    split = Text(load_default="test", metadata=said("of the evidence, on which it is measured"))


class PointRow(Schema):
    """A choice that was made."""

    id = Integer(required=True)
    name = String(required=True, metadata=said("as readings name it"))
    task = String(required=True)
    bundle = String(required=True)
    threshold = Float(required=True)
    low = Float(required=True, allow_none=True)
    high = Float(required=True, allow_none=True)
    prevalence = Float(required=True, allow_none=True)
    measured = Dict(required=True)
    note = String(required=True)
    chosen_by = String(required=True)
    chosen_at = String(required=True, metadata={"format": "date-time"})
    ended_at = String(required=True, allow_none=True, metadata={"format": "date-time"})
    ended_by = String(required=True)


class PointsOut(Schema):
    """The site's choices for a bundle."""

    bundle = String(required=True)
    active = Nested(PointRow, required=True, allow_none=True, metadata=said("null: the bundle's own point decides"))
    history = List(Nested(PointRow), required=True, metadata=said("the newest first, earlier trainings included"))


class PointsAfterOut(PointsOut):
    """The site's choices for a bundle, after a change."""


@points.get("/thresholds")
@require("read")
@points.input(ThresholdsQuery, location="query")
@points.output(ThresholdsOut)
@points.doc(operation_id="thresholds", summary="Show what every threshold finds and costs")
def thresholds(query_data: dict[str, Any]) -> Response:
    """Answer with sensitivity, specificity, predictive values, referrals and missed cases, each with its interval."""
    bundle = bundle_named(query_data["bundle"])
    return jsonify(costs(bundle, prevalence=query_data["prevalence"], split=query_data["split"]))


@points.get("/operating-points")
@require("read")
@points.input(BundleQuery, location="query")
@points.output(PointsOut)
@points.doc(operation_id="listOperatingPoints", summary="List the site's operating points")
def list_points(query_data: dict[str, Any]) -> Response:
    """Answer with the choice that decides now and all before it."""
    return jsonify(_points(query_data["bundle"]))


@points.post("/operating-points")
@require("admin")
@points.input(PointIn)
@points.input(KeyHeader, location="headers")
@points.output(PointsAfterOut, status_code=201)
@points.doc(operation_id="chooseOperatingPoint", summary="Choose a threshold for this site")
@once()
def choose(json_data: dict[str, Any]) -> Response:
    """Make a threshold the one that decides from now on; readings that are kept stay as they are."""
    asked = json_data
    low = asked["low"]
    service().points.choose(
        bundle_named(asked["bundle"]),
        threshold=asked["threshold"],
        low=low,
        high=None if low is None else asked["threshold"],
        prevalence=asked["prevalence"],
        note=asked["note"],
        split=asked["split"],
        actor=current_actor(),
    )
    return created(_points(asked["bundle"]), at="/api/v1/operating-points")


@points.post("/operating-points/revert")
@require("admin")
@points.input(BundleQuery)
@points.output(PointsAfterOut)
@points.doc(operation_id="revertOperatingPoint", summary="Undo the last choice")
def revert(json_data: dict[str, Any]) -> Response:
    """Let the choice before decide again, or the bundle's own point."""
    service().points.revert(bundle_named(json_data["bundle"]), actor=current_actor())
    return jsonify(_points(json_data["bundle"]))


def _points(reference: str) -> dict[str, Any]:
    bundle = bundle_named(reference)
    active = service().points.active(bundle)
    return {
        "bundle": bundle.id,
        "active": None if active is None else _point(active),
        "history": [_point(point) for point in service().points.history(bundle)],
    }


def _point(point: SitePoint) -> dict[str, Any]:
    shown = {name: getattr(point, name) for name in PointRow().fields}
    ended = None if point.ended_at is None else point.ended_at.isoformat()
    return shown | {"chosen_at": point.chosen_at.isoformat(), "ended_at": ended}
