"""`audit`: what labelled images hold against any accuracy measured on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secondread.workflows.call import call_of
from secondread.workflows.fitting import manifest_of
from secondread.workflows.progress import OnProgress, ProgressEvent

if TYPE_CHECKING:
    from secondread.auditing import Audit
    from secondread.data import Manifest
    from secondread.tasks import Task


def audit(
    data: "str | Path | Manifest",
    *,
    task: "str | Path | Task | None" = None,
    splits: Sequence[str] | None = None,
    out: str | Path | None = None,
    random_state: int = 0,
    command: str = "",
    progress: OnProgress | None = None,
) -> "Audit":
    """Read every file once, and find copies, leaks, unreadable files and shortcuts to the label.

    data: a manifest (CSV), a folder in a known layout, or a Manifest that was read with `check=False`. task: the one
    whose class names the labels are. splits: where shortcuts are measured; by default `train`, or everything where
    there is no such split. out: a folder for index.html and audit.json; None writes nothing. command: what the record
    says it was made with; by default this call. progress: see ProgressEvent.

    Raises CannotOpen, DataInvalid where no file can be read or a split is not there, UnknownName, and ExtraMissing
    without the extra `train`.
    """
    from secondread.auditing import audit as look_for_faults
    from secondread.auditing import write_audit
    from secondread.tasks import load_task

    chosen = load_task(task) if isinstance(task, str | Path) else task
    found = look_for_faults(
        manifest_of(data, chosen, check=False),
        splits=tuple(splits) if splits else None,
        random_state=random_state,
        progress=None if progress is None else lambda what, done, total: progress(ProgressEvent(what, done, total)),
    )
    if out is not None:
        write_audit(found, Path(out), command=command or call_of("audit", data, task=task, splits=splits))
    return found
