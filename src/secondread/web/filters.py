"""The worklist's filter as it stands in an address, of the API or of a page: one way to parse both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from apiflask import Schema
from apiflask.fields import AwareDateTime, Boolean, Integer
from apiflask.validators import OneOf, Range
from marshmallow import ValidationError, validates_schema

from secondread.errors import UsageError
from secondread.service import BY_TIME, ORDERS, REVIEW_STATES, Filter
from secondread.web.context import service
from secondread.web.shapes import LARGEST_ID, Text, said

_MOMENTS = Range(datetime(1970, 1, 2, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC))
_FORM = ("task", "decision", "review_state", "source", "reviewer", "bundle", "text", "since", "until", "batch")
_UNKNOWN = "{} '{{input}}'; take one of {{choices}}"
_OF_A_LIST = ("order", "after", "limit")  # in the address of a list, whose filter an export takes as it stands
_SHORT = 200  # characters of a field of the form


def _moment(text: str) -> Any:
    return AwareDateTime(default_timezone=UTC, validate=_MOMENTS, metadata=said(text))


class FilterQuery(Schema):
    """What a list is narrowed to; what is left out does not matter."""

    task = Text(metadata=said("a task's name"))
    decision = Text(validate=OneOf(("positive", "negative", "uncertain"), error=_UNKNOWN.format("unknown decision")))
    refused = Boolean(metadata=said("whether the image was refused"))
    since = _moment("from this moment, as 2026-03-01T00:00:00Z")
    until = _moment("before this moment")
    source = Text(metadata=said("where the images come from"))
    reviewer = Text(metadata=said("whose opinion is there"))
    reviewed = Boolean(metadata=said("whether all reviews that are needed were made"))
    review_state = Text(validate=OneOf(REVIEW_STATES, error=_UNKNOWN.format("unknown review state")))
    text = Text(metadata=said("part of the file's name, whatever its case"))
    bundle = Text(metadata=said("task/name@hash, as readings name it"))
    image = Text(metadata=said("SHA-256 of the image as it is kept"))
    batch = Integer(
        validate=Range(0, LARGEST_ID),
        metadata=said("number of an upload"),
        error_messages={"invalid": "'{input}' is no number of an upload"},
    )
    deleted = Boolean(load_default=False, metadata=said("true: only what was deleted, to bring it back"))

    @validates_schema(pass_original=True)
    def _is_known(self, _: Any, original: Mapping[str, Any], **__: Any) -> None:
        """A name that is misspelt would leave the list unfiltered, and an export with more than was asked for."""
        unknown = [name for name in original if name not in self.fields and name not in _OF_A_LIST]
        if unknown:
            known = ", ".join(self.fields)
            raise ValidationError({name: [f"Unknown field; known: {known}."] for name in unknown})


class OrderedQuery(FilterQuery):
    """A filter, and the order of the rows."""

    order = Text(load_default="triage", validate=OneOf(ORDERS, error=_UNKNOWN.format("there is no order")))


class PageQuery(OrderedQuery):
    """A filter, the order, and where to go on."""

    after = Text(load_default=None, metadata=said("`next` of the page before"))
    limit = Integer(load_default=50, validate=Range(1, 500), metadata=said("rows of a page"))


def filter_of(query: dict[str, Any]) -> Filter:
    """The filter among the fields of a query; an empty field counts as left out."""
    names = FilterQuery().fields
    return Filter(**{name: value for name, value in query.items() if name in names and value != ""})


@dataclass(frozen=True)
class FormFilter:
    """What a person asked to see; `fields` are as they stand in the form, `api` as the API takes them."""

    fields: Mapping[str, str]
    api: Mapping[str, str]
    only: Filter
    order: str

    @property
    def deleted(self) -> bool:
        """Whether what was deleted is shown."""
        return self.only.deleted

    @property
    def api_query(self) -> str:
        """The same filter for the exports of the API."""
        return urlencode(self.api)

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered out."""
        return bool(self.fields) or self.deleted

    def query(self, **more: str | None) -> str:
        """As the query of an address, without what is empty."""
        given = dict(self.fields) | {"order": "" if self.order == "triage" else self.order}
        given |= {"deleted": "1" if self.deleted else ""} | {name: value or "" for name, value in more.items()}
        return urlencode({name: value for name, value in given.items() if value})


def telling_nothing(asked: FormFilter) -> FormFilter:
    """The same in an order that does not tell the answers, for those whose own opinion comes first."""
    order = asked.order if asked.order in BY_TIME else BY_TIME[-1]
    return replace(asked, order=order, api={**asked.api, "order": order})


def form_filter(given: Mapping[str, str]) -> FormFilter:
    """From the fields of a form: days of the site in place of moments, and 'refused' among the decisions.

    Raises UsageError.
    """
    fields = {name: given[name].replace("\0", "").strip()[:_SHORT] for name in _FORM if given.get(name, "").strip()}
    api = fields | {"order": given.get("order") or "triage"}
    if given.get("deleted"):
        api["deleted"] = "true"
    if api.get("decision") == "refused":
        del api["decision"]
        api["refused"] = "true"
    for name, days in (("since", 0), ("until", 1)):
        if name in api:
            api[name] = _midnight(api[name], days=days, zone=service().zone)
    try:
        query = OrderedQuery().load(api)
    except ValidationError as error:
        raise UsageError(next(iter(error.normalized_messages().values()))[0]) from error
    return FormFilter(fields, api, filter_of(query), query["order"])


def _midnight(text: str, *, days: int, zone: tzinfo | None) -> str:
    """The moment at which a day begins where the site is, or one so many days later. zone: None for the machine's."""
    try:
        found = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{text[:40]}' is no date; write it as 2026-03-01") from error
    if not 1970 < found.year < 2999:
        raise UsageError(f"'{text[:40]}' is too far away; write a date as 2026-03-01")
    there = datetime(found.year, found.month, found.day, tzinfo=zone)
    return there.astimezone(UTC).isoformat()
