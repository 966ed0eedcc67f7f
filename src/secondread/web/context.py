"""What an application holds: its service, the readers it has loaded, and the workers that read uploads."""

import threading
from contextlib import suppress

from apiflask import APIFlask
from flask import current_app, g

from secondread.errors import SecondReadError, UnknownName
from secondread.reading import Bundle
from secondread.service import AnswerFacts, Outcome, Readers, ReadingDesk, Service, Worker, answer_facts

KEY = "secondread.service"


def service() -> Service:
    """That of the application that serves this request."""
    found: Service = current_app.extensions[KEY]
    return found


def readers() -> Readers:
    """Those of the application that serves this request."""
    found: Readers = current_app.extensions["secondread"]
    return found


def desk() -> ReadingDesk:
    """Where this application has images read; in fair turns, as many at once as `parallel_readings` says."""
    asker = g.get("identity")
    return service().desk(readers().get, turn=readers().turn.of(asker.actor.name if asker is not None else ""))


def facts_of(reading: Outcome) -> AnswerFacts:
    """What is known of the model behind an answer; a bundle that is loaded is not loaded again."""
    loaded = None
    with suppress(SecondReadError):  # it is not installed any more
        loaded = bundle_named(reading.bundle) if reading.bundle else None
    return answer_facts(service(), reading, loaded=loaded)


def bundle_named(reference: str) -> Bundle:
    """The bundle 'task/name', with or without its hash, or a task's own choice. Raises UnknownName."""
    task, _, name = reference.partition("@")[0].partition("/")
    bundle = readers().bundle(task, name)
    if bundle is None:
        raise UnknownName.of("bundle", reference, readers().names())
    return bundle


_KEY = "secondread.workers"


class Workers:
    """Threads that take from the queue until told to stop."""

    def __init__(self, service: Service, readers: Readers, n: int):
        self._workers: list[Worker] = [service.worker(readers.get) for _ in range(n)]
        self._threads = [
            threading.Thread(target=worker.run, name=f"worker-{at}", daemon=True)
            for at, worker in enumerate(self._workers)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was submitted: look now."""
        for worker in self._workers:
            worker.wake()

    def stop(self, *, seconds: float = 10.0) -> None:
        """Finish the images at hand and end. What is not done by then is read after the next start."""
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join(timeout=seconds)


def start_workers(app: APIFlask) -> Workers:
    """As many as the setting `workers` says."""
    found = Workers(app.extensions[KEY], app.extensions["secondread"], app.config["WORKERS"])
    app.extensions[_KEY] = found
    found.start()
    return found


def wake_workers() -> None:
    """Those of this process, if there are any; others look by themselves twice a second."""
    found: Workers | None = current_app.extensions.get(_KEY)
    if found is not None:
        found.wake()
