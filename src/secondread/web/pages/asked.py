"""The worklist's filter and order as they stand in the address of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from secondread.errors import UsageError
from secondread.service import ORDERS, Filter

_TEXTS = ("task", "decision", "review_state", "source", "reviewer", "bundle", "text", "since", "until", "batch")
_SHORT = 200  # characters


@dataclass(frozen=True)
class Asked:
    """What a person asked to see; `fields` are as they stand in the form."""

    fields: Mapping[str, str]
    only: Filter
    order: str
    deleted: bool

    def query(self, **more: str | None) -> str:
        """As the query of an address, without what is empty."""
        given = dict(self.fields) | {"order": "" if self.order == "triage" else self.order}
        given |= {"deleted": "1" if self.deleted else ""} | {name: value or "" for name, value in more.items()}
        return urlencode({name: value for name, value in given.items() if value})

    @property
    def api_query(self) -> str:
        """The same filter for the exports of the API."""
        only = self.only
        given = {name: self.fields.get(name, "") for name in _TEXTS if name not in ("since", "until", "decision")}
        given |= {"order": self.order, "decision": only.decision or ""}
        given |= {"refused": "true" if only.refused else "", "deleted": "true" if self.deleted else ""}
        given |= {name: moment.isoformat() for name in ("since", "until") if (moment := getattr(only, name))}
        return urlencode({name: value for name, value in given.items() if value})

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered out."""
        return bool(self.fields) or self.deleted


def asked_of(given: Mapping[str, str]) -> Asked:
    """From the fields of a form. Raises UsageError for a date or number that is none, UnknownName for other values."""
    fields = {name: given[name].replace("\0", "").strip()[:_SHORT] for name in _TEXTS if given.get(name, "").strip()}
    decision = fields.get("decision")
    only = Filter(
        task=fields.get("task"),
        decision=None if decision == "refused" else decision,
        refused=True if decision == "refused" else None,
        since=_day(fields.get("since")),
        until=_day(fields.get("until"), days=1),
        source=fields.get("source"),
        reviewer=fields.get("reviewer"),
        review_state=fields.get("review_state"),
        text=fields.get("text"),
        bundle=fields.get("bundle"),
        batch=_batch(fields.get("batch")),
        deleted=bool(given.get("deleted")),
    )
    order = given.get("order") or "triage"
    if order not in ORDERS:
        raise UsageError(f"there is no order '{order[:40]}'; take one of {', '.join(ORDERS)}")
    return Asked(fields, only, order, only.deleted)


def _day(text: str | None, *, days: int = 0) -> datetime | None:
    if text is None:
        return None
    try:
        found = date.fromisoformat(text) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{text[:40]}' is no date; write it as 2026-03-01") from error
    if not 1970 < found.year < 2999:
        raise UsageError(f"'{text[:40]}' is too far away; write a date as 2026-03-01")
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def _batch(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"'{text[:40]}' is no number of an upload")
    return int(text)
