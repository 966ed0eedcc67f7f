"""An audit of labelled images: everything that makes a measured accuracy say less than it seems to, in sentences."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.auditing.duplicates import Pair, clusters, count_pairs, find_pairs
from secondread.auditing.looks import Looks, Progress, Unreadable, look
from secondread.auditing.shortcuts import Shortcut, label_shortcuts, source_shortcuts
from secondread.data.manifest import Manifest, summarise
from secondread.errors import DataInvalid, UnknownName

FORMAT, VERSION = "secondread-audit", 1  # of audit.json; raise the version when a field changes its meaning
_COPIES = ("leakage", "duplicates", "labels")  # kinds that pairs of images stand behind
_LISTED = 1000  # pairs of each kind kept in audit.json; the counts are always whole


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a manifest."""

    summary: dict[str, Any]  # of `data.summarise`
    looks: Looks
    pairs: tuple[Pair, ...]
    shortcuts: tuple[Shortcut, ...]
    findings: tuple["Finding", ...]

    def __repr__(self) -> str:
        levels = [finding.level for finding in self.findings]
        told = ", ".join(f"{levels.count(level)} {level}" for level in dict.fromkeys(levels))
        return f"<Audit of {_many(self.summary['n'], 'image')}: {told or 'nothing found'}>"

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Files that are missing, damaged or no images."""
        return self.looks.unreadable

    def found(self, kind: str) -> bool:
        """Whether an alarm of this kind was raised. Raises UnknownName."""
        if kind not in KINDS:
            raise UnknownName.of("kind of finding", kind, KINDS)
        return any(kind in finding.kinds and finding.level == "alarm" for finding in self.findings)

    def copies(self, kind: str) -> tuple[Pair, ...]:
        """The pairs of images behind 'leakage', 'duplicates' or 'labels', exact copies first."""
        return tuple(pair for pair in self.pairs if kind in pair.kinds)

    def to_dict(self) -> dict[str, Any]:
        """As audit.json keeps it; rows go by their path in the manifest."""
        copies: dict[str, Any] = count_pairs(len(self.looks), self.pairs)
        for kind in _COPIES:
            pairs = self.copies(kind)
            copies[kind] = {"n": len(pairs), "listed": [self._named(pair) for pair in pairs[:_LISTED]]}
        return {
            "format": FORMAT,
            "version": VERSION,
            "findings": [asdict(finding) for finding in self.findings],
            "balance": self.summary
            | {"folder": Path(self.summary["folder"]).name},  # where it lay matters to no one else
            "unreadable": [{"path": one.row.name, "code": one.code, "why": one.why} for one in self.unreadable],
            "copies": copies,
            "shortcuts": [asdict(shortcut) for shortcut in self.shortcuts],
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: the findings, the classes on bars, and pictures of the first copies."""
        from secondread.auditing.notebook import audit_html

        return audit_html(self)

    def _named(self, pair: Pair) -> dict[str, Any]:
        rows = self.looks.rows
        return {**asdict(pair), "first": rows[pair.first].name, "second": rows[pair.second].name}


def audit(
    manifest: Manifest,
    *,
    splits: Sequence[str] | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
) -> Audit:
    """Read every file once, and find copies, leaks, unreadable files and shortcuts.

    splits: where the label's shortcuts are measured; by default `train`, or everything where there is no such split.
    Take a manifest that was read with check=False: missing files and divided groups are findings here, not errors.
    Raises DataInvalid if no file can be read or a split is not there, and ExtraMissing.
    """
    splits = tuple(splits) if splits is not None else tuple(name for name in manifest.splits() if name == "train")
    for name in splits:
        manifest.split(name)  # raises for one that is not there
    looks = look(manifest, progress=progress)
    if not len(looks):
        first = looks.unreadable[0]
        raise DataInvalid(f"none of {len(manifest)} images can be read; the first, '{first.row.name}': {first.why}")
    pairs = find_pairs(looks, progress=progress)
    together = _together(looks, pairs)
    chosen = np.array([not splits or row.split in splits for row in looks.rows], dtype=bool)
    where = " + ".join(splits) or "all images"
    shortcuts = (
        *label_shortcuts(looks, chosen, together, where=where, random_state=random_state, progress=progress),
        *source_shortcuts(looks, together, random_state=random_state, progress=progress),
    )
    summary = summarise(manifest)
    return Audit(summary, looks, pairs, shortcuts, findings_of(looks, pairs, shortcuts, summary))


def _together(looks: Looks, pairs: tuple[Pair, ...]) -> np.ndarray:
    """A number for each row, the same for all of one group and for copies: what cross-validation must not divide."""
    first_of: dict[str, int] = {}
    same = [(first_of.setdefault(group, number), number) for number, group in enumerate(looks.groups)]
    return clusters(len(looks), [*same, *((pair.first, pair.second) for pair in pairs)])


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
) -> tuple["Finding", ...]:
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
