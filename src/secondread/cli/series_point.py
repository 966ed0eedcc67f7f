"""`secondread series-point`: how a bundle's answers to the slices of a series become one, chosen on patients."""

from pathlib import Path

import click

from secondread.cli.options import complete_bundles


@click.command("series-point")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A manifest whose slices form series.")
@click.option(
    "--bundle",
    required=True,
    metavar="NAME|PATH",
    shell_complete=complete_bundles,
    help="A shipped bundle or a folder, with evidence of what it is to be measured on.",
)
@click.option("--source", required=True, metavar="NAME", help="The source of the manifest that has whole series.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder of the bundle with it."
)
def series_point(data: Path, bundle: str, source: str, out: Path) -> None:
    """Choose how slices are combined, and the threshold for it, on the patients of train and val; measure it on test.

    The weights stay as they are. Test and the other measured splits are not read again: the evidence of the bundle
    holds what it said of each of their slices. A new bundle is written, with evidence and card.
    """
    from datetime import date

    from rich.console import Console

    from secondread.cli.progress import bars
    from secondread.data import Manifest, load_data
    from secondread.errors import UsageError
    from secondread.evidence.card import write_card
    from secondread.evidence.measured import read_predictions
    from secondread.evidence.series import series_evidence
    from secondread.lab.series import choose_series_point
    from secondread.reading import Reader, add_to_bundle, write_bundle
    from secondread.training.measure import predictions_of

    reader = Reader.load(bundle)
    old, evidence = reader.bundle, reader.bundle.evidence
    if out.resolve() == old.folder.resolve():
        raise UsageError(f"--out '{out}' is the bundle itself; name a new folder, then put it in the old one's place")
    if evidence is None:
        raise UsageError(f"{old.id} has no evidence to measure series on; run `secondread evaluate --keep` first")
    manifest = load_data(data, task=old.task)
    found = []
    with bars(Console(stderr=True)) as progress:
        for split in ("train", "val"):
            rows = tuple(row for row in manifest.split(split).rows if row.source == source)
            row = progress.add_task(f"read {split}", total=len(rows), said="")
            part = Manifest(rows, manifest.folder)
            tell = lambda done, total, row=row: progress.update(row, completed=done, total=total)  # noqa: E731
            found.append(predictions_of(reader, part, on_read=tell))
    chosen = choose_series_point(
        *found,
        task=old.task,
        data=f"train and val of {source}, {manifest.fingerprint()[:12]}",
        date=date.today().isoformat(),
        weights_sha256=old.model.sha256,
    )
    record = {key: value for key, value in old.record.items() if key not in ("format", "version", "sha256")}
    new = write_bundle(
        out,
        record={**record, "series": {**chosen.record, "compared": list(chosen.compared)}},
        model=old.model_path.read_bytes(),
        task_file=old.task_file,
    )
    assert new.series is not None
    splits = {split: read_predictions(evidence, split) for split in evidence["predictions"]}
    threshold = float(evidence["operating_point"]["threshold"])
    told = series_evidence(new.series, splits, slice_threshold=threshold)
    evidence = {**evidence, "bundle": new.id, "series": told}
    add_to_bundle(new, evidence=evidence, card=write_card(new, evidence))
    point = new.series.point
    click.echo(f"{new.id}: {new.series.combine.rule} ({new.series.combine.n}), positive above {point.threshold:g}")
    click.echo(point.chosen_by)
    for split, result in told["results"].items():
        click.echo(f"{split}: {result['at_the_point']}")
