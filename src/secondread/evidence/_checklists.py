"""The reporting checklists that a card answers: CLAIM 2024 and TRIPOD+AI, item by item, gaps shown as gaps."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKLISTS = ("claim_2024", "tripod_ai")


@dataclass(frozen=True)
class Item:
    """One thing that a report must say."""

    number: str
    section: str
    asks: str  # in words of this project's own
    where: tuple[str, ...] = ()  # sections of the card, or files of the project
    gap: str = ""  # what is missing
    otherwise: str = ""  # the gap where a card lacks the section


@dataclass(frozen=True)
class Checklist:
    """A published list of such things."""

    title: str
    citation: str
    items: tuple[Item, ...]


@cache
def load_checklist(name: str) -> Checklist:
    """One of CHECKLISTS."""
    table = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
    items = tuple(Item(**{**item, "where": tuple(item.get("where", ()))}) for item in table["items"])
    return Checklist(table["title"], table["citation"], items)


def answers(item: Item, sections: Collection[str]) -> tuple[list[str], str]:
    """Where a card with these sections answers the item, and what is missing (may be empty)."""
    found = [place for place in item.where if place in sections or _is_file(place)]
    if found:
        return found, item.gap
    return [], item.gap or item.otherwise or f"not in this card: {', '.join(item.where)}"


def _is_file(place: str) -> bool:
    return "/" in place or place.isupper()
