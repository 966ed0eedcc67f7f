"""One of several processes that serve: `python -m secondread.web.serving.child`, started by the parent alone."""

import json
import logging
import os
import socket
import sys
import threading
from contextlib import suppress

from secondread.errors import SecondReadError, UsageError
from secondread.web.app import create_app
from secondread.web.serving import counts  # noqa: F401 - makes its storage known
from secondread.web.serving.running import run
from secondread.web.serving.server import Server


def main(listening: int, tell: int) -> int:
    """Serve on the parent's socket until told to stop, or until the parent is gone. Settings come as a line of JSON.

    listening, tell: descriptors of the socket, and of the pipe that says when this process is ready.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    config = json.loads(sys.stdin.buffer.readline())
    try:
        app = create_app(config)
        server = Server(app, socket.socket(fileno=listening))
        threading.Thread(target=_stop_with_the_parent, args=(server,), daemon=True, name="parent").start()
        run(app, server, lambda: _say_ready(tell))
    except SecondReadError as error:
        sys.stderr.write(f"secondread: {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _say_ready(tell: int) -> None:
    """The descriptor stays open: that it closes by itself tells the parent that this process is gone."""
    with suppress(BrokenPipeError):
        os.write(tell, b"r")


def _stop_with_the_parent(server: Server) -> None:
    while os.read(0, 1):  # unbuffered: a thread that holds a buffer's lock would disturb the end
        pass
    server.stop()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
