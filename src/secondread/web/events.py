"""Streams of progress (server-sent events), few and short, so that they never take every thread of the server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from apiflask import APIFlask
from flask import Response, current_app

from secondread.errors import SecondReadError
from secondread.web.metrics import count_stream

_KEY = "secondread.streams"
_LOOK_EVERY = 0.4  # seconds
_SIGN_OF_LIFE = 10.0  # seconds of silence after which a comment is sent
_ASK_AGAIN_MS = 2000
Look = Callable[[], tuple[dict[str, Any], bool]]


def register(app: APIFlask) -> None:
    """Keep at least two threads for everything else, whatever the setting says."""
    most = min(app.config["EVENT_STREAMS"], max(app.config["THREADS"] - 2, 0))
    app.extensions[_KEY] = threading.Semaphore(most)


def stream(look: Look) -> Response:
    """An answer that tells what `look` gives, (data, whether this is the end), whenever it changes.

    Where as many streams are open as may be, it tells it once and ends: the browser asks again after two seconds.
    """
    places: threading.Semaphore = current_app.extensions[_KEY]
    seconds = current_app.config["EVENT_SECONDS"] if places.acquire(blocking=False) else 0
    answer = Response(_events(look, seconds), content_type="text/event-stream; charset=utf-8")
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would hold it back
    if seconds:
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        count_stream(1)

        def give_back() -> None:
            places.release()
            with app.app_context():
                count_stream(-1)

        answer.call_on_close(give_back)
    return answer


def _events(look: Look, seconds: float) -> Iterator[str]:
    yield f"retry: {_ASK_AGAIN_MS}\n\n"
    end = time.monotonic() + seconds
    told, told_at = "", time.monotonic()
    while True:
        try:
            found, finished = look()
        except SecondReadError:  # the database is away for a moment: the browser asks again
            return
        data = json.dumps(found, ensure_ascii=False)
        if data != told:
            yield f"event: progress\ndata: {data}\n\n"
            told, told_at = data, time.monotonic()
        elif time.monotonic() - told_at > _SIGN_OF_LIFE:
            yield ": waiting\n\n"
            told_at = time.monotonic()
        if finished:
            yield f"event: done\ndata: {data}\n\n"
            return
        if time.monotonic() + _LOOK_EVERY > end:
            return
        time.sleep(_LOOK_EVERY)
