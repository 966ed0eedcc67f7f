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


@click.group()
def gate() -> None:
    """Train and measure the gate: which pictures may be read for which task."""


@gate.command()
@click.option("--data", required=True, type=_FOLDER, help="A folder with a folder for each task.")
@click.option("--out", required=True, type=_NEW_FOLDER, help="Where gate.onnx and gate.json go.")
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(1))
@click.option("--random-state", default=0, show_default=True)
def train(data: Path, out: Path, epochs: int, random_state: int) -> None:
    """Train a gate on every task's images under DATA and on pictures of other kinds."""
    from secondread.errors import ExtraMissing
    from secondread.reading import write_gate

    try:
        from secondread.training.gate import train_gate
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("training the gate", "train") from error

    def tell(epoch: int, epochs: int, loss: float, right: float) -> None:
        click.echo(f"epoch {epoch}/{epochs}  loss {loss:.3f}  right {right:.4f}", err=True)

    model, record = train_gate(
        _manifests(data), epochs=epochs, random_state=random_state, command=command_line(), on_epoch=tell
    )
    write_gate(out, record=record, model=model)
    click.echo(f"gate in {out}; thresholds {json.dumps(record['thresholds'])}")


@gate.command()
@click.option("--data", required=True, type=_FOLDER, help="A folder with a folder for each task.")
@click.option(
    "--gate",
    "folder",
    default=None,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Default: the shipped one.",
)
@click.option(
    "--out", default=None, type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here as JSON too."
)
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
    from secondread.tasks import list_tasks, load_task

    kinds = [name for name in list_tasks() if not load_task(name).asked_after]  # else two kinds of the same pictures
    tables = {name: data / name / "manifest.csv" for name in kinds}
    found = {name: load_data(path, task=load_task(name)) for name, path in tables.items() if path.is_file()}
    if len(found) < 2:
        known = ", ".join(list_tasks())
        raise DataInvalid(f"'{data}' must hold a folder with a manifest.csv for at least two of: {known}")
    return found
