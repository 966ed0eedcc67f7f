"""`screen`: an archive in, one table out."""

from pathlib import Path
from typing import TYPE_CHECKING

from secondread.workflows.progress import OnProgress, ProgressEvent

if TYPE_CHECKING:
    from secondread.images import Limits
    from secondread.screening import Screened, Store


def screen(
    source: str | Path,
    *,
    out: str | Path,
    bundle: str | Path = "auto",
    operating_point: str | None = None,
    frame: int | None = None,
    limits: "Limits | None" = None,
    gate: bool = True,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    store: "Store | None" = None,
    progress: OnProgress | None = None,
) -> "Screened":
    """Read a folder, a zip or tar archive or a CSV of paths into one table: a row a picture, refusals among them.

    source: may be in S3, s3://bucket/…, credentials and endpoint from the environment. out: ends with .parquet or .csv;
    it appears when all is read. Until then `<out>.journal` lies beside it, and the same call goes on where it was.
    bundle: a task's name, 'task/name', a folder, or 'auto'. frame: of files of several, this one alone, from 1.
    workers: how many read at a time; default: one for each core. engine: 'local', or 'ray' on the cluster at `address`.
    store: of `store_of`: a service that answers and keeps images and readings, in place of a bundle. progress: see
    ProgressEvent; called after each picture.

    Raises CannotOpen, UsageError, UploadRefused for an archive that cannot be read, Conflict for the journal of another
    run or a source that changed since, UnknownName, BundleError, and ExtraMissing without the extra `scale` where it is
    needed.
    """
    from secondread.screening import screen as screen_archive

    found = screen_archive(
        source,
        out=out,
        reference=bundle,
        operating_point=operating_point,
        frame=frame,
        limits=limits,
        gate=gate,
        workers=workers,
        engine=engine,
        address=address,
        store=store,
        progress=None if progress is None else lambda done, total: progress(ProgressEvent("read", done, total)),
    )
    if progress is not None:  # how many there are is not known before the end where a source does not say it
        progress(ProgressEvent("read", found.n, found.n))
    return found
