"""How far people and reader agree, and whether images here still look like what was measured."""

from typing import Any

from apiflask import APIBlueprint
from flask import render_template, request

from secondread.errors import UsageError
from secondread.service import Window
from secondread.web.auth import require
from secondread.web.context import service
from secondread.web.pages import charts
from secondread.web.pages.parts import bundle_asked, plain_name, whole

statistics = APIBlueprint("statistics_pages", __name__, url_prefix="/statistics", enable_openapi=False)


@statistics.get("")
@require("read")
def show() -> Any:
    """Agreement over everything reviewed; drift of one bundle, window by window."""
    shown: dict[str, Any] = {"table": service().agreement.table(), "name": plain_name, "choices": {"source": []}}
    shown |= {"bundles": [], "bundle": None, "windows": [], "days": 7, "n_windows": 8, "source": "", "mistake": ""}
    try:
        every, bundle = bundle_asked()
        days, n_windows = whole("days", 7, 1, 366), whole("windows", 8, 1, 60)
        source = request.args.get("source", "").replace("\0", "")
        shown |= {"bundles": every, "bundle": bundle, "days": days, "n_windows": n_windows, "source": source}
        shown["choices"] = service().worklist.choices()
        if bundle is not None:
            shown["windows"] = service().drift.windows(bundle, days=days, n_windows=n_windows, source=source or None)
    except UsageError as error:
        return render_template("statistics.html", **shown, charts=[], alarms=[], mistake_=str(error)), 400
    return render_template("statistics.html", **shown, **_drawn(shown["windows"]), mistake_="")


def _drawn(windows: list[Window]) -> dict[str, Any]:
    if not any(window.n for window in windows):
        return {"charts": [], "alarms": []}
    drawn = [charts.scores(windows)]
    drawn += [charts.rates(windows, name) for name in ("refusals", "sensitivity", "specificity")]
    return {"charts": drawn, "alarms": [(window, window.alarms) for window in windows if window.alarms]}
