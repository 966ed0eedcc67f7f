"""Which images of a manifest a site has, and which of them teach, choose and measure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from secondread.data import Manifest, Row
from secondread.data.split import SHARED, part_of
from secondread.errors import DataInvalid, UsageError
from secondread.evidence.localisation import load_lesions

_FIFTH = 5  # one group in so many validates where a site has no validation rows
_LEAST_TO_DIVIDE = 2

_CLASSES = (0, 1)
PARTS = ("train", "val", "test")

Column = Literal["source", "note"]
Teaches = Literal["labels", "lesions"]


@dataclass(frozen=True)
class SiteData:
    """A site's own images by what they do; no group is in two of them."""

    name: str
    train: Manifest
    val: Manifest
    test: Manifest | None  # None: nothing is left to measure with
    refused: Mapping[str, int] = field(default_factory=dict)  # code → images that teach nothing, by the shipped gate

    @property
    def teaches(self) -> Teaches:
        """'lesions' where all images that teach are diseased, or all healthy: by their labels they would teach that
        this site's look is the disease; where lesions lie in an image, and where none do, they can teach."""
        return "labels" if len({row.label for row in self.train.rows}) == len(_CLASSES) else "lesions"

    def counts(self) -> dict[str, int]:
        """Images, and diseased ones, of every part: what a site tells of its data."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        found = {name: (0, 0) if part is None else (len(part), int(part.labels.sum())) for name, part in parts.items()}
        return {f"{name}{end}": found[name][n] for name in found for n, end in enumerate(("", "-positive"))}

    def fingerprint(self) -> str:
        """SHA-256 over all of the site's images, names and labels, as `Manifest.fingerprint`."""
        parts = [part for part in (self.train, self.val, self.test) if part is not None]
        return Manifest(tuple(row for part in parts for row in part.rows), self.train.folder).fingerprint()


def site_data(name: str, manifest: Manifest) -> SiteData:
    """The rows of `train`, `val` and `test`; without validation rows, a fifth of the groups of `train` validates.

    Without any of `train`, those of the shared collections (`localisation`, `external-negatives`), dealt by group as
    everywhere. Images of one class alone teach by their lesions, see `SiteData.teaches`.
    Raises DataInvalid where nothing can teach, or where what chooses lacks a class that teaches.
    """
    by_split = _rows_by_part(manifest)
    train, val = by_split["train"], by_split["val"]
    if not val:
        groups = Manifest(train, manifest.folder).groups
        apart = [_fifth(group) for group in groups]
        val = tuple(replace(row, split="val") for row, away in zip(train, apart, strict=True) if away)
        train = tuple(row for row, away in zip(train, apart, strict=True) if not away)
    folder, test = manifest.folder, by_split["test"]
    data = SiteData(name, Manifest(train, folder), Manifest(val, folder), Manifest(test, folder) if test else None)
    if data.teaches == "labels" and len({row.label for row in val}) < len(_CLASSES):
        raise DataInvalid(
            f"site '{name}' has {len(val)} images to choose by and not both classes among them; give it images of the "
            "other class, or let it join with another source"
        )
    if not train:
        raise DataInvalid(
            f"site '{name}' has no image to learn from: its {len(val) + (len(test) if test else 0)} images choose and "
            "measure; give it more, or mark some with the split train"
        )
    if data.teaches == "lesions" and not _lesions_known(data.train):
        raise DataInvalid(
            f"site '{name}' has {len(train)} images to learn from and not both classes among them, nor is it known of "
            "any where its lesions lie; give it images of the other class, a column `mask`, or boxes.json beside the "
            "manifest, or let it join with another source"
        )
    return data


def _rows_by_part(manifest: Manifest) -> dict[str, tuple[Row, ...]]:
    """By split; of shared collections, where nothing else teaches, as if each part that they are dealt in were one."""
    if any(row.split == "train" for row in manifest.rows):
        rows: Sequence[Row] = manifest.rows
    else:
        rows = [
            replace(row, split=part_of(row.split, group)) if row.split in SHARED else row
            for row, group in zip(manifest.rows, manifest.groups, strict=True)
        ]
    return {part: tuple(row for row in rows if row.split == part) for part in PARTS}


def _lesions_known(train: Manifest) -> bool:
    """Whether of any image it is known where its lesions lie: of a healthy one, nowhere."""
    if any(row.label == 0 for row in train.rows):
        return True
    lesions = load_lesions(train)
    return any(lesions.known(row) for row in train.rows)


def _fifth(group: str) -> bool:
    return int(hashlib.sha256(f"validation {group}".encode()).hexdigest()[:8], 16) % _FIFTH == 0


def sites_of(
    manifest: Manifest,
    *,
    column: Column = "source",
    together: Mapping[str, Sequence[str]] | None = None,
    divide: Mapping[str, int] | None = None,
    lesions_from: Sequence[str] = (),
) -> dict[str, Manifest]:
    """The manifest by hospital, for a simulation: name → rows, in the order of the names.

    together: name → sources that are one hospital. divide: hospital → into how many its groups (patients) are dealt,
    as `name-1` and so on. lesions_from: shared collections, of one class, whose sources are hospitals too. Rows of all
    other splits are nobody's.
    Raises UsageError for a name that is not there, DataInvalid with fewer than two hospitals.
    """
    rows = [row for row in manifest.rows if row.split in (*PARTS, *lesions_from)]
    joined = {source: name for name, members in (together or {}).items() for source in members}
    known = {getattr(row, column) for row in rows}
    if unknown := sorted(set(joined) - known):
        raise UsageError(f"there is no {column} '{unknown[0]}' in this manifest; known: {', '.join(sorted(known))}")
    found: dict[str, list[Row]] = {}
    for row in rows:
        value = getattr(row, column)
        if not value:
            raise DataInvalid(f"'{row.name}' has no {column}, so it is nobody's; fill in the column")
        found.setdefault(joined.get(value, value), []).append(row)
    for name, count in (divide or {}).items():
        if name not in found:
            raise UsageError(f"there is no hospital '{name}' to divide; known: {', '.join(sorted(found))}")
        if count < _LEAST_TO_DIVIDE:
            raise UsageError(f"a hospital is divided into two or more, not {count}")
        found |= _dealt(name, Manifest(tuple(found.pop(name)), manifest.folder), count)
    if len(found) < _LEAST_TO_DIVIDE:
        raise DataInvalid(
            f"{len(found)} hospital in this manifest by '{column}'; federated training needs two: divide one by "
            "its patients with --divide NAME=2"
        )
    return {name: Manifest(tuple(found[name]), manifest.folder) for name in sorted(found)}


def _dealt(name: str, whole: Manifest, count: int) -> dict[str, list[Row]]:
    """Group by group, by a hash: who is where does not hang on the order of rows."""
    parts: dict[str, list[Row]] = {f"{name}-{number}": [] for number in range(1, count + 1)}
    for row, group in zip(whole.rows, whole.groups, strict=True):
        number = int(hashlib.sha256(f"site {group}".encode()).hexdigest()[:8], 16) % count + 1
        parts[f"{name}-{number}"].append(row)
    return {part: rows for part, rows in parts.items() if rows}
