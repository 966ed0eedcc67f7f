"""The service that stands behind the requests of an application."""

from flask import current_app

from secondread.service import Service

KEY = "secondread.service"


def service() -> Service:
    """That of the application that serves this request."""
    found: Service = current_app.extensions[KEY]
    return found
