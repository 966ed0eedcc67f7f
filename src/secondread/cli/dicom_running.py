"""What commands share that take DICOM objects in: the service, who reads, and an end that is asked for by a signal."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from secondread.dicom.rules import Rules
    from secondread.dicom.worker import NodeWorker
    from secondread.service import Service

_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def reading_service(
    settings: dict[str, Any], *, only_receive: bool
) -> "Iterator[tuple[Service, Rules, NodeWorker | None, threading.Event]]":
    """The service, its rules, what reads (not started yet; None where another process does), and what a signal sets.

    All that can be wrong is told before anything is taken in. Raises UsageError, UnknownName, ServiceError.
    """
    from secondread.dicom.configure import check_rules, node_rules
    from secondread.dicom.worker import NodeWorker
    from secondread.service import Service, readers_of
    from secondread.service.freed import share_freed_memory

    share_freed_memory()
    logging.basicConfig(format=_LOG_FORMAT)
    chosen = node_rules(settings)
    service = Service.open(settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        readers = readers_of(settings).follow(service.upgrades.chosen, service.points.active_point).get
        check_rules(service, chosen, readers)
        service.identities.check_key()
        worker = None if only_receive else NodeWorker(service, readers, settings)
        try:
            yield service, chosen, worker, stopping
        finally:
            if worker is not None:
                worker.close()
    finally:
        service.close()
