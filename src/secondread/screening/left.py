"""What is left to be read of a source, behind what a journal knows; small enough to be sent to another process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from secondread.errors import Conflict
from secondread.files import shown
from secondread.images import Limits
from secondread.screening.journal import Known
from secondread.screening.picture import Picture
from secondread.screening.source import pictures


@dataclass(frozen=True)
class Left:
    """first: the number of the first picture that has no row. early: those behind it that have one, by number.

    found: the pictures from `first` on, where somebody is listing them already; else the source is listed once more.
    """

    source: str
    limits: Limits
    but: tuple[Path, ...]
    journal: Path
    first: int
    early: Mapping[int, Known]
    found: Iterator[Picture] | None = None

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """(number, picture) of each that is to be read. Raises Conflict where the source is not what it was."""
        found = self.found
        if found is None:
            found = islice(pictures(self.source, limits=self.limits, but=self.but), self.first, None)
        unseen = dict(self.early)
        for number, picture in enumerate(found, self.first):
            if (known := unseen.pop(number, None)) is not None:
                check_same(picture, known, self.journal)
            else:
                yield number, picture
        for known in unseen.values():
            check_same(None, known, self.journal)


def check_same(picture: Picture | None, known: Known, journal: Path) -> None:
    """Raise Conflict unless this is the picture that was read then, and its file is the same."""
    if picture is not None and (picture.name, picture.stamp) == (known.name, known.stamp):
        return
    moved = picture is None or picture.name != known.name
    what = f"'{known.name}' is not where it was" if moved else f"'{known.name}' has another size or date"
    raise Conflict(
        f"what is to be read has changed since '{shown(journal)}' was begun: {what}; delete the journal to begin anew"
    )
