"""`evaluate`: what a bundle is worth on labelled images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from secondread.workflows.call import call_of
from secondread.workflows.fitting import manifest_of
from secondread.workflows.progress import OnProgress, ProgressEvent

if TYPE_CHECKING:
    from secondread.data import Manifest
    from secondread.evidence.outcome import Evidence
    from secondread.reading import Bundle, Reader

ALL = "all"  # in place of splits: every one that measures, none that taught


def evaluate(
    bundle: "str | Path | Bundle | Reader",
    data: "str | Path | Manifest",
    *,
    splits: str | Sequence[str] = "test",
    operating_point: str | None = None,
    prevalence: float | None = None,
    out: str | Path | None = None,
    gallery: bool = True,
    keep: bool = False,
    command: str = "",
    progress: OnProgress | None = None,
) -> "Evidence":
    """Read the splits exactly as they would be read in use, and measure: metrics with intervals, thresholds, heat maps.

    bundle: a task's name, 'task/name', a folder, a Bundle, or a Reader with its own operating point. data: a manifest
    (CSV), a folder in a known layout, or a Manifest. splits: one or several, or 'all' for every split that measures.
    prevalence: the share of the diseased where it is to be used, for predictive values; default: each split's own.

    out: a folder for evidence.json, the plots and a page (index.html); None writes nothing. gallery: whether that page
    shows the worst readings as pictures of your images. keep: put evidence and card into the bundle too, in the place
    of what it holds. command: what the record says it was made with; by default this call. progress: see ProgressEvent.

    Raises CannotOpen, DataInvalid for a split that is not there, UnknownName, BundleError, UsageError for a prevalence
    that is no share, and ExtraMissing without the extra `train` where there are plots to draw.
    """
    from secondread.evidence.card import write_card
    from secondread.evidence.outcome import Evidence
    from secondread.reading import Reader, add_to_bundle
    from secondread.training import evaluate as measure
    from secondread.training.measure import failures_of, write_evaluation

    reader = bundle if isinstance(bundle, Reader) else Reader.load(bundle, operating_point=operating_point)
    if isinstance(bundle, Reader) and operating_point is not None:
        reader = bundle.at(operating_point)
    manifest = manifest_of(data, reader.task)
    chosen = _splits(splits, manifest)
    made = command or call_of(
        "evaluate",
        reader.bundle.id,
        data,
        splits=chosen,
        operating_point=reader.operating_point.name,
        prevalence=prevalence,
    )
    table = measure(
        reader.bundle,
        manifest,
        chosen,
        reader=reader,
        command=made,
        prevalence=prevalence,
        on_read=None
        if progress is None
        else lambda split, done, total: progress(ProgressEvent("read", done, total, split)),
    )
    if keep:
        add_to_bundle(reader.bundle, evidence=table, card=write_card(reader.bundle, table))
    page = None
    if out is not None:
        worst = failures_of(reader, manifest, table) if gallery else None
        page = write_evaluation(table, reader.bundle, Path(out), gallery=worst)
    return Evidence(table, page=page)


def _splits(asked: str | Sequence[str], manifest: "Manifest") -> tuple[str, ...]:
    from secondread.data.split import MEASURED

    names = (asked,) if isinstance(asked, str) else tuple(asked)
    return tuple(name for name in MEASURED if name in manifest.splits()) if ALL in names else names
