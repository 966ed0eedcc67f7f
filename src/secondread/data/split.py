"""Train, validation and test splits that keep groups whole, and the shares of collections that stand beside them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secondread.data.manifest import Manifest
from secondread.errors import DataInvalid, UsageError
from secondread.tasks import N_

_NAMES = ("train", "val", "test")
# Read once, after everything is fixed: the test split, and hospitals never used to fit or choose anything.
MEASURED = (N_("test"), N_("external"), N_("external-negatives"), N_("localisation"))


def split(
    manifest: Manifest, *, fractions: Sequence[float] = (0.7, 0.1, 0.2), random_state: int | np.random.Generator = 0
) -> Manifest:
    """The manifest with every row in `train`, `val` or `test`; a group is never divided.

    fractions: of images, for train, val and test; they sum to 1 and only val or test may be 0.
    Each source × class is shared out in these proportions as well as whole groups allow, and every split holds both
    classes. Rows in `external…` or `localisation` stay there. The order of rows does not change what is drawn.
    Raises UsageError for impossible fractions, DataInvalid if a class has too few groups.
    """
    shares = _checked(fractions)
    free = [not _kept(row.split) for row in manifest.rows]
    _check_kept_whole(manifest, free)
    names = np.array(manifest.groups, dtype=object)[free]
    labels = manifest.labels[free]
    groups, index = np.unique(names, return_inverse=True) if len(names) else (names, names.astype(int))
    strata = _strata([row.source for row, is_free in zip(manifest.rows, free, strict=True) if is_free], labels)
    table = _Table(_count(index, strata, len(groups)), _count(index, labels.astype(int), len(groups), at_least=2))
    table.check(n_splits=int(np.count_nonzero(shares)))
    chosen = _assign(table, shares, np.random.default_rng(random_state))
    new = iter(chosen[index])
    rows = (replace(row, split=_NAMES[next(new)]) if f else row for row, f in zip(manifest.rows, free, strict=True))
    return Manifest(tuple(rows), manifest.folder)


@dataclass(frozen=True, eq=False)
class _Table:
    """How many images of each stratum and of each class a group holds."""

    strata: np.ndarray  # (n_groups, n_strata)
    classes: np.ndarray  # (n_groups, 2)

    def check(self, *, n_splits: int) -> None:
        """Raise DataInvalid unless every split can have a group of each class."""
        for label, count in enumerate((self.classes > 0).sum(axis=0)):
            if count < n_splits:
                raise DataInvalid(
                    f"label {label} has {count} groups, too few for {n_splits} splits; "
                    "add images of other patients, or set the fraction of a split to 0"
                )


def _assign(table: _Table, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of every group, int (n_groups,)."""
    sizes = table.strata.sum(axis=1)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]  # largest first; equals in random order
    chosen = np.full(len(sizes), -1)
    _seed(chosen, order[::-1], table.classes, np.flatnonzero(shares))
    totals = table.strata.sum(axis=0)
    wanted = shares[:, None] * totals  # (3, n_strata)
    for number in range(len(shares)):
        wanted[number] -= table.strata[chosen == number].sum(axis=0)
    # Chi-square distance from what is wanted: with plain squares large groups would all go to the largest split.
    weight = np.divide(1, shares[:, None] * totals, where=shares[:, None] > 0, out=np.zeros_like(wanted))
    for group in order[chosen[order] < 0]:
        size = table.strata[group]
        cost = ((size**2 - 2 * wanted * size) * weight).sum(axis=1)
        chosen[group] = np.argmin(np.where(shares > 0, cost, np.inf))
        wanted[chosen[group]] -= size
    return chosen


def _seed(chosen: np.ndarray, order: np.ndarray, classes: np.ndarray, splits: np.ndarray) -> None:
    """Give every split one group of each class, the smallest there are, the rarer class first.

    This cannot run out: a group that serves the first class and holds the second serves both in its split.
    """
    for label in np.argsort((classes > 0).sum(axis=0), kind="stable"):
        for number in splits[::-1]:
            if not classes[chosen == number, label].any():
                chosen[next(group for group in order if chosen[group] < 0 and classes[group, label])] = number


def _checked(fractions: Sequence[float]) -> np.ndarray:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6 or shares[0] == 0:
        raise UsageError(
            f"fractions {tuple(fractions)}: give three for train, val and test that sum to 1, train above 0"
        )
    return shares


def _kept(name: str) -> bool:
    return name.startswith("external") or name == "localisation"


def _check_kept_whole(manifest: Manifest, free: list[bool]) -> None:
    where: dict[str, set[bool]] = {}
    for group, is_free in zip(manifest.groups, free, strict=True):
        where.setdefault(group, set()).add(is_free)
    if torn := [group for group, both in where.items() if len(both) == 2]:
        raise DataInvalid(
            f"group '{torn[0]}' is partly in a split that is kept (external or localisation) and partly not "
            f"({len(torn)} such groups); give all its rows one split first"
        )


def _strata(sources: list[str], labels: np.ndarray) -> np.ndarray:
    """A number for each source × class, int (n,)."""
    names = [f"{source}\0{int(label)}" for source, label in zip(sources, labels, strict=True)]
    return np.unique(names, return_inverse=True)[1] if names else np.zeros(0, dtype=int)


def _count(index: np.ndarray, columns: np.ndarray, n_groups: int, *, at_least: int = 0) -> np.ndarray:
    table = np.zeros((n_groups, max(at_least, columns.max(initial=-1) + 1)))
    np.add.at(table, (index, columns), 1)
    return table


SHARED = ("localisation", "external-negatives")


def part_of(split: str, group: str) -> str:
    """Which part of the data a row belongs to where shared collections are divided too: 'train', 'val' or 'test'."""
    if split in SHARED:
        share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
        return "train" if share < 0.6 else "val" if share < 0.8 else "test"
    return split if split in ("train", "val") else "test"


def training_share(manifest: Manifest, split: str) -> Manifest:
    """The rows of a shared split that may be trained on."""
    return _rows_in(manifest, split, {"train"})


def validation_share(manifest: Manifest, split: str) -> Manifest:
    """The rows of a shared split that thresholds may be chosen on."""
    return _rows_in(manifest, split, {"val"})


def held_out_share(manifest: Manifest, split: str, *, checked: bool) -> Manifest:
    """The rows of a shared split that are left to measure with; without those of thresholds where these were chosen."""
    return _rows_in(manifest, split, {"test"} if checked else {"val", "test"})


_VALIDATES = 5  # one group in so many


def is_fifth(group: str) -> bool:
    """Whether a group is of the fifth that validates where a source has no validation rows: the same in every run."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) % _VALIDATES == 0


def with_validation(manifest: Manifest, sources: Sequence[str]) -> Manifest:
    """The manifest with a fifth of the groups of these sources' `train` rows in `val`, so that thresholds can be shown
    there too. Its fingerprint is another; the data are the same.

    Raises DataInvalid for a source that has validation rows of its own, or no training rows.
    """
    for source in sources:
        splits = {row.split for row in manifest.rows if row.source == source}
        if "train" not in splits or "val" in splits:
            has = "has validation rows of its own" if "val" in splits else "has no training rows"
            raise DataInvalid(f"source '{source}' {has}; take it out of val_from")
    named = list(zip(manifest.rows, manifest.groups, strict=True))
    chosen = {group for row, group in named if row.split == "train" and row.source in sources and is_fifth(group)}
    moved = tuple(
        replace(row, split="val") if row.split == "train" and group in chosen else row for row, group in named
    )
    return Manifest(moved, manifest.folder) if sources else manifest


def roles(
    manifest: Manifest, *, lesions_from: Sequence[str] = (), thresholds_from: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Which rows teach the weights and which choose (epoch, calibration, thresholds): {role, split, source, n, …}.

    lesions_from: shared splits that teach with their training share; thresholds_from: those that choose with another.
    """
    taught = [manifest.split("train"), *(training_share(manifest, name) for name in lesions_from)]
    chose = [manifest.split("val"), *(validation_share(manifest, name) for name in thresholds_from)]
    return counted("taught", taught) + counted("chose", chose)


def counted(role: str, parts: Sequence[Manifest]) -> list[dict[str, Any]]:
    """{role, split, source, n, n_positive} for every split and source of these rows."""
    rows = [row for part in parts for row in part.rows]
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        found.setdefault((row.split, row.source), []).append(row.label)
    return [
        {"role": role, "split": split, "source": source, "n": len(labels), "n_positive": sum(labels)}
        for (split, source), labels in found.items()
    ]


def _rows_in(manifest: Manifest, split: str, parts: set[str]) -> Manifest:
    rows = tuple(
        row
        for row, group in zip(manifest.rows, manifest.groups, strict=True)
        if row.split == split and part_of(split, group) in parts
    )
    return Manifest(rows, manifest.folder)
