"""The worklist's filter as it stands in an address."""

from datetime import UTC, datetime
from typing import Any

from apiflask import Schema
from apiflask.fields import AwareDateTime, Boolean, Integer
from apiflask.validators import OneOf, Range

from secondread.service import ORDERS, REVIEW_STATES, Filter
from secondread.web.schemas import Text, said

LARGEST_ID = 2**31 - 1
_MOMENTS = Range(datetime(1970, 1, 2, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))


def _moment(text: str) -> Any:
    return AwareDateTime(default_timezone=UTC, validate=_MOMENTS, metadata=said(text))


class FilterQuery(Schema):
    """What a list is narrowed to; what is left out does not matter."""

    task = Text(metadata=said("a task's name"))
    decision = Text(validate=OneOf(["positive", "negative", "uncertain"]))
    refused = Boolean(metadata=said("whether the image was refused"))
    since = _moment("from this moment, as 2026-03-01T00:00:00Z")
    until = _moment("before this moment")
    source = Text(metadata=said("where the images come from"))
    reviewer = Text(metadata=said("whose opinion is there"))
    reviewed = Boolean(metadata=said("whether all reviews that are needed were made"))
    review_state = Text(validate=OneOf(REVIEW_STATES))
    text = Text(metadata=said("part of the file's name, whatever its case"))
    bundle = Text(metadata=said("task/name@hash, as readings name it"))
    image = Text(metadata=said("SHA-256 of the image as it is kept"))
    batch = Integer(validate=Range(0, LARGEST_ID), metadata=said("number of an upload"))
    deleted = Boolean(load_default=False, metadata=said("true: only what was deleted, to bring it back"))


class OrderedQuery(FilterQuery):
    """A filter, and the order of the rows."""

    order = Text(load_default="triage", validate=OneOf(ORDERS))


class PageQuery(OrderedQuery):
    """A filter, the order, and where to go on."""

    after = Text(load_default=None, metadata=said("`next` of the page before"))
    limit = Integer(load_default=50, validate=Range(1, 500), metadata=said("rows of a page"))


def filter_of(query: dict[str, Any]) -> Filter:
    """The filter among the fields of a query; an empty field counts as left out."""
    names = FilterQuery().fields
    return Filter(**{name: value for name, value in query.items() if name in names and value != ""})
