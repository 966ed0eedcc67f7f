"""Serves the application: the server and its rules for connections, in one process or several."""

from secondread.web.serving.start import open_server, serve

__all__ = ["open_server", "serve"]
