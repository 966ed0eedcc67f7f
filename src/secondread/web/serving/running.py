"""Runs the application in this process: the server, the workers, and what looks after the models."""

import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from apiflask import APIFlask

from secondread.errors import SecondReadError
from secondread.service import Readers, Service
from secondread.service.freed import share_freed_memory
from secondread.web import telemetry
from secondread.web.context import KEY as SERVICE
from secondread.web.context import start_workers
from secondread.web.serving.server import Server
from secondread.web.serving.signals import stopped_by_signals

# The loop gives Python's lock away with every packet, and would wait 5 ms (the default) for a thread that calculates.
_SWITCH_SECONDS = 0.0005
_LOOK_EVERY = 30.0  # seconds, for models that nobody uses
_TELL_EVERY = 15.0  # seconds, for what is to be told outside
_FORGET_EVERY = 300.0  # seconds, after which pictures go from here that were erased elsewhere


def run(app: APIFlask, server: Server, on_ready: Callable[[], None]) -> None:
    """Serve until told to stop by a signal, then close everything. on_ready: called once, before the first request."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    share_freed_memory()
    stopping = threading.Event()
    service: Service = app.extensions[SERVICE]
    models = threading.Thread(target=_look_after_models, args=(app, stopping), name="models")
    pictures = threading.Thread(target=_look_after_pictures, args=(service, stopping), name="pictures")
    alerts = threading.Thread(target=_look_after_alerts, args=(service, stopping), name="alerts")
    with stopped_by_signals(server.stop):
        on_ready()
        models.start()
        if service.images.is_shared:
            pictures.start()
        if service.alerts.are_wanted:
            alerts.start()
        workers = start_workers(app)
        try:
            server.run()
        finally:
            stopping.set()
            server.close()
            models.join()  # a process that ends while a model is being loaded is aborted by the C++ library
            workers.stop()
            if service.images.is_shared:
                pictures.join()
            if service.alerts.are_wanted:
                alerts.join()
            service.close()
            telemetry.close(app)


def _look_after_models(app: APIFlask, stopping: threading.Event) -> None:
    """Look whether all bundles are whole, load them where that is wanted, and free them when nobody asks any more."""
    readers: Readers = app.extensions["secondread"]
    readers.look_at_all()
    if app.config["PRELOAD"] == "on":
        readers.load_all(stopping)
    idle = 60.0 * app.config["IDLE_MINUTES"]
    while not stopping.wait(_LOOK_EVERY):
        if idle:
            readers.let_go(idle=idle)


def _look_after_pictures(service: Service, stopping: threading.Event) -> None:
    """Take away what this host drew of images that another has erased; what fails is tried again the next time."""
    while not stopping.wait(_FORGET_EVERY):
        with suppress(SecondReadError):
            service.repair.forget_pictures()


def _look_after_alerts(service: Service, stopping: threading.Event) -> None:
    """Tell what is to be told; of several processes whichever sees it first."""
    while not stopping.wait(_TELL_EVERY):
        with suppress(SecondReadError):
            service.alerts.step()
