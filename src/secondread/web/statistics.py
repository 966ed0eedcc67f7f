"""How far people and readers agree, and whether images here still look like what was measured."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Dict, Integer, List, Nested, String
from apiflask.validators import OneOf, Range
from flask import render_template, request

from secondread.service import Window
from secondread.stats.agreement import Agreement
from secondread.stats.drift import Rate, ScoreDrift
from secondread.web import charts
from secondread.web.auth import require
from secondread.web.context import bundle_named, service
from secondread.web.filters import FilterQuery, filter_of
from secondread.web.forms import bundle_asked, plain_name, whole
from secondread.web.problems import attempt
from secondread.web.shapes import Text, said, shape_of

statistics = APIBlueprint("statistics", __name__, url_prefix="/api/v1", tag="statistics")
pages = APIBlueprint("statistics_pages", __name__, url_prefix="/statistics", enable_openapi=False)


@shape_of(
    Agreement,
    "n both_positive first_only second_only both_negative raw raw_low raw_high kappa kappa_low kappa_high",
)
class AgreementRow(Schema):
    """Two judges on the same images, each saying disease or none."""

    raw = said("share on which they agree")
    kappa = said("Cohen's")


class BetweenRow(AgreementRow):
    """Two reviewers."""

    reviewers = List(String(), required=True)


class AgreementOut(Schema):
    """The reader against what reviewers concluded, against each reviewer, and reviewers against each other."""

    concluded = Nested(AgreementRow, required=True)
    by_reviewer = Dict(keys=String(), values=Nested(AgreementRow), required=True)
    between = List(Nested(BetweenRow), required=True)


class DriftQuery(Schema):
    """Which windows of which bundle."""

    bundle = Text(required=True, metadata=said("task/name, or a task for its own choice"))
    days = Integer(load_default=7, validate=Range(1, 366), metadata=said("length of a window"))
    windows = Integer(load_default=8, validate=Range(1, 60))
    split = Text(load_default="test", metadata=said("of the bundle's evidence, to compare with"))
    source = Text(load_default=None, metadata=said("only images from there"))


@shape_of(Rate, "hits n value low high evidence_value evidence_low evidence_high alarm")
class RateRow(Schema):
    """A share with its interval, beside the evidence's."""


@shape_of(ScoreDrift, "n distance allowed share psi alarm")
class ScoresRow(Schema):
    """Scores against the mixture of the evidence's that fits best."""

    distance = said("Kolmogorov–Smirnov")
    allowed = said("what chance explains")
    share = said("of the diseased in that mixture")
    psi = said("population stability index")


@shape_of(Window, "since until n scores refusals sensitivity specificity alarms")
class WindowRow(Schema):
    """One stretch of time."""

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
def agreement(query_data: dict[str, Any]) -> Any:
    """Answer with agreement over the reviewed readings that the filter leaves; refusals and 'unsure' are left out."""
    table = service().agreement.table(filter_of(query_data))
    between = [vars(found) | {"reviewers": pair} for pair, found in table.between.items()]
    return {"concluded": table.concluded, "by_reviewer": table.by_reviewer, "between": between}


@statistics.get("/drift")
@require("read")
@statistics.input(DriftQuery, location="query")
@statistics.output(DriftOut)
@statistics.doc(operation_id="drift", summary="Compare readings here with the bundle's evidence")
def drift(query_data: dict[str, Any]) -> Any:
    """Answer with the last windows, and an alarm where one leaves the range of the evidence."""
    asked, bundle = query_data, bundle_named(query_data["bundle"])
    windows = service().drift.windows(
        bundle, days=asked["days"], n_windows=asked["windows"], split=asked["split"], source=asked["source"] or None
    )
    return {"bundle": bundle.id, "windows": windows}


@pages.get("")
@require("read")
def show() -> Any:
    """Agreement over everything reviewed; drift of one bundle, window by window."""
    shown: dict[str, Any] = {"table": service().agreement.table(), "name": plain_name, "choices": {"source": []}}
    shown |= {"bundles": [], "bundle": None, "windows": [], "days": 7, "n_windows": 8, "source": "", "mistake": ""}

    def act() -> str:
        every, bundle = bundle_asked()
        days, n_windows = whole("days", 7, 1, 366), whole("windows", 8, 1, 60)
        source = request.args.get("source", "").replace("\0", "")
        shown.update(bundles=every, bundle=bundle, days=days, n_windows=n_windows, source=source)
        shown["choices"] = service().worklist.choices()
        if bundle is not None:
            shown["windows"] = service().drift.windows(bundle, days=days, n_windows=n_windows, source=source or None)
        return render_template("statistics.html", **shown, **_drawn(shown["windows"]), mistake_="")

    return attempt(
        act, lambda sentence: render_template("statistics.html", **shown, charts=[], alarms=[], mistake_=sentence)
    )


def _drawn(windows: list[Window]) -> dict[str, Any]:
    if not any(window.n for window in windows):
        return {"charts": [], "alarms": []}
    drawn = [charts.scores(windows)]
    drawn += [charts.rates(windows, name) for name in ("refusals", "sensitivity", "specificity")]
    return {"charts": drawn, "alarms": [(window, window.alarms) for window in windows if window.alarms]}
