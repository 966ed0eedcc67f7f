"""`secondread dicom worklist`, `corrections` and `correct`: scheduled orders, and objects that came as another's."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.options import needs_dicom, open_service, service_options, service_settings, who

if TYPE_CHECKING:
    from secondread.service import Order

_WHOSE = ("patient_id", "patient_name", "issuer_of_patient_id", "study_instance_uid")


@click.command()
@click.option("--from", "source", metavar="AET@HOST:PORT", help="The worklist; default: dicom_worklist_from.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day; default: today.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default: the first.")
@click.option("--modality", default="", metavar="CR", help="Of this alone.")
@click.option("--station", default="", metavar="AET", help="Of this station's AE title alone.")
@click.option("--keep", is_flag=True, help="Keep the orders, sealed, so that results of what arrives name them.")
@click.option("--identified", is_flag=True, help="Show whose they are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def worklist(
    source: str | None,
    since: datetime | None,
    until: datetime | None,
    modality: str,
    station: str,
    keep: bool,
    identified: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show what a modality worklist has scheduled; with --keep, arriving objects are linked to their orders.

    `secondread dicom listen` keeps them itself where dicom_worklist_from is set.
    """
    needs_dicom("asking a worklist")
    from secondread.dicom.worklist import worklist_of
    from secondread.errors import UsageError
    from secondread.service import NODE

    settings = service_settings(**options)
    where = source or str(settings["DICOM_WORKLIST_FROM"])
    if not where:
        raise UsageError("no worklist is named: give --from AET@HOST:PORT, or set dicom_worklist_from")
    with open_service(**options) as service:
        asked = worklist_of(where, settings, zone=service.zone)
        first = since.date() if since else datetime.now(service.zone).date()
        last = until.date() if until else first
        found = asked.orders(since=first, until=last, modality=modality.upper(), station=station)
        service.trail.record(who(), "worklist.seen", f"worklist:{where}", orders=len(found), identified=identified)
        new = service.orders.keep(found, worklist=where, actor=NODE) if keep else 0
    for one in found:
        click.echo(json.dumps(_row(one, identified)) if as_json else _line(one, identified))
    if not as_json:
        click.echo(f"{len(found)} scheduled" + (f", {new} of them kept anew" if keep else ""))


def _row(one: "Order", identified: bool) -> dict[str, Any]:
    row = vars(one) | {"scheduled_at": one.scheduled_at.isoformat() if one.scheduled_at else None}
    return row if identified else {name: value for name, value in row.items() if name not in _WHOSE}


def _line(one: "Order", identified: bool) -> str:
    when = f"{one.scheduled_at:%Y-%m-%d %H:%M}" if one.scheduled_at else "no date"
    what = one.scheduled_procedure_step_description or one.requested_procedure_description
    whose = f"  {one.patient_name} ({one.patient_id})" if identified else ""
    return f"{when}  {one.modality:<4} {one.accession_number:<16} {what}{whose}".rstrip()


@click.command()
@click.option("--all", "all_of_them", is_flag=True, help="Those that were decided too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def corrections(all_of_them: bool, as_json: bool, **options: Any) -> None:
    """Show objects that came again under their number as another patient's or study's, and wait to be decided."""
    with open_service(**options) as service:
        found = service.corrections.latest(open_only=not all_of_them)
    for one in found:
        if as_json:
            click.echo(json.dumps(vars(one) | {"received_at": one.received_at.isoformat()}))
            continue
        reading = f"reading {one.reading}" if one.reading else "not read yet"
        by = f" by {one.decided_by}" if one.decided_by else ""
        click.echo(
            f"{one.id:>6}  {one.received_at:%Y-%m-%d %H:%M} UTC  from {one.calling_aet}: {reading}; {one.state}{by}"
        )
    if not found and not as_json:
        click.echo("no object waits to be decided")


@click.command()
@click.argument("number", type=int)
@click.option("--accept/--reject", "accepted", required=True, help="The second is right, or the first.")
@service_options
def correct(number: int, accepted: bool, **options: Any) -> None:
    """Decide the correction NUMBER of `secondread dicom corrections`.

    Accepted, the object that came last stands in place of the first: it is read anew under the name that it bears, and
    its results are sent. The first reading is taken out of sight; its results that an archive has are listed, for its
    administrator to remove. Rejected, nothing of the second is kept.
    """
    with open_service(**options) as service:
        if not accepted:
            service.corrections.reject(number, actor=who())
            click.echo(f"correction {number} is rejected; the first object stays as it is")
            return
        left = service.corrections.accept(number, actor=who())
    click.echo(f"correction {number} is accepted; `secondread dicom listen` reads the object and sends its results")
    for one in left:
        click.echo(
            f"remove from {one.destination}: {one.kind} {one.sop_instance_uid}, which is under the first patient"
        )
