"""`secondread read`: images in, one reading a line out."""

import json
import os
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.answers import answer_in_words, bundle_of, decided_by
from secondread.cli.options import bundle_reference, limit_options, limits_of, question_options
from secondread.cli.tables import fitted

if TYPE_CHECKING:
    from secondread.reading import AutoReader, Reader, Reading


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@question_options
@click.option(
    "--frame",
    metavar="N",
    type=click.IntRange(1),
    default=None,
    help="Read this frame or page alone, from 1; by default all are read and the most suspicious answers.",
)
@click.option(
    "--max-frames", type=click.IntRange(1), default=2000, show_default=True, help="Refuse files of more frames."
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
    frame: int | None,
    max_frames: int,
    as_json: bool,
    heatmaps: Path | None,
    no_gate: bool,
    max_megapixels: int,
    max_megabytes: int,
) -> None:
    """Read images and folders of images.

    Exit status: 0 when every path was read or refused with a reason, 1 when a path could not be opened, 2 when a
    folder holds no file.
    """
    from secondread.errors import UsageError
    from secondread.files import on_a_line, shown
    from secondread.reading import load

    limits = limits_of(max_megapixels=max_megapixels, max_megabytes=max_megabytes, max_frames=max_frames)
    empty = [path for path in paths if next(walk_files((path,)), None) is None]
    alone = None if frame is None else frame - 1
    reader = load(bundle_reference(task, bundle), operating_point=operating_point, limits=limits, gate=not no_gate)
    if heatmaps is not None:
        heatmaps.mkdir(parents=True, exist_ok=True)
    used: list[str] = []  # bundles that read something
    unopened = 0
    files, names = tee(walk_files(paths))  # the reader runs a little ahead of the names
    for reading in reader.read_many(files, frame=alone, keep_image=heatmaps is not None):
        path = next(names)
        picture = _write_heatmap(reading, path, heatmaps, reader) if heatmaps is not None else None
        unopened += reading.refusal is not None and reading.refusal.code == "cannot_open"
        row = reading.to_dict(path=shown(path), heatmap=None if picture is None else shown(picture))
        if reading.bundle and reading.bundle not in used:
            used.append(reading.bundle)
        if as_json:
            row |= _meaning(reading, reader)
        click.echo(
            json.dumps(row, ensure_ascii=False)
            if as_json
            else fitted(_in_words(reading, on_a_line(shown(path)), reader))
        )
    for name in () if as_json else used:
        known = bundle_of(reader, name)
        click.echo(fitted("\n".join(decided_by(known, known.operating_point(operating_point)))))
    if empty:  # after the others, which are read all the same
        named = ", ".join(f"'{shown(folder)}'" for folder in empty)
        raise UsageError(
            f"no image was found in {named}; name images, or a folder that holds some (hidden ones are not read)"
        )
    if unopened:
        raise click.exceptions.Exit(1)


def _meaning(reading: "Reading", reader: "Reader | AutoReader") -> dict[str, Any]:
    """What the answer says beyond its score. How common disease is here, only a service is told."""
    from secondread.evidence.likelihood import NOT_MEASURED, likelihood_of

    found = None
    if reading.decision is not None and reading.threshold is not None and reading.bundle and not reading.frames:
        known = likelihood_of(bundle_of(reader, reading.bundle), threshold=reading.threshold, low=reading.low)
        found = known.get(str(reading.decision))
    return (NOT_MEASURED if found is None else found.to_dict()) | {"local": None}


def walk_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    """Files as given, and those under a folder in the order of their names; hidden ones are left out."""
    for path in paths:
        if not _is_folder(path):
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found = (Path(folder, name) for name in sorted(files) if not name.startswith("."))
            yield from (path for path in found if not path.is_fifo())  # which would be waited for


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no disk can have: reading it says so
        return False


def _in_words(reading: "Reading", path: str, reader: "Reader | AutoReader") -> str:
    if reading.refusal is not None:
        refused = f"{path}  {click.style('refused', bold=True)}: {reading.refusal.message} [{reading.refusal.code}]"
        return f"{refused}\n    what to do now: {reading.next_step.message}"
    assert reading.bundle is not None, "a reading that is not refused names its bundle"
    answer = answer_in_words(reading, path, bundle_of(reader, reading.bundle))
    return "\n".join(
        [
            *answer[:2],
            f"    what to do now: {reading.next_step.message}",
            *answer[2:],
            *_boxes_in_words(reading),
            *_frames_in_words(reading),
            *(f"    note: {warning}" for warning in reading.warnings),
        ]
    )


def _boxes_in_words(reading: "Reading") -> list[str]:
    """Where they lie, the surest first: x, y, width and height in pixels, and the score."""
    from secondread.stats.scale import score_of

    said = [
        f"{', '.join(f'{side:.0f}' for side in one.box)} ({score_of(one.score, reading.threshold, reading.low)})"
        for one in reading.findings or ()
    ]
    return [f"    boxes: {'; '.join(said)}"] if said else []


def _frames_in_words(reading: "Reading") -> list[str]:
    """Of a file of several frames, which were called what."""
    from secondread.reading import runs

    found: dict[str, list[int]] = {}
    for one in reading.frames:
        found.setdefault("not read" if one.decision is None else str(one.decision), []).append(one.frame)
    said = [f"{name} {runs(numbers)}" for name, numbers in found.items()]
    return [f"    frames: {'; '.join(said)}"] if said else []


def _write_heatmap(reading: "Reading", path: Path, folder: Path, reader: "Reader | AutoReader") -> Path | None:
    """The image with its heat map and its boxes laid over it, as PNG; None for a refusal."""
    if reading.heatmap is None or reading.image is None or reading.bundle is None:
        return None
    from secondread.files import shortened, write_bytes
    from secondread.reading import drawn_from

    target = folder / shortened(path.stem, ".heatmap.png")
    number = 2
    while target.exists():
        target = folder / shortened(path.stem, f"-{number}.heatmap.png")
        number += 1
    points = bundle_of(reader, reading.bundle).operating_points.items()
    dotted, solid = drawn_from({name: point.threshold for name, point in points}, reading.threshold, reading.low)
    boxes = [(one.box, one.score > solid) for one in reading.findings or () if one.score > dotted]
    drawn = reading.heatmap.blended_png(reading.image, outlines=reading.findings is None, boxes=boxes)
    write_bytes(target, drawn)
    return target
