"""What each threshold would find and cost here, and the one that this site decides by."""

from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for

from secondread.errors import UsageError
from secondread.reading import Bundle
from secondread.web.auth import current_actor, require
from secondread.web.context import service
from secondread.web.costs import costs
from secondread.web.pages import charts
from secondread.web.pages.parts import attempt, bundle_asked, number, plain_name

thresholds = APIBlueprint("thresholds", __name__, url_prefix="/thresholds", enable_openapi=False)


@thresholds.get("")
@require("read")
def show() -> Any:
    """Table and chart of every threshold of a bundle at a local prevalence, and the site's choices."""
    return attempt(_page, lambda sentence: _page(sentence, plain=True))


@thresholds.post("")
@require("admin")
def choose() -> Any:
    """Make a threshold the one that decides from now on."""

    def act() -> Any:
        bundle, threshold = _bundle(), number("threshold")
        if threshold is None:
            raise UsageError("choose a threshold first")
        low = number("low")
        service().points.choose(
            bundle,
            threshold=threshold,
            low=low,
            high=None if low is None else threshold,
            prevalence=_prevalence(),
            note=request.form.get("note", ""),
            split=_split(bundle),
            actor=current_actor(),
        )
        return _back(bundle)

    return attempt(act, lambda sentence: _page(sentence))


@thresholds.post("/revert")
@require("admin")
def revert() -> Any:
    """Undo the last choice."""

    def act() -> Any:
        bundle = _bundle()
        service().points.revert(bundle, actor=current_actor())
        return _back(bundle)

    return attempt(act, lambda sentence: _page(sentence))


def _page(mistake: str = "", *, plain: bool = False) -> str:
    every, bundle = ([], None) if plain else bundle_asked()
    shown: dict[str, Any] = {"bundles": every, "bundle": bundle, "name": plain_name, "mistake": mistake}
    if bundle is None:
        return render_template("thresholds.html", **shown, table=None)
    active = service().points.active_point(bundle)
    point = active or bundle.operating_point()
    table, said = None, ""
    splits = list((bundle.evidence or {}).get("predictions", {}))
    try:
        table = costs(bundle, prevalence=None if mistake else _prevalence(), split=_split(bundle))
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
        site=service().points.active(bundle),
        history=service().points.history(bundle),
        left_behind=service().points.left_behind(bundle),
        splits=splits,
        split=_split(bundle),
    )


def _prevalence() -> float | None:
    """Given in percent."""
    given = number("prevalence")
    if given is not None and not 0 < given < 100:
        raise UsageError(f"a prevalence of {given:g} % is no share; give one between 0 and 100, as 2 for 2 %")
    return None if given is None else given / 100


def _split(bundle: Bundle) -> str:
    splits = (bundle.evidence or {}).get("predictions", {})
    return request.values.get("split") or ("test" if "test" in splits else next(iter(splits), "test"))


def _bundle() -> Bundle:
    if not request.form.get("bundle") or (found := bundle_asked()[1]) is None:
        raise UsageError("choose a bundle first")
    return found


def _back(bundle: Bundle) -> Any:
    kept = {"bundle": plain_name(bundle)}
    kept |= {name: request.form[name] for name in ("prevalence", "split") if request.form.get(name)}
    return redirect(f"{url_for('thresholds.show')}?{urlencode(kept)}", code=303)
