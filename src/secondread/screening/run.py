"""Reads an archive picture by picture, into a journal and, in its order, into the table."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from secondread import __version__
from secondread.errors import UsageError
from secondread.files import shown
from secondread.images import Limits
from secondread.reading import Reader
from secondread.screening.archives import is_table
from secondread.screening.engine import Answered, Keep, read_here
from secondread.screening.journal import Journal
from secondread.screening.left import Left, check_same
from secondread.screening.objects import is_remote
from secondread.screening.picture import Question, Row, RowOf
from secondread.screening.source import Total, pictures, stamp
from secondread.screening.store import Store
from secondread.screening.table import aside_of, check_kind, table

Progress = Callable[[int, int | None], None]  # (pictures done, of how many; None where that is not known)
ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Screened:
    """What a run came to. decisions: pictures by decision, and 'refused'. resumed: how many were there from before."""

    n: int
    decisions: dict[str, int]
    not_opened: int
    resumed: int


class Read(Protocol):
    """An engine, ready to read."""

    def __call__(self, left: Left, *, keep: Keep) -> Iterator[Answered]:
        """The rows of what is left, in order; `keep` is given each as soon as it is there."""
        ...


def screen(
    source: str | Path,
    *,
    out: str | Path,
    reference: str | Path = "auto",
    operating_point: str | None = None,
    frame: int | None = None,
    limits: Limits | None = None,
    gate: bool = True,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Screened:
    """Read everything in `source` and write one row a picture, in its order, refusals among them.

    source: a folder, a zip or tar file, or a CSV with the column `path`; or one of these as s3://bucket/…, credentials
    and endpoint from the environment. out: ends with .parquet or .csv; renamed when it is whole. Until then
    `OUT.journal` lies beside it: asked the same again, a run that was killed goes on, and reads nothing that has a row.
    reference: as of `load`. frame: of files of several, this one alone, from 1. engine: 'local', on the cores of this
    machine, or 'ray', on a cluster; workers: how many read at a time, by default as many as there are cores. address:
    of the cluster (see `connected`). store: answers in place of a reader, here alone.
    Raises CannotOpen, UsageError (also for a source without any image: no table is written then), UploadRefused for an
    archive that cannot be read, Conflict for the journal of another run or a source that changed since, ExtraMissing,
    and as `load`.
    """
    run = _Run(
        str(source), Path(out), Question(str(reference), operating_point, limits or Limits(), gate, frame), workers
    )
    check_kind(run.out)
    if engine not in ENGINES:
        raise UsageError(f"no engine is called '{engine}'; name one of: {', '.join(ENGINES)}")
    if store and engine != "local":
        raise UsageError("what is kept in a service's store is read on this machine: leave out --engine ray")
    with ExitStack() as stack:
        if store:
            who, read = store.name, replace(run, workers=workers or store.threads).here(store.row_of)
        else:
            reader = run.question.reader()  # a wrong name is told before anything is read
            who = reader.bundle.id if isinstance(reader, Reader) else str(reference)
            read = (
                run.here(run.question.row_of(reader)) if engine == "local" else stack.enter_context(run.there(address))
            )
        journal = stack.enter_context(Journal(run.beside, run.asked(who)))
        with table(run.out) as write:
            found = run.all(journal, write, read, progress)
            if not found.n:  # no table is left that looks as if all had been read
                journal.remove()
                raise UsageError(
                    f"no image was found in '{shown(run.source)}'; name a folder, an archive or a table that holds "
                    "some (hidden ones are not read)"
                )
        journal.remove()
    return found


@dataclass(frozen=True)
class _Run:
    """One archive on its way into one table."""

    source: str
    out: Path
    question: Question
    workers: int | None

    @property
    def beside(self) -> Path:
        """The journal's place."""
        return self.out.with_name(f"{self.out.name}.journal")

    @property
    def but(self) -> tuple[Path, ...]:
        """What is no picture, where the table lies in the folder that is read."""
        return self.out, self.beside, aside_of(self.out)

    def asked(self, who: str) -> dict[str, Any]:
        """What must be the same for a run to go on. who: the bundle, or the service, that answers."""
        question, limits = self.question, self.question.limits
        return {
            "source": self.source if is_remote(self.source) else shown(Path(self.source).absolute()),
            "stamp": stamp(self.source),
            "reader": who,
            "operating_point": question.operating_point,
            "frame": question.frame,
            "limits": [limits.max_pixels, limits.max_bytes, limits.max_frames],
            "gate": question.gate,
            "version": __version__,
        }

    def here(self, row_of: RowOf) -> Read:
        """With the local engine."""
        fetching = is_remote(self.source) or is_table(self.source)
        most = self.question.limits.max_bytes
        return partial(read_here, row_of, workers=self.workers, most=most, fetching=fetching)

    @contextmanager
    def there(self, address: str | None) -> Iterator[Read]:
        """With Ray's, which lists the source once more, beside the reading."""
        from secondread.screening.on_ray import cluster_of, read_on_ray

        with cluster_of(address, self.workers) as workers:

            def read(left: Left, *, keep: Keep) -> Iterator[Answered]:
                for number, stamped, row in read_on_ray(self.question, replace(left, found=None), workers=workers):
                    keep(number, stamped, row)
                    yield number, row

            yield read

    def all(self, journal: Journal, write: Callable[[Row], None], read: Read, progress: Progress | None) -> Screened:
        """What is known from before, and behind it what is not."""
        total = Total(self.source, but=self.but)
        decisions: Counter[str] = Counter()
        done = 0
        for row in self._rows(journal, read):
            write(row)
            decisions[_outcome(row)] += 1
            done += 1
            if progress is not None and done > journal.n_known:
                progress(done, total.n)
        not_opened = decisions.pop("", 0)
        decisions["refused"] += not_opened
        return Screened(done, dict(decisions), not_opened, journal.n_known)

    def _rows(self, journal: Journal, read: Read) -> Iterator[Row]:
        found = pictures(self.source, limits=self.question.limits, but=self.but)
        first = 0
        for known in journal.rows():
            check_same(next(found, None), known, journal.path)
            yield known.row
            first = known.number + 1
        early = {number: replace(known, row={"path": known.name}) for number, known in journal.early.items()}
        left = Left(self.source, self.question.limits, self.but, journal.path, first, early, found)
        before = ((number, journal.early[number].row) for number in sorted(early))
        for _, row in merge(read(left, keep=journal.add), before, key=itemgetter(0)):
            yield row


def _outcome(row: Row) -> str:
    """The decision, 'refused', or '' where it could not be opened."""
    if refusal := row["refusal"]:
        return "" if refusal["code"] == "cannot_open" else "refused"
    return str(row["decision"])
