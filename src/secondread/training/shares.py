"""Who may learn from what: collections of one label are divided by group between teaching, thresholds and measuring."""

import hashlib

from secondread.data import Manifest

SHARED = ("localisation", "external-negatives")


def part_of(split: str, group: str) -> str:
    """Which part of the data a row belongs to where shared collections teach too: 'teach', 'check' or 'measure'."""
    if split in SHARED:
        share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
        return "teach" if share < 0.6 else "check" if share < 0.8 else "measure"
    return {"train": "teach", "val": "check"}.get(split, "measure")


def teaching_part(manifest: Manifest, split: str) -> Manifest:
    """The rows of a shared split that may teach."""
    return _part(manifest, split, teaches=True)


def untaught_part(manifest: Manifest, split: str) -> Manifest:
    """The rows of a shared split that are left to measure with."""
    return _part(manifest, split, teaches=False)


def _part(manifest: Manifest, split: str, *, teaches: bool) -> Manifest:
    rows = tuple(
        row
        for row, group in zip(manifest.rows, manifest.groups, strict=True)
        if row.split == split and (part_of(split, group) == "teach") is teaches
    )
    return Manifest(rows, manifest.folder)
