"""Thresholds: what each would find and cost here, and the one that a site chooses for itself."""

from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint, Schema
from apiflask.fields import Float, Integer, List, Nested, String
from apiflask.validators import Length, Range
from flask import redirect, render_template, request, url_for

from secondread.errors import UsageError
from secondread.evidence.likelihood import calibrated_at
from secondread.evidence.measured import threshold_costs
from secondread.evidence.outlook import chosen_on
from secondread.evidence.promises import guarantees_of
from secondread.reading import Bundle
from secondread.service import SITE, SitePoint, operating_point_of
from secondread.stats.prevalence import at_prevalence
from secondread.web import charts
from secondread.web.auth import current_actor, require
from secondread.web.context import bundle_named, readers, service
from secondread.web.forms import bundle_asked, number, plain_name
from secondread.web.idempotency import once
from secondread.web.problems import attempt
from secondread.web.shapes import Text, said, shape_of

points = APIBlueprint("points", __name__, url_prefix="/api/v1", tag="thresholds")
thresholds = APIBlueprint("thresholds", __name__, url_prefix="/thresholds", enable_openapi=False)
_SCORES = (10, 25, 50, 75, 90, 99)
_SHARE = Range(0, 1, min_inclusive=False, max_inclusive=False)


class BundleQuery(Schema):
    """Which bundle."""

    bundle = Text(required=True, metadata=said("task/name, or a task for its own choice"))


class ThresholdsQuery(BundleQuery):
    """Which bundle, used where."""

    prevalence = Float(
        load_default=None,
        validate=_SHARE,
        metadata=said("share of the diseased, as 0.02 for 2 %; default: as set for this site, else that of the split"),
    )
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
    split = Text(
        load_default="test",
        metadata=said("of the evidence, on which it is measured; site: on the images that were reviewed here"),
    )


@shape_of(
    SitePoint,
    "id name task bundle threshold low high prevalence measured measured_on independent note chosen_by chosen_at "
    "ended_at ended_by",
)
class PointOut(Schema):
    """A choice that was made."""

    name = said("as readings name it")
    measured_on = said("a split of the bundle's evidence, or site: the images that were reviewed here")
    independent = said(
        "false: the choice looked at these very images, so the rates are too good by an amount that nobody knows"
    )


class PointsOut(Schema):
    """The site's choices for a bundle."""

    bundle = String(required=True)
    active = Nested(PointOut, required=True, allow_none=True, metadata=said("null: the bundle's own point decides"))
    history = List(Nested(PointOut), required=True, metadata=said("the newest first, earlier trainings included"))


@points.get("/thresholds")
@require("read")
@points.input(ThresholdsQuery, location="query")
@points.output(ThresholdsOut)
@points.doc(operation_id="thresholds", summary="Show what every threshold finds and costs")
def list_thresholds(query_data: dict[str, Any]) -> Any:
    """Answer with sensitivity, specificity, predictive values, referrals and missed cases, each with its interval."""
    bundle, prevalence = bundle_named(query_data["bundle"]), query_data["prevalence"]
    if prevalence is None and (here := service().prevalences.active(bundle.task.name)) is not None:
        prevalence = here.prevalence
    return threshold_costs(bundle, prevalence=prevalence, split=query_data["split"])


@points.get("/operating-points")
@require("read")
@points.input(BundleQuery, location="query")
@points.output(PointsOut)
@points.doc(operation_id="listOperatingPoints", summary="List the site's operating points")
def list_points(query_data: dict[str, Any]) -> Any:
    """Answer with the choice that decides now and all before it."""
    return _points(bundle_named(query_data["bundle"]))


@points.post("/operating-points")
@require("admin")
@points.input(PointIn)
@points.doc(operation_id="chooseOperatingPoint", summary="Choose a threshold for this site")
@once(points)
@points.output(PointsOut, status_code=201)
def choose_point(json_data: dict[str, Any]) -> Any:
    """Make a threshold the one that decides from now on; readings that are kept stay as they are."""
    bundle = bundle_named(json_data.pop("bundle"))
    _choose(bundle, **json_data)
    return _points(bundle), 201, {"Location": "/api/v1/operating-points"}


@points.post("/operating-points/revert")
@require("admin")
@points.input(BundleQuery)
@points.output(PointsOut)
@points.doc(operation_id="revertOperatingPoint", summary="Undo the last choice")
def revert_point(json_data: dict[str, Any]) -> Any:
    """Let the choice before decide again, or the bundle's own point."""
    bundle = bundle_named(json_data["bundle"])
    service().points.revert(bundle, actor=current_actor())
    return _points(bundle)


@thresholds.get("")
@require("read")
def show() -> Any:
    """Table and chart of every threshold of a bundle at a local prevalence, and the site's choices."""
    return attempt(thresholds_page, lambda sentence: thresholds_page(sentence, plain=True))


@thresholds.post("")
@require("admin")
def choose() -> Any:
    """Make a threshold the one that decides from now on."""

    def act() -> Any:
        bundle, threshold = bundle_of_form(), _score("score")
        if threshold is None:
            raise UsageError("choose a threshold first")
        note, low = request.form.get("note", ""), _score("low_score")
        split = SITE if request.form.get("measured_on") == SITE else _split(bundle)
        _choose(bundle, threshold=threshold, low=low, prevalence=_prevalence(), note=note, split=split)
        return _back(bundle)

    return attempt(act, lambda sentence: thresholds_page(sentence))


@thresholds.post("/revert")
@require("admin")
def revert() -> Any:
    """Undo the last choice."""

    def act() -> Any:
        bundle = bundle_of_form()
        service().points.revert(bundle, actor=current_actor())
        return _back(bundle)

    return attempt(act, lambda sentence: thresholds_page(sentence))


def thresholds_page(mistake: str = "", *, plain: bool = False) -> str:
    """Table and chart; mistake: what was wrong with a form that was sent."""
    every, bundle = ([], None) if plain else bundle_asked()
    shown: dict[str, Any] = {"bundles": every, "bundle": bundle, "name": plain_name, "mistake": mistake}
    shown["left_out"] = {} if plain else readers().own().skipped
    if bundle is None:
        return render_template("thresholds.html", **shown, table=None)
    site = service().points.active(bundle)
    point = operating_point_of(site, bundle) if site else bundle.operating_point()
    local = service().prevalences.active(bundle.task.name)
    table, said = None, ""
    splits = list((bundle.evidence or {}).get("predictions", {}))
    try:
        table = threshold_costs(bundle, prevalence=_prevalence_shown(bundle, mistake), split=_split(bundle))
    except UsageError as error:
        if bundle.evidence and not mistake:
            raise
        said = str(error)
    return render_template(
        "thresholds.html",
        **shown,
        table=table,
        chart=charts.costs(table["rows"], point.threshold) if table else "",
        why_not=said,
        point=point,
        site=site,
        local=local,
        chosen_on=chosen_on,
        guarantees=guarantees_of(bundle, point),
        calibrated_at=(share := calibrated_at(bundle)),
        scale=_scale(share, local.prevalence) if share and local else [],
        local_history=service().prevalences.history(bundle.task.name),
        history=service().points.history(bundle),
        left_behind=service().points.left_behind(bundle),
        splits=splits,
        split=_split(bundle),
    )


def _scale(calibrated: float, prevalence: float) -> list[tuple[int, float]]:
    """Some scores, and how likely disease is here after each."""
    return [(at, at_prevalence(at / 100, calibrated_at=calibrated, prevalence=prevalence)) for at in _SCORES]


def _prevalence_shown(bundle: Bundle, mistake: str) -> float | None:
    """The one given, else the site's; None: that of the split."""
    given = None if mistake else _prevalence()
    here = service().prevalences.active(bundle.task.name)
    return here.prevalence if given is None and here is not None else given


def _prevalence() -> float | None:
    """Given in percent."""
    given = number("prevalence")
    if given is not None and not 0 < given < 100:
        raise UsageError(f"a prevalence of {given:g} % is no share; give one between 0 and 100, as 2 for 2 %")
    return None if given is None else given / 100


def _score(name: str) -> float | None:
    """A threshold that the page writes from 0 to 100, as the share that the service decides by."""
    given = number(name)
    if given is None:
        return None
    if not 0 <= given < 100 or 0 < given < 1:
        meant = f": write {100 * given:g} for a probability of {given:g}" if 0 < given < 1 else ""
        raise UsageError(f"{given:g} is no threshold on the scale of 0 to 100; give 0, or 1 to below 100{meant}")
    return round(given / 100, 12)


def _split(bundle: Bundle) -> str:
    splits = (bundle.evidence or {}).get("predictions", {})
    return request.values.get("split") or ("test" if "test" in splits else next(iter(splits), "test"))


def bundle_of_form() -> Bundle:
    """The bundle that a form is about. Raises UsageError."""
    if not request.form.get("bundle") or (found := bundle_asked()[1]) is None:
        raise UsageError("choose a bundle first")
    return found


def _back(bundle: Bundle) -> Any:
    kept = {"bundle": plain_name(bundle)}
    kept |= {name: request.form[name] for name in ("prevalence", "split") if request.form.get(name)}
    return redirect(f"{url_for('thresholds.show')}?{urlencode(kept)}", code=303)


def _choose(bundle: Bundle, *, threshold: float, low: float | None, **rest: Any) -> None:
    """A band of uncertainty ends at the threshold."""
    high = None if low is None else threshold
    service().points.choose(bundle, threshold=threshold, low=low, high=high, **rest, actor=current_actor())


def _points(bundle: Bundle) -> dict[str, Any]:
    points = service().points
    return {"bundle": bundle.id, "active": points.active(bundle), "history": points.history(bundle)}
