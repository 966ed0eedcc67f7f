"""What is done again and again beside the node, in a thread of its own, whatever becomes of one time."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from secondread.dicom.arrivals import Arrivals
from secondread.dicom.pull import pull_settings, puller_of
from secondread.dicom.worklist import keep_orders, worklist_settings
from secondread.errors import Conflict, SecondReadError
from secondread.service import Service

_ALERTS = 15.0  # seconds
_LOG = logging.getLogger("secondread.dicom")
Step = Callable[[], object]


class Every:
    """Does `step` every so many seconds, the first time at once, from `start` to `close`. What it raises is logged."""

    def __init__(self, what: str, seconds: float, step: Step):
        self._what = what
        self._seconds = seconds
        self._step = step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Let what is at hand come to its end; nothing is begun any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except Conflict as error:  # another process is at it
                _LOG.info("%s: %s", self._what, error)
            except (SecondReadError, OSError) as error:
                _LOG.error("%s: %s", self._what, error)
            except Exception:
                _LOG.exception("%s: a defect of secondread", self._what)
            self._stopping.wait(self._seconds)


def beside_node(
    service: Service,
    arrivals: Arrivals,
    settings: Mapping[str, Any],
    *,
    stopping: threading.Event,
    on_kept: Callable[[], None] = lambda: None,
) -> list[Every]:
    """What the settings want done: alerts told, archives asked for images, the worklist for orders. Raises UsageError.

    Each is safe beside other processes that do the same: an alert is told once, an archive asked by one at a time.
    """
    seconds = 60.0 * int(settings["DICOM_PULL_MINUTES"])
    places, only = pull_settings(settings)
    found = []
    for place in places:
        puller = puller_of(service, arrivals, place, only, settings, on_kept=on_kept, stopping=stopping)
        found.append(Every(f"asking {place}", seconds, puller.round))
    if (worklist := worklist_settings(settings, zone=service.zone)) is not None:
        found.append(Every(f"asking {worklist.place}", seconds, lambda: keep_orders(service, worklist)))
    if service.alerts.are_wanted:
        found.append(Every("alerts", _ALERTS, service.alerts.step))
    return found
