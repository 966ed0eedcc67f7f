"""`secondread federate`: hospitals teach one network together, and no film leaves any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secondread.cli.federate_options import (
    FILE,
    bundle_options,
    no_gate_option,
    plan_of,
    plan_options,
    policy_of,
    site_options,
)
from secondread.cli.options import command_line, complete_tasks

if TYPE_CHECKING:
    from secondread.reading import Bundle


@click.group()
def federate() -> None:
    """Teach one network at several hospitals together: images stay, weights and counts travel."""


def _flower() -> None:
    """Raise ExtraMissing where Flower is not there."""
    from secondread.errors import ExtraMissing

    try:
        import secondread.lab.federated.app  # noqa: F401
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("federated training", "federated") from error


def _tell_round(line: dict[str, Any], rounds: int) -> None:
    """A line for every round that was scored or in which something was odd."""
    auc = "–" if line["val_auc"] is None else f"{line['val_auc']:.3f}"
    odd = [f"{name}: {one['outcome']}" for name, one in line["sites"].items() if one["outcome"] not in _FINE]
    if not (line["scored"] or odd):
        return
    weight = (line["bytes_sent"] + line["bytes_received"]) / 1e6
    more = f"; {', '.join(odd)}" if odd else ""
    click.echo(
        f"round {line['round']}/{rounds}: val AUC {auc}, {weight:.2f} MB, {line['seconds']:.1f} s{more}", err=True
    )


_FINE = ("ok", "in the sum")
_LEAST_SECURE = 3  # sites that a plan needs whatever it asks for


def _tell_bundle(bundle: Bundle) -> None:
    told = bundle.record["federated"]
    click.echo(f"{bundle.id}: {bundle.folder}")
    if told["privacy"]:
        click.echo(f"privacy: ε = {told['privacy']['epsilon']:g} at δ = {told['privacy']['delta']:g}")
    for split, result in (bundle.evidence or {"results": {}})["results"].items():
        for name, part in (result.get("by_source") or {result.get("source", ""): result}).items():
            area = part["metrics"].get("roc_auc", {}).get("value")
            click.echo(f"{split} at {name}: AUC {'–' if area is None else f'{area:.3f}'} (n = {part['n']})")


@federate.command()
@plan_options
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A manifest with several hospitals.")
@click.option("--site-column", default="source", show_default=True, help="The column that says whose an image is.")
@click.option(
    "--together", multiple=True, metavar="NAME=SOURCE,SOURCE", help="Sources that are one hospital. May be given again."
)
@click.option(
    "--divide", multiple=True, metavar="NAME=N", help="Divide a hospital into N by its patients. May be given again."
)
@click.option("--leave", type=click.Choice(["histogram", "nothing"]), default="histogram", show_default=True)
@no_gate_option
@click.option(
    "--engine",
    type=click.Choice(["processes", "inline", "ray"]),
    default="processes",
    show_default=True,
    help="A process for each hospital, one process for all, or Flower's simulation on Ray.",
)
@bundle_options
def simulate(
    data: Path,
    site_column: str,
    together: tuple[str, ...],
    divide: tuple[str, ...],
    leave: str,
    no_gate: bool,
    engine: str,
    name: str | None,
    fresh: bool,
    out: Path,
    **fields: Any,
) -> None:
    """All of it on this machine: every source of a manifest is a hospital.

    So are the collections of one class that the recipe's `lesions_from` names: they teach by their lesions alone.
    An interrupted run goes on at its round when the same command is given again.
    """
    _flower()
    from secondread.data import load_data
    from secondread.lab.federated.serving import Simulated
    from secondread.lab.federated.shares import sites_of
    from secondread.lab.federated.simulation import simulate as run
    from secondread.lab.federated.site import Policy
    from secondread.tasks import load_task

    plan = plan_of(sites=_LEAST_SECURE, **fields)  # how many there are the manifest says
    manifest = load_data(data, task=load_task(fields["task"]))
    hospitals = sites_of(
        manifest,
        column=site_column,  # type: ignore[arg-type]
        together={key: value.split(",") for key, value in _pairs("--together", together).items()},
        divide={key: _number("--divide", value) for key, value in _pairs("--divide", divide).items()},
        lesions_from=plan.load_recipe().lesions_from,
    )
    plan = replace(plan, sites=len(hospitals))
    policy = Policy(leave, gate=not no_gate)  # type: ignore[arg-type]
    _tell_bundle(
        run(
            plan,
            {key: Simulated(key, rows, policy) for key, rows in hospitals.items()},
            out=out,
            name=name,
            engine=engine,
            fresh=fresh,
            command=command_line(),
            on_round=_tell_round,
        )
    )


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    found = dict(text.partition("=")[::2] for text in texts)
    if not all(found.values()):
        raise click.UsageError(f"{option} takes NAME=VALUE")
    return found


def _number(option: str, text: str) -> int:
    if not text.isdigit():
        raise click.UsageError(f"{option} takes a whole number, not '{text}'")
    return int(text)


@federate.command()
@plan_options
@click.option("--sites", type=click.IntRange(2), required=True, help="How many must be there before it begins.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for sites elsewhere.")
@click.option("--port", type=click.IntRange(1, 65535), default=9092, show_default=True)
@click.option("--tls-certificate", type=FILE, default=None, help="Of this server, PEM.")
@click.option("--tls-key", type=FILE, default=None, help="Its private key, PEM.")
@click.option("--tls-ca", type=FILE, default=None, help="The authority that signed it, PEM: sites need it too.")
@click.option("--site-key", "site_keys", multiple=True, type=FILE, help="Public key of a site; only these may come.")
@click.option("--insecure", is_flag=True, help="Without TLS: on one machine, or inside a tunnel of your own.")
@click.option("--round-timeout", type=click.FloatRange(1), default=3600.0, show_default=True, help="Seconds.")
@click.option("--sites-timeout", type=click.FloatRange(1), default=600.0, show_default=True, help="Seconds.")
@bundle_options
def server(
    sites: int,
    host: str,
    port: int,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
    site_keys: tuple[Path, ...],
    insecure: bool,
    round_timeout: float,
    sites_timeout: float,
    name: str | None,
    fresh: bool,
    out: Path,
    **fields: Any,
) -> None:
    """Wait for the sites, teach with them, write the bundle and send it to them.

    A killed server goes on at its round when the same command is given again; its sites come back to it.
    """
    _flower()
    from secondread.lab.federated.link import Door
    from secondread.lab.federated.remote import serve_sites
    from secondread.lab.federated.server import Timing

    if (tls_certificate is None) != insecure:
        raise click.UsageError("give --tls-certificate, --tls-key and --tls-ca, or --insecure; not both")
    door = Door(host, port, tls_certificate, tls_key, tls_ca, site_keys)
    plan = plan_of(sites=sites, **fields)
    click.echo(f"waiting for {sites} sites on {host}:{port}", err=True)
    bundle = serve_sites(
        plan,
        door,
        out=out,
        name=name or out.name,
        fresh=fresh,
        command=command_line(),
        timing=Timing(sites_timeout, round_timeout),
        on_round=_tell_round,
        on_refusal=lambda why: click.echo(f"a site came that cannot take part: {why}", err=True),
    )
    _tell_bundle(bundle)


@federate.command()
@site_options
@click.option("--server", required=True, metavar="HOST:PORT", help="Where the server listens.")
@click.option("--tls-ca", type=FILE, default=None, help="The authority that signed the server's certificate, PEM.")
@click.option("--key", type=FILE, default=None, help="This site's key, of `federate key`.")
@click.option("--insecure", is_flag=True, help="Without TLS: on one machine, or inside a tunnel of your own.")
@click.option("--patience", type=click.FloatRange(1), default=None, help="Seconds to try to reach the server.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Where the finished bundle is put, with this site's own evidence, which stays here.",
)  # fmt: skip
def site(
    data: Path,
    name: str | None,
    leave: str,
    secure_only: bool,
    own_noise: float | None,
    own_clip: float,
    no_gate: bool,
    server: str,
    tls_ca: Path | None,
    key: Path | None,
    insecure: bool,
    patience: float | None,
    out: Path | None,
) -> None:
    """Take part: train here on the images of --data, and send weights and counts to the server.

    Run `secondread federate check` first. Nothing that the server sends is run as a program.
    """
    _flower()
    from secondread.data import load_data
    from secondread.lab.federated.app import HELLO
    from secondread.lab.federated.node import Server, join
    from secondread.lab.federated.shares import site_data
    from secondread.lab.federated.site import Site

    if (tls_ca is None) != insecure:
        raise click.UsageError("give --tls-ca, or --insecure; not both")
    policy = policy_of(leave, secure_only, own_noise, own_clip, no_gate)
    mine = Site(site_data(name or _named(data), load_data(data)), policy, keeps=out)
    shares = mine.data
    click.echo(f"{shares.name}: {len(shares.train)} images teach, {len(shares.val)} choose; joining {server}", err=True)

    def tell(kind: str, became: str) -> None:
        click.echo(f"{kind}: {became}", err=True)
        if kind == HELLO:
            _tell_refused(mine.data.refused, err=True)

    join(mine, Server(server, tls_ca, key, patience), on_message=tell)
    click.echo("done" if out is None else f"done: {out}")


def _tell_refused(refused: Mapping[str, int], *, err: bool = False) -> None:
    for code, count in refused.items():
        click.echo(
            f"note  the shipped gate refuses {count} images ({code}): they teach and choose nothing; is this the right "
            "collection?",
            err=err,
        )


def _named(data: Path) -> str:
    folder = data.resolve() if data.is_dir() else data.resolve().parent
    return folder.name


@federate.command()
@site_options
@click.option("--task", required=True, metavar="NAME", shell_complete=complete_tasks, help="A shipped task.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where check.json and the audit go."
)
@click.pass_context
def check(
    ctx: click.Context,
    data: Path,
    name: str | None,
    leave: str,
    secure_only: bool,
    own_noise: float | None,
    own_clip: float,
    no_gate: bool,
    task: str,
    out: Path,
) -> None:
    """Audit this site's images and show what of them would leave. Nothing is sent.

    Exit status: 0; 3 when an image, patient or group lies in two splits or has two labels, which must be mended first.
    """
    _flower()
    from secondread.auditing import write_audit
    from secondread.data import load_data
    from secondread.lab.federated.check import check_site, write_check
    from secondread.tasks import load_task

    chosen = load_task(task)
    policy = policy_of(leave, secure_only, own_noise, own_clip, no_gate)
    manifest = load_data(data, task=chosen, check=False)
    made = check_site(name or _named(data), manifest, chosen, policy=policy)
    path = write_check(made, out)
    page = write_audit(made.audit, out, command=command_line())
    for finding in made.audit.findings:
        click.echo(f"{finding.level:<5} {finding.sentence}")
    _tell_refused(made.site.refused)
    for source, terms in made.terms.items():
        click.echo(f"terms {source or 'no source named'}: {terms or 'not known here: yours to keep'}")
    for title, lines in (("note ", made.notes), ("leaves", made.leaves), ("stays", made.stays)):
        for line in lines:
            click.echo(f"{title} {line}")
    click.echo(f"pages: {path}, {page}")
    if made.stops:
        click.echo(f"mend first: {', '.join(made.stops)}", err=True)
        ctx.exit(3)


@federate.command()
@click.argument("path", type=FILE)
def key(path: Path) -> None:
    """Make this site's key; hand the .pub file to whoever runs the server."""
    from secondread.errors import ExtraMissing

    try:
        from secondread.lab.federated.keys import make_keys
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("federated training", "federated") from error
    click.echo(f"{path}: keep it here. {make_keys(path)}: for the server's --site-key")
