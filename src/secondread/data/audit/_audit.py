"""An audit of labelled images: everything that makes a measured accuracy say less than it seems to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from secondread.data._manifest import Manifest
from secondread.data._summary import summarise
from secondread.data.audit._duplicates import Pair, clusters, count_pairs, find_pairs
from secondread.data.audit._findings import KINDS, Finding, findings_of
from secondread.data.audit._looks import Looks, Progress, Unreadable, look
from secondread.data.audit._shortcuts import Shortcut, label_shortcuts, source_shortcuts
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
    findings: tuple[Finding, ...]

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
