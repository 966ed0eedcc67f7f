"""How far people and readers agree, and whether images here still look like what was measured."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Float, Integer, List, Nested, String
from apiflask.fields import Dict as DictField
from apiflask.validators import OneOf, Range
from flask import Response, jsonify

from secondread.web.auth import require
from secondread.web.context import bundle_named, service
from secondread.web.filters import FilterQuery, filter_of
from secondread.web.schemas import Text, said

statistics = APIBlueprint("statistics", __name__, url_prefix="/api/v1", tag="statistics")


class AgreementRow(Schema):
    """Two judges on the same images, each saying disease or none."""

    n = Integer(required=True)
    both_positive = Integer(required=True)
    first_only = Integer(required=True)
    second_only = Integer(required=True)
    both_negative = Integer(required=True)
    raw = Float(required=True, allow_none=True, metadata=said("share on which they agree"))
    raw_low = Float(required=True)
    raw_high = Float(required=True)
    kappa = Float(required=True, allow_none=True, metadata=said("Cohen's"))
    kappa_low = Float(required=True, allow_none=True)
    kappa_high = Float(required=True, allow_none=True)


class BetweenRow(AgreementRow):
    """Two reviewers."""

    reviewers = List(String(), required=True)


class AgreementOut(Schema):
    """The reader against what reviewers concluded, against each reviewer, and reviewers against each other."""

    concluded = Nested(AgreementRow, required=True)
    by_reviewer = DictField(keys=String(), values=Nested(AgreementRow), required=True)
    between = List(Nested(BetweenRow), required=True)


class DriftQuery(Schema):
    """Which windows of which bundle."""

    bundle = Text(required=True, metadata=said("task/name, or a task for its own choice"))
    days = Integer(load_default=7, validate=Range(1, 366), metadata=said("length of a window"))
    windows = Integer(load_default=8, validate=Range(1, 60))
    split = Text(load_default="test", metadata=said("of the bundle's evidence, to compare with"))
    source = Text(load_default=None, metadata=said("only images from there"))


class RateRow(Schema):
    """A share with its interval, beside the evidence's."""

    hits = Integer(required=True)
    n = Integer(required=True)
    value = Float(required=True, allow_none=True)
    low = Float(required=True)
    high = Float(required=True)
    evidence_value = Float(required=True, allow_none=True)
    evidence_low = Float(required=True)
    evidence_high = Float(required=True)
    alarm = Boolean(required=True)


class ScoresRow(Schema):
    """Scores against the mixture of the evidence's that fits best."""

    n = Integer(required=True)
    distance = Float(required=True, allow_none=True, metadata=said("Kolmogorov–Smirnov"))
    allowed = Float(required=True, allow_none=True, metadata=said("what chance explains"))
    share = Float(required=True, allow_none=True, metadata=said("of the diseased in that mixture"))
    psi = Float(required=True, allow_none=True, metadata=said("population stability index"))
    alarm = Boolean(required=True)


class WindowRow(Schema):
    """One stretch of time."""

    since = String(required=True, metadata={"format": "date-time"})
    until = String(required=True, metadata={"format": "date-time"})
    n = Integer(required=True)
    scores = Nested(ScoresRow, required=True)
    refusals = Nested(RateRow, required=True)
    sensitivity = Nested(RateRow, required=True)
    specificity = Nested(RateRow, required=True)
    alarms = List(
        String(validate=OneOf(["scores", "refusals", "sensitivity", "specificity"])),
        required=True,
        metadata=said("what left the range of the evidence"),
    )


class DriftOut(Schema):
    """Windows, the oldest first."""

    bundle = String(required=True)
    windows = List(Nested(WindowRow), required=True)


@statistics.get("/agreement")
@require("read")
@statistics.input(FilterQuery, location="query")
@statistics.output(AgreementOut)
@statistics.doc(operation_id="agreement", summary="Measure agreement")
def agreement(query_data: dict[str, Any]) -> Response:
    """Answer with agreement over the reviewed readings that the filter leaves; refusals and 'unsure' are left out."""
    table = service().agreement.table(filter_of(query_data))
    return jsonify(
        concluded=table.concluded.to_dict(),
        by_reviewer={name: found.to_dict() for name, found in table.by_reviewer.items()},
        between=[found.to_dict() | {"reviewers": list(pair)} for pair, found in table.between.items()],
    )


@statistics.get("/drift")
@require("read")
@statistics.input(DriftQuery, location="query")
@statistics.output(DriftOut)
@statistics.doc(operation_id="drift", summary="Compare readings here with the bundle's evidence")
def drift(query_data: dict[str, Any]) -> Response:
    """Answer with the last windows, and an alarm where one leaves the range of the evidence."""
    asked = query_data
    bundle = bundle_named(asked["bundle"])
    found = service().drift.windows(
        bundle, days=asked["days"], n_windows=asked["windows"], split=asked["split"], source=asked["source"] or None
    )
    return jsonify(bundle=bundle.id, windows=[window.to_dict() for window in found])
