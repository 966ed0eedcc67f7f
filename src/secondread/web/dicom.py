"""The DICOM node to an administrator: what it runs with, received and fetched, and who called. Nothing is set here.

The node is a process of its own; what is shown is what it wrote into the trail when it started and since.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apiflask import APIBlueprint
from flask import render_template

from secondread.web.auth import current_actor, require
from secondread.web.context import service

pages = APIBlueprint("dicom_pages", __name__, url_prefix="/dicom", enable_openapi=False)
_CALLS, _OBJECTS = 50, 20  # rows of a page
_NOT_COUNTS = ("ended", "called", "bytes", "n")


@dataclass(frozen=True)
class Call:
    """An association, or several alike that brought nothing."""

    at: str
    calling: str
    address: str
    ended: str
    n: int
    counts: tuple[tuple[str, int], ...]  # 'stored', 'same', 'refused', … → how many

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> "Call":
        """As a line of the trail has it."""
        detail = json.loads(line["detail"])
        counts = tuple((what, n) for what, n in detail.items() if what not in _NOT_COUNTS)
        _, _, calling = line["actor"].partition(":")
        return cls(line["at"], calling, line["address"], str(detail.get("ended", "")), int(detail.get("n", 1)), counts)


@pages.get("")
@require("admin")
def show() -> Any:
    """What the node said when it started last, its objects by state, archives that are asked, and the latest calls."""
    found = service()
    found.trail.record(current_actor(), "dicom.seen", "node")
    started = next(iter(found.trail.latest(limit=1, action="dicom.started")), None)
    return render_template(
        "dicom.html",
        started=started,
        node=json.loads(started["detail"]) if started else {},
        counts=found.dicom.counts(),
        objects=found.dicom.latest(_OBJECTS),
        pulls=found.dicom_pulls.all(),
        corrections=found.corrections.latest(_OBJECTS),
        calls=[Call.of(line) for line in found.trail.latest(limit=_CALLS, action="dicom.association")],
    )
