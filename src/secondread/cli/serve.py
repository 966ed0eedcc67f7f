"""`secondread serve` and `secondread work`: the web application, and a process that reads its uploads."""

import logging
import signal
from typing import Any

import click

from secondread.cli.options import counted, service_options, service_settings

_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need accounts.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes that serve; default: the setting `processes`, by which there are as many as cores.",
)
@service_options
def serve(host: str, port: int, processes: int | None, **options: Any) -> None:
    """Start the reading room: its pages, its API, and workers that read uploads.

    On this machine alone it works at once, without login. On any other address it starts once there is an
    administrator: `secondread user add NAME --role administrator`.
    """
    from secondread.web import serve as serve_web

    logging.basicConfig(format=_LOG_FORMAT)
    settings = service_settings(**options)
    if processes is not None:
        settings["PROCESSES"] = processes
    settings["RESULTS"] = _result
    serve_web(host=host, port=port, config=settings, on_listening=lambda address: _say_ready(address, settings))


def _result(service: Any, reading_id: int, kind: str, *, actor: Any) -> bytes:
    """A DICOM object of a reading. Raises ExtraMissing."""
    from secondread.errors import ExtraMissing

    try:
        import highdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("writing results as DICOM objects", "dicom") from error
    from secondread.dicom.results import make_file

    return make_file(service, reading_id, kind, actor=actor)


def _say_ready(address: str, settings: dict[str, Any]) -> None:
    """Where it is, what it keeps where, and which bundles of the user's own it serves."""
    from secondread.cli.tables import say_left_out
    from secondread.reading import extension_folders, own_bundles
    from secondread.service import data_folder_of
    from secondread.tasks import known_tasks

    click.echo(f"secondread is ready: open {address} in a browser (Ctrl-C stops it)")
    click.echo(f"kept in the data folder {data_folder_of(settings).absolute()}")
    if settings["IMAGES"]:
        click.echo(f"images are kept in {settings['IMAGES']}")
    own = own_bundles()
    if own.names:
        click.echo(f"bundles of your own: {', '.join(own.names)}")
    for name, why in own.skipped.items():
        click.echo(f"left out: {name}: {why}", err=True)
    say_left_out(known_tasks(), extension_folders())


@click.command()
@click.option("--until-empty", is_flag=True, help="End when nothing waits any more.")
@service_options
def work(until_empty: bool, **options: Any) -> None:
    """Read what waits in the queue of uploads, beside a server whose setting `workers` is 0.

    Any number may run, on any machine that reaches the database and the data folder. It ends after the image at hand
    when told to (SIGTERM, Ctrl-C); killed, its image is read by another once the lease has run out.
    """
    from secondread.service import Service, Telemetry, readers_of

    logging.basicConfig(format=_LOG_FORMAT)
    settings = service_settings(**options)
    service = Service.open(settings)
    telemetry = Telemetry.open(settings)
    worker = service.worker(readers_of(settings).follow(service.upgrades.chosen, service.points.active_point).get)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    try:
        if until_empty:
            click.echo(f"{counted(worker.run_until_empty(), 'image')} read")
        else:
            worker.run()
    finally:
        service.close()
        if telemetry is not None:
            telemetry.close()
