"""`secondread serve`: the web application."""

import signal
import sys
from typing import Any

import click

from secondread.cli._service_options import service_options, service_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need accounts.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@service_options
def serve(host: str, port: int, **options: Any) -> None:
    """Start the reading room: its pages, its API, and workers that read uploads.

    On this machine alone it works at once, without login. On any other address it starts once there is an
    administrator: `secondread user add NAME --role administrator`.
    """
    from secondread.web import serve as serve_web

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Ctrl-C: what is being answered and read is finished
    serve_web(
        host=host,
        port=port,
        config=service_settings(**options),
        on_listening=lambda address: click.echo(f"secondread is ready: open {address} in a browser (Ctrl-C stops it)"),
    )
