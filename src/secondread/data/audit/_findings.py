"""What an audit says: one sentence for each thing that is wrong or worth knowing."""

from dataclasses import dataclass
from typing import Any

from secondread.data.audit._duplicates import Pair
from secondread.data.audit._looks import Looks
from secondread.data.audit._shortcuts import Shortcut

KINDS = {  # what may be found → what it means
    "leakage": "one image, patient or group in two splits",
    "groups": "a patient or group in two splits",
    "duplicates": "one image more than once in a split, under different groups",
    "labels": "one image with two labels",
    "unreadable": "a file that is missing, damaged or no image",
    "shortcut": "the label can be told without reading the image",
}
_UNBALANCED = 0.75  # accuracy of always giving the commoner answer: from here on accuracy alone misleads


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (an alarm), or worth knowing (a note)."""

    kinds: tuple[str, ...]  # of KINDS; of a note, what it is about
    level: str  # 'alarm' or 'note'
    count: int
    sentence: str


def findings_of(
    looks: Looks, pairs: tuple[Pair, ...], shortcuts: tuple[Shortcut, ...], summary: dict[str, Any]
) -> tuple[Finding, ...]:
    """Alarms first, each in the order of KINDS."""
    found = [
        *_copies(looks, pairs),
        *_divided(summary),
        *_unreadable(looks),
        *(_shortcut(one) for one in shortcuts if one.level),
        *_balance(summary),
    ]
    return tuple(sorted(found, key=lambda finding: finding.level != "alarm"))


def _copies(looks: Looks, pairs: tuple[Pair, ...]) -> list[Finding]:
    said = {
        "leakage": "lie in two splits and show one picture: give both one group and split anew",
        "duplicates": "lie in one split, in different groups, and show one picture: delete one, or give both one group",
        "labels": "show one picture and have different labels: one of them is wrong",
    }
    found = []
    for kind, sentence in said.items():
        if of_kind := [pair for pair in pairs if kind in pair.kinds]:
            first, second = (looks.rows[number].name for number in (of_kind[0].first, of_kind[0].second))
            exact = sum(pair.how != "near" for pair in of_kind)
            text = f"{_many(len(of_kind), 'pair')} of images ({exact} exact, {len(of_kind) - exact} near)"
            example = f"such as '{first}' and '{second}'"
            found.append(Finding((kind,), "alarm", len(of_kind), f"{text} {sentence}; {example}."))
    return found


def _divided(summary: dict[str, Any]) -> list[Finding]:
    found = []
    for what in ("patient", "group"):
        if divided := summary[f"divided_{what}s"]:
            name, splits = next(iter(divided.items()))
            verb = "lies" if len(divided) == 1 else "lie"
            text = f"{_many(len(divided), what)} {verb} in two splits, such as '{name}' in {' and '.join(splits)}"
            found.append(Finding(("groups", "leakage"), "alarm", len(divided), f"{text}: split anew by group."))
    return found


def _unreadable(looks: Looks) -> list[Finding]:
    if not looks.unreadable:
        return []
    first = looks.unreadable[0]
    text = f"{_many(len(looks.unreadable), 'file')} cannot be read, such as '{first.row.name}': {first.why}"
    return [Finding(("unreadable",), "alarm", len(looks.unreadable), f"{text}.")]


def _shortcut(one: Shortcut) -> Finding:
    measured = f"AUC {one.auc:.3f} ({one.low:.3f}–{one.high:.3f}, n = {one.n:,})"
    what = "the label" if one.target == "label" else "the source"
    inside = f" inside {one.source}" if one.source else ""
    by = f"; '{one.strongest}' does most" if one.strongest else ""
    text = f"Given only {one.title}, a small model tells {what}{inside}: {measured}{by}."
    return Finding(("shortcut",), one.level, 1, text)


def _balance(summary: dict[str, Any]) -> list[Finding]:
    found = []
    for name, split in summary["splits"].items():
        if split["majority_accuracy"] >= _UNBALANCED and min(split["positives"], split["negatives"]):
            answer = "negative" if split["negatives"] >= split["positives"] else "positive"
            text = (
                f"Always answering '{answer}' is right in {split['majority_accuracy']:.1%} of "
                f"{name or 'all images'} (n = {split['n']:,}): accuracy alone says little."
            )
            found.append(Finding(("balance",), "note", split["n"], text))
    return found


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
