"""What the test of killed processes starts: one that takes an upload in, one that reads the queue.

python -m tests.service.roles upload|work DATA_FOLDER DATABASE N
"""

import sys
import time

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


def _read(data: bytes) -> Draft:
    time.sleep(SECONDS)
    return read(data)


if __name__ == "__main__":
    main()
