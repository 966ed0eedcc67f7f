"""`secondread dicom`: a node in the hospital's network, and what its rules would do."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli import dicom_orders, dicom_pull, dicom_results
from secondread.cli.dicom_running import reading_service
from secondread.cli.options import needs_dicom, service_options, service_settings
from secondread.cli.tables import say, terminal_width

if TYPE_CHECKING:
    from secondread.dicom.dry_run import Verdict


@click.group()
def dicom() -> None:
    """A DICOM node: takes objects in, reads them, sends results back."""


for _command in (
    dicom_pull.pull,
    dicom_orders.worklist,
    dicom_results.sent,
    dicom_results.send,
    dicom_results.export,
    dicom_orders.corrections,
    dicom_orders.correct,
):
    dicom.add_command(_command)


@dicom.command()
@click.option("--host", metavar="H", help="Address to listen on; default: 127.0.0.1.")
@click.option("--port", metavar="P", type=click.IntRange(0, 65535), help="Default: 11112; 0 takes a free one.")
@click.option("--aet", metavar="NAME", help="AE title of this node; default: SECONDREAD.")
@click.option(
    "--send-to",
    metavar="AET@HOST:PORT|URL",
    multiple=True,
    help="Where results go: a node, or a DICOMweb server. May be given again.",
)
@click.option("--rules", metavar="FILE", type=click.Path(dir_okay=False), help="What is read; see `dicom rules`.")
@click.option("--only-receive", is_flag=True, help="Take objects in; another process reads them.")
@service_options
def listen(
    host: str | None,
    port: int | None,
    aet: str | None,
    send_to: tuple[str, ...],
    rules: str | None,
    only_receive: bool,
    **options: Any,
) -> None:
    """Listen for objects, read them, and send results, until told to stop; ask archives for new images, and a worklist
    for orders, where the settings dicom_pull_from and dicom_worklist_from name any.

    Every option is also a setting (dicom_host, dicom_port, …), as are who may call, TLS and bounds:
    docs/reference/settings.md.
    An object is on the disk and in the database before its sender is told that it was stored.
    """
    needs_dicom("a DICOM node")
    from secondread.dicom.arrivals import arrivals_of
    from secondread.dicom.configure import check_open_to_all, node_settings
    from secondread.dicom.every import beside_node
    from secondread.dicom.node import Node

    settings = service_settings(**options)
    given = {"HOST": host, "PORT": port, "AET": aet, "SEND_TO": ",".join(send_to) or None, "RULES": rules}
    settings |= {f"DICOM_{name}": value for name, value in given.items() if value is not None}
    found = node_settings(settings)
    with reading_service(settings, only_receive=only_receive) as (service, chosen, worker, stopping):
        on_kept = worker.wake if worker else lambda: None
        node = Node(service, chosen, found, on_kept=on_kept)
        arrivals = arrivals_of(service, chosen)
        beside = beside_node(service, arrivals, settings, stopping=stopping, on_kept=on_kept)
        node.start()
        try:
            if worker is not None:
                worker.start()
            for every in beside:
                every.start()
            at, on = node.address
            click.echo(f"secondread is ready: {found.aet}@{at}:{on} takes DICOM objects (Ctrl-C stops it)")
            if warning := check_open_to_all(found):
                click.echo(f"warning: {warning}", err=True)
            stopping.wait()
        finally:
            stopping.set()
            node.close()
            for every in beside:
                every.close()


@dicom.command("rules")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rules", metavar="FILE", type=click.Path(dir_okay=False), help="Default: the package's own rules.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file.")
@service_options
def rules_command(folder: Path, rules: str | None, as_json: bool, **options: Any) -> None:
    """Say what the rules would do with every file of FOLDER, without reading or keeping any."""
    needs_dicom("a DICOM node")
    from secondread.dicom.configure import node_rules
    from secondread.dicom.dry_run import verdicts

    settings = service_settings(**options)
    settings |= {"DICOM_RULES": rules} if rules is not None else {}
    found = verdicts(folder, node_rules(settings))
    if as_json:
        for one in found:
            click.echo(json.dumps(one.as_json()))
        return
    _show(found)


def _show(verdicts: "Iterator[Verdict]") -> None:
    """A line a file where it fits a terminal, else a sentence; and a line for each rule at the end."""
    counts: Counter[tuple[str, str]] = Counter()
    click.echo(_line("file", "kind", "what", "rule"))
    for one in verdicts:
        does = one.rule or one.reason
        counts[one.then, does] += 1
        line = _line(one.path, one.kind, one.then, does)
        if len(line) <= terminal_width():
            click.echo(line)
        else:
            say(f": {' '.join(filter(None, (one.kind, one.then)))}: {does}", bold=one.path)
    for (then, rule), n in sorted(counts.items()):
        say(f"{n} × {then}: {rule}")


def _line(path: str, kind: str, then: str, does: str) -> str:
    return f"{path:<30} {kind:<16} {then:<7} {does}"
