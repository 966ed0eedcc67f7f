"""How far people and readers agree, and whether images here still look like what was measured."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Dict, Float, Integer, List, Nested, String
from apiflask.validators import OneOf, Range
from flask import render_template, request

from secondread.evidence.whom import HEADER_PARTS
from secondread.service import AGAINST, FIRST_DAYS, AgreementTable, DriftTable, Judged, Sight, Window
from secondread.service.subgroups import Part
from secondread.stats.agreement import Agreement
from secondread.stats.drift import Rate, ScoreDrift
from secondread.web import charts
from secondread.web.auth import require
from secondread.web.context import bundle_named, service
from secondread.web.filters import FilterQuery, filter_of
from secondread.web.forms import bundle_asked, plain_name, whole
from secondread.web.problems import attempt
from secondread.web.shapes import Text, one_of, said, shape_of

statistics = APIBlueprint("statistics", __name__, url_prefix="/api/v1", tag="statistics")
pages = APIBlueprint("statistics_pages", __name__, url_prefix="/statistics", enable_openapi=False)


@shape_of(
    Agreement,
    "n n_groups both_positive first_only second_only both_negative raw raw_low raw_high "
    "positive positive_low positive_high negative negative_low negative_high "
    "kappa kappa_low kappa_high ac1 ac1_low ac1_high too_few",
)
class AgreementRow(Schema):
    """Two judges on the same images, each saying disease or none."""

    n_groups = said("patients; images where no patient is known")
    raw = said("share on which they agree")
    positive = said("agreement on disease: the images both call so, among all that either does, counted for each judge")
    negative = said("agreement on no disease, likewise")
    kappa = said("Cohen's; it falls where one answer is rare")
    ac1 = said("Gwet's; it does not")
    too_few = said("fewer than ten independent images: the numbers say nothing yet")


class BetweenRow(AgreementRow):
    """Two reviewers."""

    reviewers = List(String(), required=True)


class JudgedRow(Schema):
    """The reader against each reviewer, and reviewers against each other."""

    by_reviewer = Dict(keys=String(), values=Nested(AgreementRow), required=True)
    between = List(Nested(BetweenRow), required=True)


class TaskAgreementRow(Schema):
    """Agreement on one task."""

    task = String(required=True)
    blind = Nested(JudgedRow, required=True, metadata=said("by opinions given before the answer was shown"))
    after = Nested(JudgedRow, required=True, metadata=said("by opinions given after it"))
    concluded = Nested(AgreementRow, required=True, metadata=said("the reader and what reviewers concluded"))


class AgreementOut(Schema):
    """Agreement task by task; then over all tasks together, by opinions given after the answer was shown."""

    tasks = List(Nested(TaskAgreementRow), required=True)
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
    against = Text(
        load_default="evidence",
        validate=OneOf(AGAINST),
        metadata=said(f"what to compare with; start: the first {FIRST_DAYS} days in which the bundle read here"),
    )


@shape_of(Rate, "hits n n_groups value low high evidence_value evidence_low evidence_high seen_below alarm since")
class RateRow(Schema):
    """A share with its 95 % interval, beside the one it is held against."""

    n_groups = said("patients; images where no patient is known")
    evidence_value = said("what it is held against: of the evidence, or of the first days here")
    seen_below = said("a true rate up to here would raise the alarm four times of five; null: too few to see any fall")
    since = said("the window, from 0, since which the rate has been off")


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


@shape_of(Sight, "n n_groups held_against seen_below")
class SightRow(Schema):
    """What all windows together could have shown of a rate."""

    n = said("reviewed images")
    n_groups = said("patients")
    seen_below = said("a fall to here since the first window would be seen four times of five; null: too few to say")


class DriftOut(Schema):
    """Windows, the oldest first."""

    bundle = String(required=True)
    against = String(required=True, metadata=one_of(AGAINST))
    level = Float(required=True, metadata=said("greatest chance of a false alarm within a year"))
    sensitivity = Nested(SightRow, required=True)
    specificity = Nested(SightRow, required=True)
    windows = List(Nested(WindowRow), required=True)


class SubgroupsQuery(Schema):
    """Which bundle."""

    bundle = Text(required=True, metadata=said("task/name, or a task for its own choice"))


class RateOfPart(Schema):
    """A rate with its 95 % interval."""

    value = Float(required=True, allow_none=True)
    low = Float(required=True, allow_none=True)
    high = Float(required=True, allow_none=True)


@shape_of(Part, "by value n n_patients n_refused n_reviewed n_positive few")
class PartRow(Schema):
    """Images of one kind."""

    by = String(required=True, metadata=one_of(HEADER_PARTS))
    n = said("images that the bundle read or refused")
    few = said("fewer than 20 reviewed images of a class: rates say nothing yet, and are null")
    sensitivity = Nested(RateOfPart, required=True)
    specificity = Nested(RateOfPart, required=True)


class SubgroupsOut(Schema):
    """Parts by what DICOM headers say."""

    bundle = String(required=True)
    parts = List(Nested(PartRow), required=True)


@statistics.get("/agreement")
@require("read")
@statistics.input(FilterQuery, location="query")
@statistics.output(AgreementOut)
@statistics.doc(operation_id="agreement", summary="Measure agreement")
def agreement(query_data: dict[str, Any]) -> Any:
    """Answer with agreement over the reviewed readings that the filter leaves; refusals and 'unsure' are left out."""
    table = service().agreement.table(filter_of(query_data))
    tasks = [
        {"task": name, "blind": _judged(found.blind), "after": _judged(found.after), "concluded": found.concluded}
        for name, found in table.tasks.items()
    ]
    return {"tasks": tasks, "concluded": table.concluded} | _judged(table)


def _judged(found: Judged | AgreementTable) -> dict[str, Any]:
    between = [vars(one) | {"reviewers": pair} for pair, one in found.between.items()]
    return {"by_reviewer": found.by_reviewer, "between": between}


@statistics.get("/drift")
@require("read")
@statistics.input(DriftQuery, location="query")
@statistics.output(DriftOut)
@statistics.doc(operation_id="drift", summary="Compare readings here with the bundle's evidence")
def drift(query_data: dict[str, Any]) -> Any:
    """Answer with the last windows, and an alarm where one leaves the range of the evidence."""
    asked, bundle = query_data, bundle_named(query_data["bundle"])
    table = service().drift.table(
        bundle,
        days=asked["days"],
        n_windows=asked["windows"],
        split=asked["split"],
        source=asked["source"] or None,
        against=asked["against"],
    )
    return vars(table) | {"bundle": bundle.id}


@statistics.get("/subgroups")
@require("read")
@statistics.input(SubgroupsQuery, location="query")
@statistics.output(SubgroupsOut)
@statistics.doc(operation_id="subgroups", summary="Compare readings by sex, age and device")
def subgroups(query_data: dict[str, Any]) -> Any:
    """Answer with what reviewed readings say part by part; a part of few images has no rates."""
    bundle = bundle_named(query_data["bundle"])
    return {"bundle": bundle.id, "parts": service().subgroups.table(bundle)}


@pages.get("")
@require("read")
def show() -> Any:
    """Agreement over everything reviewed, task by task; drift of one bundle, window by window."""
    shown: dict[str, Any] = {"tasks": service().agreement.table().tasks, "name": plain_name, "choices": {"source": []}}
    shown |= {"bundles": [], "bundle": None, "days": 7, "n_windows": 8, "source": "", "against": "evidence"}
    shown |= {"drift": None, "parts": [], "first_days": FIRST_DAYS}

    def act() -> str:
        every, bundle = bundle_asked()
        days, n_windows = whole("days", 7, 1, 366), whole("windows", 8, 1, 60)
        source = request.args.get("source", "").replace("\0", "")
        against = request.args.get("against", "") or "evidence"
        shown.update(bundles=every, bundle=bundle, days=days, n_windows=n_windows, source=source, against=against)
        shown["choices"] = service().worklist.choices()
        if bundle is not None:
            shown["parts"] = service().subgroups.table(bundle)
            shown["drift"] = service().drift.table(
                bundle, days=days, n_windows=n_windows, source=source or None, against=against
            )
        return render_template("statistics.html", **shown, **_drawn(shown["drift"]), mistake_="")

    return attempt(
        act, lambda sentence: render_template("statistics.html", **shown, charts=[], alarms=[], mistake_=sentence)
    )


def _drawn(table: DriftTable | None) -> dict[str, Any]:
    windows = table.windows if table else []
    if not any(window.n for window in windows):
        return {"charts": [], "alarms": []}
    drawn = [charts.scores(windows)]
    drawn += [charts.rates(windows, name) for name in ("refusals", "sensitivity", "specificity")]
    return {"charts": drawn, "alarms": [(window, window.alarms) for window in windows if window.alarms]}
