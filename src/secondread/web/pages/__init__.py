"""What people see: server-rendered pages, a module for each area, over the same service as the API."""

from apiflask import APIFlask

from secondread.web.pages import errors, frame, language
from secondread.web.pages.accounts import accounts
from secondread.web.pages.reading import pages
from secondread.web.pages.room import room
from secondread.web.pages.site import site
from secondread.web.pages.statistics import statistics
from secondread.web.pages.thresholds import thresholds
from secondread.web.pages.trail import trail
from secondread.web.pages.worklist import worklist

BLUEPRINTS = (pages, worklist, room, statistics, thresholds, accounts, trail, site)

__all__ = ["BLUEPRINTS", "register"]


def register(app: APIFlask) -> None:
    """Languages, what every page holds, and errors that a person can read."""
    for part in (language, frame, errors):
        part.register(app)
