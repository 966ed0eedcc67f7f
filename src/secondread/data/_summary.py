"""What a manifest holds, in numbers: counts, groups, the accuracy of guessing, and what is wrong with it."""

from typing import Any

from secondread.data._manifest import Manifest, Row


def summarise(manifest: Manifest) -> dict[str, Any]:
    """Plain numbers, ready for JSON.

    `majority_accuracy` is what always answering with the commoner class scores: no accuracy means anything without it.
    `divided_…` are groups or patients in two splits, which are leaks; `missing`, rows whose files are not there.
    """
    return {
        "folder": str(manifest.folder),
        **_counts(manifest),
        "splits": {name: _split(manifest, name) for name in manifest.splits()},
        "divided_groups": {name: list(splits) for name, splits in manifest.divided().items()},
        "divided_patients": {name: list(splits) for name, splits in manifest.divided("patient").items()},
        "missing": [row.name for row in manifest.missing()],
    }


def _split(manifest: Manifest, name: str) -> dict[str, Any]:
    rows = [row for row in manifest.rows if row.split == name]
    by_source: dict[str, list[Row]] = {row.source: [] for row in sorted(rows, key=lambda row: row.source)}
    for row in rows:
        by_source[row.source].append(row)
    sources = {source: _counts(Manifest(tuple(some), manifest.folder)) for source, some in by_source.items()}
    return {**_counts(Manifest(tuple(rows), manifest.folder)), "sources": sources}


def _counts(manifest: Manifest) -> dict[str, Any]:
    n, positives = len(manifest), int(manifest.labels.sum())
    return {
        "n": n,
        "negatives": n - positives,
        "positives": positives,
        "groups": len(set(manifest.groups)),
        "patients": len({row.patient for row in manifest.rows} - {""}),
        "majority_accuracy": max(positives, n - positives) / n,
    }
