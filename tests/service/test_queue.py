"""Every image of an upload is read exactly once, whatever is killed, and when."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from secondread.errors import NotThere, UsageError
from secondread.service import Actor, NewItem, ReadingRequest, Service
from secondread.service.tables import ItemRow, ReadingRow
from tests.service import stubs
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage, worker_of

ASKED = ReadingRequest("tuberculosis", source="ward 1")
_WORK = """
import sys
import time
from secondread.service import Service
from tests.service.stubs import read, worker_of
def slowly(data):  # else all is read before a killed worker is back
    time.sleep(0.1)
    return read(data)
service = Service.open({"DATA_FOLDER": sys.argv[1], "DATABASE": sys.argv[2], "LEASE_SECONDS": 1}, upgrade=False)
print("ready", flush=True)
worker_of(service, slowly, poll_seconds=0.05).run()
"""


def _submit(service: Service, n: int, **more) -> int:
    files = [(f"{number}.png", image_bytes(number)) for number in range(n)]
    return service.intake.take(files, ASKED, actor=ANNA, **more)


def test_an_upload_is_read_and_every_item_names_its_reading(service: Service) -> None:
    batch = _submit(service, 4)
    assert service.queue.batch(batch).counts["queued"] == 4
    assert worker_of(service).run_until_empty() == 4
    found = service.queue.batch(batch)
    assert (found.counts["done"], found.n, found.finished) == (4, 4, True)
    for item in service.queue.items(batch):
        reading = service.readings.get(item.reading_id, actor=ANNA)
        assert (reading.name, reading.source, reading.created_by) == (item.name, "ward 1", "anna")


def test_workers_killed_at_any_moment_lose_nothing_and_repeat_nothing(service: Service) -> None:
    url = "" if service.database.is_sqlite else service.database.url.render_as_string(hide_password=False)
    service.queue.lease = timedelta(seconds=1)
    n = 80
    batch = _submit(service, n)
    rng = random.Random(0)
    command = [sys.executable, "-c", _WORK, str(service.folder), url]
    deadline = time.monotonic() + 60
    kills = 0
    workers: list[subprocess.Popen[str]] = []
    try:
        while not service.queue.batch(batch).finished:
            assert time.monotonic() < deadline, service.queue.batch(batch)
            workers = [worker for worker in workers if worker.poll() is None]
            while len(workers) < 2:
                workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            if kills < 4:
                for worker in workers:
                    assert worker.stdout is not None
                    if not worker.stdout.closed:
                        worker.stdout.readline()
                        worker.stdout.close()
                time.sleep(rng.uniform(0.02, 0.12))
                victim = rng.choice(workers)
                victim.send_signal(signal.SIGKILL)
                victim.wait()
                kills += 1
            else:
                time.sleep(0.05)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()
    assert kills >= 3
    assert service.queue.batch(batch).counts["done"] == n
    with service.database.reading() as session:
        readings = session.scalars(select(ReadingRow.image_sha256)).all()
        items = session.scalars(select(ItemRow.reading_id)).all()
    assert len(readings) == len(set(readings)) == n
    assert len(set(items)) == n
    made = Counter(line["subject"] for line in service.trail.lines(action="reading.made"))
    assert (len(made), set(made.values())) == (n, {1})
    service.trail.verify()


def test_a_worker_that_lost_its_lease_cannot_finish(service: Service) -> None:
    _submit(service, 1)
    service.queue.lease = timedelta(seconds=-1)
    slow = service.queue.claim()
    quick = service.queue.claim()
    assert slow is not None
    assert quick is not None
    assert slow.id == quick.id
    assert service.queue.finish(slow, draft(0.1)) is None
    assert service.queue.renew(slow) is False
    assert service.queue.finish(quick, draft(0.9)) is not None
    assert service.queue.finish(quick, draft(0.9)) is None
    assert service.worklist.count() == 1


def test_a_reading_slower_than_its_lease_is_read_once(service: Service) -> None:
    service.queue.lease = timedelta(seconds=0.6)
    batch = _submit(service, 1)
    read_by: list[str] = []

    def slowly(data):
        read_by.append(threading.current_thread().name)
        time.sleep(2.0)
        return stubs.read(data)

    slow, other = worker_of(service, slowly), worker_of(service, slowly)
    thread = threading.Thread(target=slow.run_until_empty, name="slow")
    thread.start()
    while not read_by:
        time.sleep(0.01)
    taken = 0
    while thread.is_alive():
        taken += other.run_until_empty()
        time.sleep(0.05)
    thread.join()
    assert (read_by, taken) == (["slow"], 0)
    (item,) = service.queue.items(batch)
    assert (item.state, item.attempts) == ("done", 1)


def test_an_image_that_kills_whoever_reads_it_fails_after_three_times_and_the_others_are_read(service: Service) -> None:
    batch = _submit(service, 2)
    service.queue.lease = timedelta(seconds=-1)
    for _ in range(3):
        claim = service.queue.claim()
        assert claim is not None
        assert claim.name == "0.png"
    service.queue.lease = timedelta(seconds=60)
    worker_of(service).run_until_empty()
    first, second = service.queue.items(batch)
    assert (first.state, first.code, second.state) == ("failed", "worker_died", "done")
    assert service.queue.retry(batch, actor=ANNA) == 1
    worker_of(service).run_until_empty()
    assert service.queue.batch(batch).counts["done"] == 2


def test_a_defect_on_one_image_is_told_and_the_next_is_read(service: Service) -> None:
    def read(data):
        if data == image_bytes(0):
            raise ZeroDivisionError
        if data == image_bytes(1):
            raise UsageError("no such bundle")
        return draft(refusal="blank") if data == image_bytes(2) else stubs.read(data)

    batch = _submit(service, 4)
    worker_of(service, read).run_until_empty()
    found = [(item.state, item.code) for item in service.queue.items(batch)]
    assert found == [("failed", "defect"), ("failed", "cannot_read"), ("refused", "blank"), ("done", "")]


def test_the_same_image_in_two_uploads_is_one_reading(service: Service) -> None:
    first, second = _submit(service, 1), _submit(service, 1)
    worker_of(service).run_until_empty()
    assert service.queue.items(first)[0].reading_id == service.queue.items(second)[0].reading_id
    assert service.worklist.count() == 1


def test_an_idempotency_key_makes_one_upload_of_two_and_is_the_accounts_own(service: Service) -> None:
    assert _submit(service, 1, idempotency_key="k") == _submit(service, 1, idempotency_key="k")
    items = [NewItem("a", stage(service, image_bytes(0)))]
    assert service.queue.submit(ASKED, items, actor=Actor("bert"), idempotency_key="k") != 1
    assert len(service.queue.batches()) == 2


def test_a_cancelled_upload_is_not_read_and_can_be_taken_up_again(service: Service) -> None:
    batch = _submit(service, 3)
    claim = service.queue.claim()
    assert claim is not None
    assert service.queue.cancel(batch, actor=ANNA) == 2
    assert service.queue.claim() is None
    service.queue.give_back(claim)
    counts = service.queue.batch(batch).counts
    assert (counts["queued"], counts["cancelled"], counts["done"]) == (1, 2, 0)
    assert service.queue.retry(batch, actor=ANNA) == 2
    assert worker_of(service).run_until_empty() == 3


def test_what_is_not_there_is_said(service: Service) -> None:
    for work in (service.queue.batch, lambda n: service.queue.cancel(n, actor=ANNA)):
        with pytest.raises(NotThere):
            work(5)
    assert service.queue.waiting() == 0


def test_a_running_worker_stops_when_told(service: Service) -> None:
    import threading

    worker = worker_of(service)
    thread = threading.Thread(target=worker.run)
    thread.start()
    batch = _submit(service, 2)
    worker.wake()
    for _ in range(300):
        if service.queue.batch(batch).finished:
            break
        time.sleep(0.02)
    worker.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert service.queue.batch(batch).counts["done"] == 2
