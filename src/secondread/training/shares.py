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
    return _parts(manifest, split, {"teach"})


def checking_part(manifest: Manifest, split: str) -> Manifest:
    """The rows of a shared split that thresholds may be chosen on."""
    return _parts(manifest, split, {"check"})


def measuring_part(manifest: Manifest, split: str, *, checked: bool) -> Manifest:
    """The rows of a shared split that are left to measure with; without those of thresholds where these were chosen."""
    return _parts(manifest, split, {"measure"} if checked else {"check", "measure"})


def _parts(manifest: Manifest, split: str, parts: set[str]) -> Manifest:
    rows = tuple(
        row
        for row, group in zip(manifest.rows, manifest.groups, strict=True)
        if row.split == split and part_of(split, group) in parts
    )
    return Manifest(rows, manifest.folder)
