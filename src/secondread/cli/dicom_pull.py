"""`secondread dicom pull`: new images fetched from an archive, read, and their results sent."""

import threading
from collections import Counter
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.dicom_running import reading_service
from secondread.cli.options import needs_dicom, service_options, service_settings

if TYPE_CHECKING:
    from secondread.dicom.pull import Puller, Round
    from secondread.dicom.worker import NodeWorker
    from secondread.service import Service

_LOOK_EVERY = 0.5  # seconds
_NAMES = {"conflicts": "held back as corrections", "missing": "not given", "moved": "sent on", "known": "here already"}


@click.command()
@click.option(
    "--from",
    "sources",
    metavar="AET@HOST:PORT|URL",
    multiple=True,
    help="An archive: a DICOM node, or a DICOMweb server. Default: dicom_pull_from. May be given again.",
)
@click.option("--modality", "modalities", metavar="CR", multiple=True, help="Of these alone; may be given again.")
@click.option(
    "--where",
    "conditions",
    metavar="KEYWORD=VALUE",
    multiple=True,
    help="A condition by DICOM's keywords, as StudyDescription=*THORAX*; may be given again.",
)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="First study date; default: where the last round ended."
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last study date; default: today.")
@click.option("--by", type=click.Choice(["get", "move"]), help="How objects come; default: dicom_pull_by.")
@click.option(
    "--every", "minutes", type=click.IntRange(1), metavar="MINUTES", help="Ask again and again, until stopped."
)
@click.option("--rules", metavar="FILE", type=click.Path(dir_okay=False), help="What is read; see `dicom rules`.")
@click.option("--send-to", metavar="AET@HOST:PORT|URL", multiple=True, help="Where results go; default: dicom_send_to.")
@click.option("--only-receive", is_flag=True, help="Take objects in; another process reads them.")
@service_options
def pull(
    sources: tuple[str, ...],
    modalities: tuple[str, ...],
    conditions: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    by: str | None,
    minutes: int | None,
    rules: str | None,
    send_to: tuple[str, ...],
    only_receive: bool,
    **options: Any,
) -> None:
    """Ask an archive for images that are not here yet, fetch and read them, and send the results.

    Days are asked about one after the other; what was fetched is kept at once, so a round that is killed is gone on
    with by the next. No object is fetched twice. `secondread dicom listen` does the same by the settings dicom_pull_….
    Exit status 1 where an archive could not be used, or did not give an object that it lists.
    """
    needs_dicom("asking an archive for images")
    from secondread.dicom.arrivals import arrivals_of
    from secondread.dicom.pull import pull_settings, puller_of
    from secondread.errors import UsageError

    settings = service_settings(**options)
    asked = [*conditions, *([f"Modality={','.join(modalities)}"] if modalities else [])]
    given = {
        "PULL_FROM": ",".join(sources), "PULL_FILTER": "&".join(asked), "PULL_BY": by, "RULES": rules,
        "SEND_TO": ",".join(send_to),
    }  # fmt: skip
    settings |= {f"DICOM_{name}": value for name, value in given.items() if value}
    places, only = pull_settings(settings)
    if not places:
        raise UsageError("nobody is asked: give --from AET@HOST:PORT or a DICOMweb address, or set dicom_pull_from")
    days = tuple(one.date() if one else None for one in (since, until))
    with reading_service(settings, only_receive=only_receive) as (service, chosen, worker, stopping):
        arrivals = arrivals_of(service, chosen)
        if worker is not None:
            worker.start()
        on_kept = worker.wake if worker else lambda: None
        pullers = [
            puller_of(service, arrivals, place, only, settings, on_kept=on_kept, stopping=stopping) for place in places
        ]
        failed = _rounds(pullers, days, minutes, stopping)
        if worker is not None:
            _finish(service, worker, stopping)
    if failed:
        raise SystemExit(1)


def _rounds(
    pullers: "list[Puller]", days: tuple[date | None, ...], minutes: int | None, stopping: threading.Event
) -> bool:
    """One round of each, or again and again; whether the last one failed."""
    from secondread.errors import SecondReadError

    while True:
        failed = False
        for puller in pullers:
            try:
                found = puller.round(since=days[0], until=days[1])
            except SecondReadError as error:
                failed = True
                click.echo(f"secondread: {error}", err=True)
                continue
            click.echo(_line(found))
            failed |= bool(found.counts["missing"] or found.counts["failed"])
        if minutes is None or stopping.wait(60.0 * minutes):
            return failed


def _line(found: "Round") -> str:
    counts = Counter(found.counts)
    n = counts.pop("studies", 0)
    told = ", ".join(f"{many} {_NAMES.get(what, what)}" for what, many in sorted(counts.items()) if many)
    days = f"{found.since}" if found.since == found.until else f"{found.since} to {found.until}"
    return f"{found.source}, {days}: {n} studies; {told or 'no objects'}"


def _finish(service: "Service", worker: "NodeWorker", stopping: threading.Event) -> None:
    """Wait until what came is read, and its results were offered once."""
    while not stopping.is_set():
        counts = service.dicom.counts()
        if not counts["received"] + counts["waiting"]:
            break
        stopping.wait(_LOOK_EVERY)
    worker.send()
