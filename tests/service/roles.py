"""What the test of killed processes starts: to take an upload in, to read the queue, to store many images at once.

python -m tests.service.roles upload|work|store DATA_FOLDER DATABASE N
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from secondread.service import Actor, Draft, ReadingRequest, Service
from tests.service.stubs import image_bytes, read, worker_of

PART = 5  # images of one upload
SECONDS = 0.02  # of one reading


def main() -> None:
    """Do the part that is named, as if for the first time."""
    role, folder, database, n = sys.argv[1:]
    service = Service.open({"DATA_FOLDER": folder, "DATABASE": database, "LEASE_SECONDS": 1})
    if role == "upload":
        _upload(service, int(n))
    elif role == "store":
        _store(service, int(n))
    else:
        print("ready", flush=True)  # noqa: T201
        worker_of(service, _read, poll_seconds=0.05).run()


def _upload(service: Service, n: int) -> None:
    """Every part under a key of its own: what was sent before is not taken twice."""
    for first in range(0, n, PART):
        files = [(f"{number}.png", image_bytes(number)) for number in range(first, min(first + PART, n))]
        batch = service.intake.take(
            files, ReadingRequest("tuberculosis"), actor=Actor("anna"), idempotency_key=f"part {first}"
        )
        print(batch, flush=True)  # noqa: T201


def _store(service: Service, n: int) -> None:
    """As the desk does for many who wait: each says so when its image is stored."""

    def one(number: int) -> None:
        staged = service.intake.receive(image_bytes(number))
        service.images.keep(staged.sha256, staged.data)
        taking_in = partial(service.intake.keep_within, staged=staged, actor=Actor("anna"))
        kept, _ = service.readings.add(
            read(staged.data), image_sha256=staged.sha256, name="a.png", actor=Actor("anna"), before=taking_in
        )
        sys.stdout.write(f"{staged.sha256} {kept.id}\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(n)))


def _read(data: bytes) -> Draft:
    time.sleep(SECONDS)
    return read(data)


if __name__ == "__main__":
    main()
