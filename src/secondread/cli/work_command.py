"""`secondread work`: reads uploads, in a process of its own."""

import logging
import signal
from typing import Any

import click

from secondread.cli._service_options import service_options, service_settings


@click.command()
@click.option("--until-empty", is_flag=True, help="End when nothing waits any more.")
@service_options
def work(until_empty: bool, **options: Any) -> None:
    """Read what waits in the queue of uploads, beside a server whose setting `workers` is 0.

    Any number may run, on any machine that reaches the database and the data folder. It ends after the image at hand
    when told to (SIGTERM, Ctrl-C); killed, its image is read by another once the lease has run out.
    """
    from secondread.service import Service
    from secondread.web import readers_of

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    settings = service_settings(**options)
    service = Service.open(settings)
    worker = service.worker(readers_of(settings).get)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    try:
        if until_empty:
            click.echo(f"{worker.run_until_empty()} images read")
        else:
            worker.run()
    finally:
        service.close()
