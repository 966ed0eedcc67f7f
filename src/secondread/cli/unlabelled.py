"""`secondread recalibrate --unlabelled`: what a site's scores say without outcomes, kept only where it may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import open_service, service_settings, who

if TYPE_CHECKING:
    from secondread.evidence.unlabelled import Unlabelled
    from secondread.reading import Bundle


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    scores: Path | None
    images: tuple[Path, ...]
    store: bool
    prevalence: float | None
    out: Path | None
    name: str | None
    to_set: bool
    force: bool
    service: Mapping[str, Any]  # config, data_folder, database


def run(reference: str, asked: Asked) -> None:
    """Say what was found; set or write it where that is asked for. Raises UsageError where it must not."""
    from secondread.reading import load_bundle

    if sum([asked.scores is not None, bool(asked.images), asked.store]) != 1:
        raise click.UsageError("--unlabelled takes one of --scores, --images and --store")
    if asked.out is not None and asked.prevalence is None:
        raise click.UsageError("--out needs --prevalence: label shift alone moves no threshold, see --set")
    bundle = load_bundle(reference)
    site = _scores_of(bundle, asked)
    if asked.prevalence is None:
        _label_shift(bundle, site, asked)
    else:
        _quantiles(bundle, site, asked, asked.prevalence)


def _scores_of(bundle: "Bundle", asked: Asked) -> "Unlabelled":
    from secondread.evidence.site import read_unlabelled_scores
    from secondread.evidence.unlabelled import Unlabelled

    if asked.scores is not None:
        probabilities, groups = read_unlabelled_scores(asked.scores, record=bundle.record, bundle_id=bundle.id)
        return Unlabelled(asked.scores.name, probabilities, groups)
    if asked.store:
        return _kept(bundle, asked)
    return _read(bundle, asked.images)


def _kept(bundle: "Bundle", asked: Asked) -> "Unlabelled":
    import numpy as np

    from secondread.errors import UsageError
    from secondread.evidence.unlabelled import Unlabelled

    settings = service_settings(**asked.service)
    if not settings["DATABASE"] and not Path(settings["DATA_FOLDER"]).exists():
        raise UsageError(f"no readings are kept in '{settings['DATA_FOLDER']}': there is no such folder")
    with open_service(**asked.service) as service:
        rows = service.drift.scores(bundle.sha256)
    return Unlabelled(
        "readings kept here", np.array([score for score, _ in rows]), tuple(patient for _, patient in rows) or None
    )


def _read(bundle: "Bundle", paths: tuple[Path, ...]) -> "Unlabelled":
    import numpy as np

    from secondread.cli.read import walk_files
    from secondread.errors import CannotOpen
    from secondread.evidence.unlabelled import Unlabelled
    from secondread.reading import Reader

    reader = Reader.load(bundle.folder)
    read, refused = [], 0
    for reading in reader.read_many(walk_files(paths)):
        if reading.refusal is not None and reading.refusal.code == "cannot_open":  # a path that was mistyped
            raise CannotOpen(reading.refusal.message)
        if reading.probability is None:
            refused += 1
        else:
            read.append(reading.probability)
    if refused:
        click.echo(f"note: {refused} of {refused + len(read)} images were refused and count for nothing", err=True)
    return Unlabelled(", ".join(path.name for path in paths), np.array(read), None)


def _label_shift(bundle: "Bundle", site: "Unlabelled", asked: Asked) -> None:
    from secondread.errors import UsageError
    from secondread.evidence.unlabelled import label_shift

    found = label_shift(bundle, site)
    click.echo(
        f"{site.name}: {len(site.probabilities)} scores of {bundle.id}; if nothing but the share of the diseased "
        f"differs, {found.prevalence.format()} are diseased here ({found.calibrated_at:.3f} where it was calibrated)"
    )
    click.echo("sensitivity and specificity at a threshold stay; what an answer means changes (label shift)")
    for objection in found.objections:
        click.echo(f"{'warning' if asked.force else 'refused'}: {objection}", err=True)
    if found.objections and not asked.force:
        raise UsageError(
            "not to be relied on: find the share by reviewing some images, or in a register; give it as --prevalence"
        )
    share = found.prevalence.value
    if not asked.to_set or share is None:
        click.echo("--set makes it this site's prevalence")
        return
    share = min(max(share, 1e-4), 1 - 1e-4)
    with open_service(**asked.service) as service:
        note = f"estimated from {len(site.probabilities)} scores without outcomes ({found.prevalence.format()})"
        service.prevalences.choose(bundle.task.name, prevalence=round(share, 4), note=note, actor=who())
    click.echo(f"set: {share:.1%} of those examined here are diseased ({bundle.task.name})")


def _quantiles(bundle: "Bundle", site: "Unlabelled", asked: Asked, prevalence: float) -> None:
    from datetime import date

    import numpy as np

    from secondread.evidence.card import recalibrated_card
    from secondread.evidence.unlabelled import moved_default, moved_record, moved_thresholds
    from secondread.reading import add_card, write_bundle

    moved = moved_thresholds(bundle, site, prevalence=prevalence)
    click.echo(f"{site.name}: {len(site.probabilities)} scores of {bundle.id}, {prevalence:g} diseased as you say")
    for name, threshold in moved.items():
        old = bundle.operating_point(name).threshold
        before, after = (float(np.mean(site.probabilities > at)) for at in (old, threshold))
        click.echo(f"    {name}: {old:.4f} → {threshold:.4f}; flags {before:.1%} → {after:.1%} of these images")
    click.echo("this holds if scores moved but kept their order; what is found and missed was not measured")
    if asked.out is not None:
        name = asked.name or asked.out.name
        record = moved_record(bundle, site, moved, prevalence=prevalence, name=name, date=date.today().isoformat())
        new = write_bundle(asked.out, record=record, model=bundle.model_path.read_bytes(), task_file=bundle.task_file)
        add_card(new, recalibrated_card(new, bundle))
        click.echo(f"{new.id}: bundle in {new.folder}, weights as in {bundle.id}; nothing was measured of it")
    if asked.to_set:
        point = bundle.operating_point()
        threshold = moved[point.name if point.name in moved else moved_default(moved)]
        note = f"moved by {len(site.probabilities)} scores without outcomes to a share of {prevalence:g} diseased"
        with open_service(**asked.service) as service:
            service.points.choose(bundle, threshold=threshold, prevalence=prevalence, note=note, actor=who())
        click.echo(f"set: above {threshold:.4f} is positive at this site")
