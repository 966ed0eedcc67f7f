"""The reading room's pages and its HTTP API, served by one process or several."""

from secondread.service.setting_rows import SETTINGS, Setting
from secondread.service.settings import settings_from
from secondread.web.app import create_app
from secondread.web.serving import open_server, serve

__all__ = ["SETTINGS", "Setting", "create_app", "open_server", "serve", "settings_from"]
