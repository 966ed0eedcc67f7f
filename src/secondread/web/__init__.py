"""The reading room's pages and its HTTP API, served from one process."""

from secondread.service.settings import SETTINGS, Setting, settings_from
from secondread.web.app import create_app
from secondread.web.server import open_server, serve

__all__ = ["SETTINGS", "Setting", "create_app", "open_server", "serve", "settings_from"]
