"""`secondread serve`: the web application."""

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--allow-remote", is_flag=True, help="Listen beyond this machine although there are no accounts yet.")
def serve(host: str, port: int, allow_remote: bool) -> None:
    """Start the web page and its JSON API."""
    from secondread.web import serve as serve_web

    serve_web(
        host=host,
        port=port,
        allow_remote=allow_remote,
        on_listening=lambda address: click.echo(f"secondread is ready: open {address} in a browser (Ctrl-C stops it)"),
    )
