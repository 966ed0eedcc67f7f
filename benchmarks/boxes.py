"""How networks that find boxes do on validation images, or at a hospital that did not teach them (SECONDREAD_DATA).

python -m benchmarks.boxes PLAN … --trained FOLDER [--without SOURCE] [--together] [--out FILE]

PLAN: recipe files as `secondread lab fit` took them. --without: they were trained without that source, and are
measured on its train and val rows. --together: each file's members also as one mean. No test row is read.
"""

import json
from pathlib import Path
from typing import Any

import click

from benchmarks._common import data_folder
from secondread.data import Manifest, load_data, prepared_cache
from secondread.data.split import SHARED, validation_share
from secondread.lab.boxes import boxes_table, found_in, load_detector
from secondread.lab.pack import packed_fingerprint
from secondread.training.build import load_plan


@click.command()
@click.argument("plans", nargs=-1, required=True)
@click.option("--trained", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--data", type=click.Path(path_type=Path), default=None, help="A manifest; else the task's.")
@click.option("--without", default="")
@click.option("--together", is_flag=True)
@click.option("--resamples", default=500, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None)
def main(
    plans: tuple[str, ...],
    trained: Path,
    data: Path | None,
    without: str,
    together: bool,
    resamples: int,
    out: Path | None,
) -> None:
    """One line a network, and the whole as JSON."""
    tables: dict[str, Any] = {}
    for name in plans:
        plan = load_plan(name)
        manifest = load_data(data or data_folder() / plan.task.name / "manifest.csv", task=plan.task)
        fingerprint = packed_fingerprint(manifest, without=without)
        measured = measured_rows(manifest, without)
        members = {
            member.name or "one": load_detector(plan, member, trained, fingerprint=fingerprint)
            for member in plan.members
        }
        parts = {own: [detector] for own, detector in members.items()}
        if together and len(members) > 1:
            parts["mean"] = list(members.values())
        for own, detectors in parts.items():
            prepared = prepared_cache(measured, detectors[0].spec)
            seen, logits, pointed = found_in(detectors, prepared, measured)
            table = boxes_table(seen, logits, pointed, prepared.rows, n_resamples=resamples)
            tables[f"{plan.name}/{own}"] = table
            click.echo(f"{plan.name}/{own}: {in_words(table)}")
    if out is not None:
        out.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def measured_rows(manifest: Manifest, without: str) -> Manifest:
    """Of the source left out its train and val rows, which taught nobody; else validation, with the shares of
    collections of one label that are set apart for choosing."""
    if without:
        rows = tuple(row for row in manifest.rows if row.split in ("train", "val") and row.source == without)
        return Manifest(rows, manifest.folder)
    shares = (validation_share(manifest, split).rows for split in SHARED)
    return Manifest((*manifest.split("val").rows, *(row for rows in shares for row in rows)), manifest.folder)


def in_words(table: dict[str, Any]) -> str:
    """The figures that choose."""
    told = [f"n {table['n']} ({table['n_positive']})"]
    for name, areas in table["areas"].items():
        if "roc_auc" in areas:
            told.append(f"{name} AUC {_value(areas['roc_auc'])}, AP {areas['average_precision']['value']:.3f}")
    if table["pointing"]:
        told.append(f"pointing {table['pointing']['value']:.3f}")
    if "boxes" in table:
        boxes = table["boxes"]
        told.append(f"AP50 {_value(boxes['ap50'])}, AP {boxes['ap']['value']:.3f}")
        half = (boxes["froc"][level]["0.5"]["value"] for level in ("0.5", "0.3"))
        told.append("found at ½ false box an image {:.3f} (IoU 0.5), {:.3f} (IoU 0.3)".format(*half))
    return "; ".join(told)


def _value(interval: dict[str, Any]) -> str:
    low, high = interval.get("low"), interval.get("high")
    return f"{interval['value']:.3f}" + ("" if low is None or high is None else f" ({low:.3f}–{high:.3f})")


if __name__ == "__main__":
    main()
