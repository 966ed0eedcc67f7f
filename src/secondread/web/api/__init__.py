"""The API, version 1: a blueprint for each area, all in one document."""

from secondread.web.api.batches import batches
from secondread.web.api.catalogue import catalogue
from secondread.web.api.health import health
from secondread.web.api.pictures import pictures
from secondread.web.api.readings import readings

BLUEPRINTS = (readings, pictures, batches, catalogue, health)

__all__ = ["BLUEPRINTS"]
