"""The card's answers to CLAIM 2024 and TRIPOD+AI, item by item."""

from collections.abc import Collection

from secondread.evidence import CHECKLISTS, Item, answers, load_checklist


def checklist_sections(titles: Collection[str]) -> list[str]:
    """One section for each checklist. titles: the card's other sections."""
    return [_section(name, titles) for name in CHECKLISTS]


def _section(name: str, titles: Collection[str]) -> str:
    checklist = load_checklist(name)
    found = [(item, *answers(item, titles)) for item in checklist.items]
    gaps = sum(bool(gap) for _, _, gap in found)
    open_items = sum(not places for _, places, _ in found)
    rows = "\n".join(_row(item, places, gap) for item, places, gap in found)
    return (
        f"## {checklist.title}\n\n{checklist.citation}. In short wording of our own; {len(found)} items, {gaps} with a "
        f"gap, {open_items} of these not answered at all.\n\n"
        f"| item | part | asks for | answered in |\n|---|---|---|---|\n{rows}"
    )


def _row(item: Item, places: list[str], gap: str) -> str:
    said = [", ".join(_linked(place) for place in places)] if places else []
    said += [f"**gap: {gap}**"] if gap else []
    return f"| {item.number} | {item.section} | {item.asks} | {'; '.join(said)} |"


def _linked(place: str) -> str:
    """A section by its anchor, a file by its name."""
    if "/" in place or place.isupper():
        return f"`{place}`"
    return f"[{place}](#{place.lower().replace(' ', '-')})"
