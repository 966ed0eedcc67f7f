"""Reads an archive picture by picture, in its order, into a journal and from there into the table."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from secondread import __version__
from secondread.errors import Conflict, UploadRefused
from secondread.files import shown
from secondread.images import Limits
from secondread.reading import Reader, load
from secondread.screening.journal import Journal
from secondread.screening.source import Picture, count, pictures
from secondread.screening.table import check_kind, write_table

Progress = Callable[[int, int | None], None]  # (pictures done, of how many; None where that is not known)


@dataclass(frozen=True)
class Screened:
    """What a run came to. decisions: pictures by decision, and 'refused'. resumed: how many were there from before."""

    n: int
    decisions: dict[str, int]
    not_opened: int
    resumed: int


def screen(
    source: str | Path,
    *,
    out: str | Path,
    reference: str | Path = "auto",
    operating_point: str | None = None,
    limits: Limits | None = None,
    gate: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Screened:
    """Read everything in `source` and write one row a picture, in its order, refusals among them.

    source: a folder, a zip or tar file, or a CSV with the column `path`. out: ends with .parquet or .csv; written when
    all is read, renamed when it is whole. Until then `OUT.journal` lies beside it: asked the same again, a run that was
    killed goes on behind its last row. reference: as of `load`. workers: threads; by default one for each core.
    Raises CannotOpen, UsageError for another ending, UploadRefused for an archive that cannot be read, Conflict for the
    journal of another run or a source that changed since, ExtraMissing, and as `load`.
    """
    source, out = Path(source), Path(out)
    limits = limits or Limits()
    check_kind(out)
    reader = load(reference, operating_point=operating_point, limits=limits, gate=gate)
    if isinstance(reader, Reader):
        reader.bundle.operating_point(operating_point)  # a wrong name is told before anything is read
    asked = {
        "source": shown(source.absolute()),
        "reader": reader.bundle.id if isinstance(reader, Reader) else str(reference),
        "operating_point": operating_point,
        "limits": [limits.max_pixels, limits.max_bytes, limits.max_frames],
        "gate": gate,
        "version": __version__,
    }
    beside = out.with_name(f"{out.name}.journal")
    found = pictures(source, limits=limits, but=(out, beside))
    total = count(source, but=(out, beside))
    with Journal(beside, asked) as journal:
        resumed = journal.n_known
        done = resumed
        for row in _rows(reader, _behind(found, journal), workers=workers):
            journal.add(row)
            done += 1
            if progress is not None:
                progress(done, total)
        decisions: Counter[str] = Counter()
        write_table(_counted(journal.rows(), decisions), out)
        journal.remove()
    not_opened = decisions.pop("", 0)
    decisions["refused"] += not_opened
    return Screened(done, dict(decisions), not_opened, resumed)


def _behind(found: Iterator[Picture], journal: Journal) -> Iterator[Picture]:
    """What is not read yet. Raises Conflict where the source is not what it was."""
    for row in islice(journal.rows(), journal.n_known):
        picture = next(found, None)
        if picture is None or picture.name != row["path"]:
            raise Conflict(
                f"what is to be read has changed since '{shown(journal.path)}' was begun: '{row['path']}' is not where "
                "it was; delete the journal to begin anew"
            )
    yield from found


def _rows(reader: Any, found: Iterator[Picture], *, workers: int | None) -> Iterator[dict[str, Any]]:
    """One row a picture, in order; those that cannot be taken out of their archive stand between the others."""
    waiting: deque[Picture] = deque()

    def readable() -> Iterator[Path | bytes]:
        for picture in found:
            waiting.append(picture)
            if not isinstance(picture.content, UploadRefused):
                yield picture.content

    for reading in reader.read_many(readable(), workers=workers):
        yield from _refused(waiting)
        yield reading.to_dict(path=waiting.popleft().name)
    yield from _refused(waiting)


def _refused(waiting: deque[Picture]) -> Iterator[dict[str, Any]]:
    """Rows of the refused ones that are next."""
    while waiting and isinstance(error := waiting[0].content, UploadRefused):
        refusal = {"code": error.code, "message": str(error)}
        yield {"path": waiting.popleft().name, "refusal": refusal}


def _counted(rows: Iterator[dict[str, Any]], decisions: Counter[str]) -> Iterator[dict[str, Any]]:
    """The same rows. decisions: counts them; under '' those that could not be opened."""
    for row in rows:
        refusal = row["refusal"]
        code = refusal["code"] if refusal else None
        decisions["" if code == "cannot_open" else "refused" if code else row["decision"]] += 1
        yield row
