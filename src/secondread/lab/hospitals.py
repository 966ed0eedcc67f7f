"""Which hospitals of a manifest can be left out, and who teaches and who chooses while each is away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secondread.data import Manifest, Row
from secondread.data.split import is_fifth
from secondread.errors import DataInvalid, UsageError
from secondread.training.prepare import lesion_rows, val_rows


@dataclass(frozen=True)
class Hospital:
    """One hospital left out: who teaches, who chooses the epoch and the threshold, and on what it is measured."""

    name: str
    train: tuple[Row, ...]
    val: tuple[Row, ...]
    measured: tuple[Row, ...]
    elsewhere: Manifest  # all rows that are neither of this hospital nor of a group of its

    def lesions(self, lesions_from: Sequence[str]) -> tuple[Row, ...]:
        """Rows of shared collections that teach by their lesions."""
        return lesion_rows(self.elsewhere, lesions_from)

    def checks(self, lesions_from: Sequence[str]) -> tuple[Row, ...]:
        """Rows of these that thresholds are chosen on besides validation, as a bundle's are."""
        return val_rows(self.elsewhere, lesions_from)


def hospitals_of(
    manifest: Manifest, *, together: Mapping[str, Sequence[str]] | None = None, blocks: int = 0
) -> tuple[Hospital, ...]:
    """The hospitals that can be left out: those with both classes in train and val whose absence leaves both.

    together: name → sources that count as one hospital, such as web collections that copy from each other.
    blocks: where there is one collection alone, so many blocks of its groups stand for hospitals.
    Where the others have no validation rows of both classes, a fifth of their groups validates.
    Raises DataInvalid where fewer than two can be left out, UsageError for a source that is not there.
    """
    names = _blocks(manifest, blocks) if blocks else _names(manifest, together or {})
    pool = [number for number, row in enumerate(manifest.rows) if row.split in ("train", "val")]
    groups, found = manifest.groups, []
    for name in sorted({names[number] for number in pool} - {""}):
        measured = tuple(manifest.rows[number] for number in pool if names[number] == name)
        away = {group for group, own in zip(groups, names, strict=True) if own == name}
        stays = [own != name and group not in away for group, own in zip(groups, names, strict=True)]
        elsewhere = tuple(row for row, here in zip(manifest.rows, stays, strict=True) if here)
        rest = Manifest(tuple(row for row in elsewhere if row.split in ("train", "val")), manifest.folder)
        train, val = _divided(rest)
        if all(len({row.label for row in rows}) == 2 for rows in (train, val, measured)):
            found.append(Hospital(name, train, val, measured, Manifest(elsewhere, manifest.folder)))
    if len(found) < 2:
        raise DataInvalid(
            f"{len(found)} hospitals can be left out; it takes two sources or more that have both classes among the "
            "train and val rows (see `secondread data info`)"
        )
    return tuple(found)


def _names(manifest: Manifest, together: Mapping[str, Sequence[str]]) -> list[str]:
    sources = {row.source for row in manifest.rows}
    joined = {source: name for name, members in together.items() for source in members}
    if unknown := sorted(set(joined) - sources):
        raise UsageError(f"there is no source '{unknown[0]}' in this manifest; known: {', '.join(sorted(sources))}")
    return [joined.get(row.source, row.source) for row in manifest.rows]


def _blocks(manifest: Manifest, count: int) -> list[str]:
    """A block for each row of train and val, '' for the others. Groups stay whole, classes are dealt evenly."""
    from sklearn.model_selection import StratifiedGroupKFold

    pool = [number for number, row in enumerate(manifest.rows) if row.split in ("train", "val")]
    labels, groups = ([column[number] for number in pool] for column in (manifest.labels, manifest.groups))
    if len(set(groups)) < count:
        raise UsageError(f"{len(set(groups))} groups in train and val do not make {count} blocks; ask for fewer")
    names = [""] * len(manifest.rows)
    dealt = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(pool, labels, groups)
    for block, (_, places) in enumerate(dealt, start=1):
        for place in places:
            names[pool[place]] = f"block-{block}"
    return names


def _divided(rest: Manifest) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Rows that teach and rows that validate."""
    train, val = (tuple(row for row in rest.rows if row.split == name) for name in ("train", "val"))
    if len({row.label for row in val}) == 2:
        return train, val
    apart = [(row, is_fifth(group)) for row, group in zip(rest.rows, rest.groups, strict=True)]
    return tuple(row for row, validates in apart if not validates), tuple(row for row, validates in apart if validates)
