"""`secondread dicom sent`, `send` and `export`: results on their way to an archive, and as files."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import open_service, service_options, service_settings, who

if TYPE_CHECKING:
    from secondread.service import Export

_KINDS = ("sr", "capture", "gsps", "map")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many, the newest first.")
@service_options
def sent(as_json: bool, limit: int, **options: Any) -> None:
    """Show which results are on their way, have arrived, or never will, and why."""
    with open_service(**options) as service:
        rows, counts = service.dicom_exports.latest(limit), service.dicom_exports.counts()
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.to_dict()))
        return
    click.echo(", ".join(f"{n} {state}" for state, n in counts.items()))
    for row in rows:
        click.echo(_line(row))


def _line(row: "Export") -> str:
    when = row.sent_at or row.next_attempt_at
    told = {"sent": "", "waiting": f", again from {when:%H:%M:%S} UTC" if row.attempts else ""}.get(row.state, "")
    why = f": {row.last_error}" if row.last_error else ""
    at = f" {row.sent_at:%Y-%m-%d %H:%M}" if row.sent_at else f" after {row.attempts} attempts"
    return f"{row.reading_id:>8}  {row.kind:<8}{row.destination:<32} {row.state}{at}{told}{why}"


@click.command()
@click.argument("readings", type=int, nargs=-1, required=True)
@click.option(
    "--to", "places", metavar="AET@HOST:PORT|URL", multiple=True, help="Default: dicom_send_to. May be given again."
)
@service_options
def send(readings: tuple[int, ...], places: tuple[str, ...], **options: Any) -> None:
    """Send the results of READINGS now, also those that arrived or failed before: under the same UIDs, so none doubles.

    What cannot be sent now stays on its way: `secondread dicom listen` goes on trying. Exit status 1 where not all have
    arrived.
    """
    from secondread.dicom.outbox import enqueue, send_due
    from secondread.errors import UsageError

    settings = service_settings(**options)
    where = places or tuple(filter(None, (one.strip() for one in str(settings["DICOM_SEND_TO"]).split(","))))
    if not where:
        raise UsageError("nowhere to send to: give --to AET@HOST:PORT, or set dicom_send_to")
    with open_service(**options) as service:
        wanted = [row for number in readings for row in enqueue(service, number, where, settings=settings, again=True)]
        send_due(service, settings)
        known = {row.id: row for row in service.dicom_exports.of([row.id for row in wanted])}
    for row in known.values():
        click.echo(_line(row))
    if any(row.state != "sent" for row in known.values()):
        raise SystemExit(1)


@click.command()
@click.argument("readings", type=int, nargs=-1, required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the files.")
@click.option("--kind", "kinds", type=click.Choice(_KINDS), multiple=True, help="Default: sr and capture.")
@click.option("--identified", is_flag=True, help="With patient and UIDs as they were sent here; the trail notes it.")
@service_options
def export(readings: tuple[int, ...], out: Path, kinds: tuple[str, ...], identified: bool, **options: Any) -> None:
    """Write the results of READINGS as DICOM files into a folder; under pseudonyms unless --identified is given."""
    from secondread.dicom.results import identifying, kinds_of, make_file
    from secondread.files import write_bytes

    out.mkdir(parents=True, exist_ok=True)
    actor = identifying(who()) if identified else who()
    with open_service(**options) as service:
        for number in readings:
            reading = service.readings.get(number, actor=actor)
            for kind in kinds_of(reading, kinds or _KINDS[:2]):
                path = out / f"{number}-{kind}.dcm"
                write_bytes(path, make_file(service, number, kind, actor=actor, identified=identified))
                click.echo(str(path))
