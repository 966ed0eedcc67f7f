"""The service without its pages, as two processes that can be killed: one takes films in, one reads them.

python -m benchmarks._room_roles take|work FILMS PART      settings from the environment, as `secondread serve`
"""

import os
import signal
import sys
import time
from functools import cache
from pathlib import Path

from secondread.reading import Reader
from secondread.service import Actor, Asked, Service, settings_from

TASK = "tuberculosis"
PAUSE = 0.3  # seconds between uploads, so that they last as long as the reading


def main() -> None:
    """Do the part that is named, as if for the first time."""
    role, films, part = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    service = Service.open(settings_from(os.environ))
    if role == "work":
        service.worker(cache(lambda task, bundle: Reader.load(bundle or task, gate=False)), poll_seconds=0.05).run()
        return
    paths = sorted(films.iterdir())
    answered = films.with_name("answered")  # what a client remembers, whatever happens to the server
    answered.mkdir(exist_ok=True)
    for first in range(0, len(paths), part):
        if (answered / str(first)).exists():
            continue
        files = [(path.name, path.read_bytes()) for path in paths[first : first + part]]
        service.intake.take(files, Asked(TASK), actor=Actor("clinic"), idempotency_key=f"part-{first}")
        (answered / str(first)).touch()
        time.sleep(PAUSE)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
