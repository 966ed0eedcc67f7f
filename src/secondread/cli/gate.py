"""`secondread gate`: train the gate that keeps wrong pictures out, and measure it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secondread.cli.options import command_line

if TYPE_CHECKING:
    from secondread.data import Manifest

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def gate() -> None:
    """Train and measure the gate: which pictures may be read for which task."""


@gate.command()
@click.option("--data", required=True, type=_FOLDER, help="A folder with a folder for each task.")
@click.option("--out", required=True, type=_NEW_FILE, help="The packed file.")
@click.option("--random-state", default=0, show_default=True)
def pack(data: Path, out: Path, random_state: int) -> None:
    """Pack the pictures that teach a gate into one small file, to train on another machine."""
    from secondread.training.gate_data import gather
    from secondread.training.gate_data import pack as write

    manifests = _manifests(data)
    pictures = gather(manifests, _extra(data), random_state=random_state)
    write(pictures, out, fingerprints=_fingerprints(manifests))
    click.echo(f"{len(pictures)} pictures in {out}")


@gate.command()
@click.option("--data", default=None, type=_FOLDER, help="A folder with a folder for each task.")
@click.option("--pictures", default=None, type=_FILE, help="Instead of --data: what `secondread gate pack` wrote.")
@click.option("--out", required=True, type=_NEW_FOLDER, help="Where gate.onnx and gate.json go.")
@click.option("--held-out", default=None, type=_NEW_FILE, help="Write here as JSON what sources left out would get.")
@click.option("--keep", "kept", default=None, type=_NEW_FILE, help="Write weights and scores here too (.npz).")
@click.option("--steps", default=900, show_default=True, type=click.IntRange(1), help="Batches of a run.")
@click.option("--stages", default=5, show_default=True, type=click.IntRange(2, 7), help="Of EfficientNet-Lite 0.")
@click.option("--device", default="cpu", show_default=True, help="Where torch trains: cpu, cuda.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Runs side by side.")
@click.option("--random-state", default=0, show_default=True)
def train(
    data: Path | None,
    pictures: Path | None,
    out: Path,
    held_out: Path | None,
    kept: Path | None,
    steps: int,
    stages: int,
    device: str,
    workers: int,
    random_state: int,
) -> None:
    """Train a gate on every task's images and on pictures of other kinds.

    It is trained once on all, and once for each group of sources that is left out: these runs set the thresholds.
    """
    from secondread.errors import ExtraMissing, UsageError
    from secondread.files import write_text
    from secondread.reading import write_gate

    if (data is None) == (pictures is None):
        raise UsageError("give the images with --data, or a packed file with --pictures")
    try:
        from secondread.training.gate import Plan, finish_gate, save_run, train_gate
        from secondread.training.gate_data import gather, unpack
        from secondread.training.gate_thresholds import held_out as measured
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training the gate", "train") from error
    if pictures is not None:
        taught, fingerprints = unpack(pictures)
    else:
        manifests = _manifests(data)  # type: ignore[arg-type]
        taught = gather(manifests, _extra(data), random_state=random_state)  # type: ignore[arg-type]
        fingerprints = _fingerprints(manifests)
    plan = Plan(steps=steps, stages=stages, random_state=random_state, device=device)
    weights, scores = train_gate(taught, plan, workers=workers, on_run=lambda line: click.echo(line, err=True))
    if kept is not None:
        save_run(weights, scores, kept)
    model, record = finish_gate(taught, plan, weights, scores, command=command_line())
    record["data"] = fingerprints
    write_gate(out, record=record, model=model)
    if held_out is not None:
        found = {"date": record["created"], "command": command_line(), **measured(taught, scores, record)}
        write_text(held_out, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    click.echo(f"gate in {out}; thresholds {json.dumps(record['thresholds'])}")


@gate.command()
@click.option("--data", required=True, type=_FOLDER, help="A folder with a folder for each task.")
@click.option(
    "--gate",
    "folder",
    default=None,
    type=_FOLDER,
    help="Default: the shipped one.",
)
@click.option("--out", default=None, type=_NEW_FILE, help="Write the figures here as JSON too.")
def measure(data: Path, folder: Path | None, out: Path | None) -> None:
    """Measure a gate on pictures that it was not trained on and that set no threshold."""
    from secondread.files import write_text
    from secondread.training.gate_measure import measure_gate

    found = measure_gate(_manifests(data), folder, command=command_line())
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if out is not None:
        write_text(out, text)
    click.echo(text, nl=False)


def _manifests(data: Path) -> "dict[str, Manifest]":
    from secondread.data import load_data
    from secondread.errors import DataInvalid
    from secondread.tasks import first_tasks, list_tasks, load_task

    kinds = first_tasks()  # else two kinds of the same pictures
    tables = {name: data / name / "manifest.csv" for name in kinds}
    found = {name: load_data(path, task=load_task(name)) for name, path in tables.items() if path.is_file()}
    if len(found) < 2:
        known = ", ".join(list_tasks())
        raise DataInvalid(f"'{data}' must hold a folder with a manifest.csv for at least two of: {known}")
    return found


def _fingerprints(manifests: "dict[str, Manifest]") -> dict[str, str]:
    return {name: manifest.fingerprint() for name, manifest in sorted(manifests.items())}


def _extra(data: Path) -> Path | None:
    """The manifest of the gate's own collection, where there is one."""
    manifest = data / "gate" / "manifest.csv"
    return manifest if manifest.is_file() else None
