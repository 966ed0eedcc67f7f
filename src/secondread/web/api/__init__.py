"""The API, version 1: a blueprint for each area, all in one document."""

from secondread.web.api.accounts import accounts
from secondread.web.api.batches import batches
from secondread.web.api.catalogue import catalogue
from secondread.web.api.health import health
from secondread.web.api.pictures import pictures
from secondread.web.api.points import points
from secondread.web.api.readings import readings
from secondread.web.api.reviews import reviews
from secondread.web.api.statistics import statistics
from secondread.web.api.tokens import tokens
from secondread.web.api.trail import trail
from secondread.web.api.viewer import viewer

BLUEPRINTS = (
    readings,
    pictures,
    batches,
    reviews,
    statistics,
    points,
    catalogue,
    accounts,
    tokens,
    trail,
    health,
    viewer,
)

__all__ = ["BLUEPRINTS"]
