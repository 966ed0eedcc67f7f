"""`secondread read`: images in, one reading a line out."""

import json
import os
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.options import bundle_reference, complete_bundles, complete_tasks, limit_options, point_in_words

if TYPE_CHECKING:
    from secondread.reading import Reading

_COLOURS = {"positive": "red", "negative": "green", "uncertain": "yellow"}


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--task",
    metavar="NAME|auto",
    default=None,
    shell_complete=complete_tasks,
    help="The question; auto (the default) takes it from DICOM facts.",
)
@click.option(
    "--bundle",
    metavar="NAME|PATH",
    default=None,
    shell_complete=complete_bundles,
    help="A shipped bundle's name or a folder; default: the task's best.",
)
@click.option(
    "--operating-point", metavar="NAME", default=None, help="Which threshold decides; default: the bundle's first."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, in input order.")
@click.option(
    "--heatmaps",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write the image with its heat map into this folder.",
)
@click.option("--no-gate", is_flag=True, help="Read even what looks unlike anything learnt from; for research.")
@limit_options
def read(
    paths: tuple[Path, ...],
    task: str | None,
    bundle: str | None,
    operating_point: str | None,
    as_json: bool,
    heatmaps: Path | None,
    no_gate: bool,
    max_megapixels: int,
    max_megabytes: int,
) -> None:
    """Read images and folders of images.

    Exit status: 0 when every path was read or refused with a reason, 1 when a path could not be opened.
    """
    from secondread.images import Limits
    from secondread.reading import Reader, load

    limits = Limits(max_pixels=max_megapixels * 1_000_000, max_bytes=max_megabytes * 1_000_000)
    reader = load(bundle_reference(task, bundle), operating_point=operating_point, limits=limits, gate=not no_gate)
    if heatmaps is not None:
        heatmaps.mkdir(parents=True, exist_ok=True)
    unopened = 0
    files, names = tee(_walk(paths))  # the reader runs a little ahead of the names
    for reading in reader.read_many(files, keep_image=heatmaps is not None):
        path = next(names)
        picture = _write_heatmap(reading, path, heatmaps) if heatmaps is not None else None
        unopened += reading.refusal is not None and reading.refusal.code == "cannot_open"
        row = reading.to_dict(path=str(path), heatmap=None if picture is None else str(picture))
        click.echo(json.dumps(row, ensure_ascii=False) if as_json else _in_words(reading, path))
    if not as_json:
        for used in (reader,) if isinstance(reader, Reader) else reader.readers:
            click.echo(point_in_words(used.bundle.operating_point(operating_point)))
    if unopened:
        raise click.exceptions.Exit(1)


def _walk(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Files as given, and those under a folder in the order of their names; hidden ones are left out."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def _in_words(reading: "Reading", path: Path) -> str:
    if reading.refusal is not None:
        return f"{path}  {click.style('refused', bold=True)}: {reading.refusal.message} [{reading.refusal.code}]"
    assert reading.decision is not None, "a reading that is not refused has a decision"
    decision = click.style(str(reading.decision), fg=_COLOURS[reading.decision], bold=True)
    head = f"{path}  {decision}  score {reading.score}  {reading.decision_text}"
    tail = f"    {reading.bundle}, operating point {reading.operating_point}, {1000 * reading.elapsed:.0f} ms"
    return "\n".join([head, tail, *(f"    note: {warning}" for warning in reading.warnings)])


def _write_heatmap(reading: "Reading", path: Path, folder: Path) -> Path | None:
    """The image with its heat map laid over it, as PNG; None for a refusal."""
    if reading.heatmap is None or reading.image is None:
        return None
    from secondread.files import write_bytes

    target = folder / f"{path.stem}.heatmap.png"
    number = 2
    while target.exists():
        target = folder / f"{path.stem}-{number}.heatmap.png"
        number += 1
    write_bytes(target, reading.heatmap.blended_png(reading.image))
    return target
