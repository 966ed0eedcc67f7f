"""What is stored by one host is there on all, and stays when one is killed while many images come in."""

import http.client
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from secondread.service import Actor, back_up, restore
from secondread.service.database import Database
from secondread.service.object_storage import storage_of
from secondread.service.tables import ImageRow, ItemRow, ReadingRow
from secondread.testing.phantoms import chest_phantom, encode
from tests.deploy.fronts import NAME
from tests.peers.several import PASSWORD, Hosts, peers_are_here, several_hosts
from tests.service.conftest import new_postgresql
from tests.service.conftest import postgresql as postgresql
from tests.web.conftest import multipart

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]
IMAGES, CLIENTS, UPLOADED = 40, 6, 12
PASSES = (502, 503, 504)  # a host that is gone, or busy: what is told to come again


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, postgresql: str) -> Iterator[Hosts]:
    """Three, with all that they share."""
    peers_are_here()
    with new_postgresql() as url, several_hosts(tmp_path_factory.mktemp("hosts"), url, 3) as found:
        yield found


def film(number: int) -> tuple[str, bytes]:
    return f"film-{number}.png", encode(chest_phantom(256, random_state=number), "PNG")


def ask_host(hosts: Hosts, number: int, method: str, path: str, **headers: str) -> tuple[int, Any, bytes]:
    """One host, past nginx, as nginx would ask it."""
    connection = http.client.HTTPConnection("127.0.0.1", hosts.ports[number], timeout=60)
    sent = {"Host": NAME, "X-Forwarded-For": "127.0.0.2", "X-Forwarded-Proto": "https"}
    sent |= headers or {"Authorization": f"Bearer {hosts.token}"}
    try:
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def send(hosts: Hosts, path: str, *files: tuple[str, bytes], key: str, seen: Counter[int]) -> dict[str, Any]:
    """Send images until they are answered. seen: counts how each try was answered; 0 for a broken connection."""
    body, content_type = multipart(*files, task="tuberculosis")
    deadline = time.monotonic() + 120
    while True:
        headers = {"Authorization": f"Bearer {hosts.token}", "Content-Type": content_type, "Idempotency-Key": key}
        try:
            status, _, told = hosts.front.ask("POST", path, body, **headers)
        except (OSError, http.client.HTTPException):
            status, told = 0, b""
        seen[status] += 1
        if status in (200, 201):
            return dict(json.loads(told))
        # 409: the first try counts as being answered for ten minutes, by the host that is gone
        assert status in (0, 409, *PASSES), told
        assert time.monotonic() < deadline, f"never answered: {seen}"
        key = f"{key}-again" if status == 409 else key
        time.sleep(0.3)


@pytest.fixture(scope="module")
def answered(hosts: Hosts) -> tuple[dict[int, dict[str, Any]], int, Counter[int]]:
    """(readings by their number, the number of an upload, how tries were answered): one host is killed meanwhile."""
    seen: Counter[int] = Counter()
    halfway = threading.Event()

    def one(number: int) -> dict[str, Any]:
        (entry,) = send(hosts, "/api/v1/readings", film(number), key=f"film-{number}", seen=seen)["readings"]
        if number >= IMAGES // 3:
            halfway.set()
        return dict(entry)

    with ThreadPoolExecutor(CLIENTS) as clients:
        sent = [clients.submit(one, number) for number in range(IMAGES)]
        more = [film(1000 + number) for number in range(UPLOADED)]
        upload = send(hosts, "/api/v1/batches", *more, key="upload", seen=seen)
        assert halfway.wait(300)
        hosts.kill(0)
        readings = {int(entry["id"]): entry for entry in (one.result() for one in sent)}
    return readings, int(upload["id"]), seen


def test_who_sends_is_told_to_come_again_at_most(answered: tuple[Any, int, Counter[int]]) -> None:
    _, _, seen = answered
    assert set(seen) <= {0, 200, 201, 409, *PASSES}
    assert seen[200] == IMAGES


def test_no_answered_reading_is_lost_and_none_is_there_twice(
    hosts: Hosts, answered: tuple[dict[int, dict[str, Any]], int, Any]
) -> None:
    readings, _, _ = answered
    assert len(readings) == IMAGES
    for number in (1, 2):
        for reading, entry in readings.items():
            status, _, told = ask_host(hosts, number, "GET", f"/api/v1/readings/{reading}")
            assert status == 200
            assert json.loads(told)["probability"] == entry["probability"]


def test_an_upload_is_read_to_its_end_by_whoever_is_left(hosts: Hosts, answered: tuple[Any, int, Any]) -> None:
    _, upload, _ = answered
    deadline = time.monotonic() + 120
    while True:
        told = json.loads(ask_host(hosts, 1, "GET", f"/api/v1/batches/{upload}")[2])
        if told["finished"]:
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.5)
    service = hosts.service(hosts.folder / "looking")
    with service.database.reading() as session:
        states = Counter(session.scalars(select(ItemRow.state).where(ItemRow.batch_id == upload)))
        n_readings = session.scalar(select(func.count()).select_from(ReadingRow))
        n_images = session.scalar(select(func.count()).select_from(ImageRow))
    kept = len(list(service.images.storage.list("images/")))
    faults = [one for one in service.repair.check(actor=Actor("test")) if one.n]
    service.close()
    assert states == {"done": UPLOADED}
    assert n_readings == n_images == kept == IMAGES + UPLOADED
    assert faults == []


def test_a_host_with_an_empty_folder_takes_the_place_of_the_one_that_died(
    hosts: Hosts, answered: tuple[dict[int, dict[str, Any]], int, Any]
) -> None:
    readings, _, _ = answered
    hosts.start(0)
    reading = min(readings)
    for path in (
        "/api/v1/readings?limit=100",
        *(f"/api/v1/readings/{reading}/{what}" for what in ("image", "heatmap")),
    ):
        told = [ask_host(hosts, number, "GET", path) for number in range(3)]
        assert {status for status, _, _ in told} == {200}, path
        assert len({body for _, _, body in told}) == 1, path


def test_who_signs_in_at_one_host_is_signed_in_at_all(hosts: Hosts) -> None:
    body = json.dumps({"name": "anna", "password": PASSWORD}).encode()
    status, headers, told = hosts.front.ask("POST", "/api/v1/session", body, **{"Content-Type": "application/json"})
    assert status == 200, told
    cookie = "; ".join(one.partition(";")[0] for one in headers.get_all("Set-Cookie") or [])
    for number in range(3):
        who = json.loads(ask_host(hosts, number, "GET", "/api/v1/session", Cookie=cookie)[2])
        assert (who["name"], who["csrf_token"]) == ("anna", json.loads(told)["csrf_token"])


def test_requests_of_an_account_are_counted_together(hosts: Hosts) -> None:
    import redis

    with redis.Redis(port=hosts.redis) as counters:
        counters.flushdb()
        for number in (0, 1, 2, 0):
            assert ask_host(hosts, number, "GET", "/api/v1/tasks")[0] == 200
        moments = [counters.llen(name) for name in counters.keys("LIMITS*")]
    assert moments == [4]


def test_storage_that_is_away_is_told_and_passes(hosts: Hosts) -> None:
    hosts.storage.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        status, _, told = ask_host(hosts, 1, "GET", "/readyz")
        assert (status, json.loads(told)["code"]) in ((503, "storage_away"), (503, "database_away"))
        assert time.monotonic() - began < 5
        assert ask_host(hosts, 1, "GET", "/healthz")[0] == 200
        assert ask_host(hosts, 1, "GET", "/api/v1/readings")[0] == 200
    finally:
        hosts.storage.send_signal(signal.SIGCONT)
    time.sleep(3)
    assert ask_host(hosts, 1, "GET", "/readyz")[0] == 200


def test_a_person_is_erased_everywhere(hosts: Hosts, answered: tuple[dict[int, Any], int, Any], tmp_path: Path) -> None:
    readings, _, _ = answered
    reading = max(readings)
    service = hosts.service(tmp_path)
    service.erasure.erase(reading=reading, actor=Actor("test"))
    remembered = service.images.storage.read("erasures.jsonl").decode().splitlines()
    service.close()
    assert len(remembered) == 1
    for number in range(3):
        assert ask_host(hosts, number, "GET", f"/api/v1/readings/{reading}/image")[0] in (404, 410)


def test_a_backup_comes_back_into_empty_database_and_storage(hosts: Hosts, tmp_path: Path) -> None:
    service = hosts.service(tmp_path / "a")
    archive = tmp_path / "backup.tar.gz"
    facts = back_up(service.database, service.images, archive, actor=Actor("test"))
    kept = {one.key for one in service.images.storage.list("images/")}
    service.close()
    assert facts.n_files >= len(kept)
    with new_postgresql() as url:
        endpoint = hosts.environment["SECONDREAD_S3_ENDPOINT"]
        storage = storage_of(tmp_path, "s3://images/again", endpoint=endpoint)
        restore(archive, tmp_path / "b", url=url, storage=storage)
        Database.open(tmp_path, url).close()
        again = hosts.service(tmp_path / "b", SECONDREAD_DATABASE=url, SECONDREAD_IMAGES="s3://images/again")
        assert {one.key for one in again.images.storage.list("images/")} == kept
        assert [one for one in again.repair.check(actor=Actor("test")) if one.n] == []
        again.close()
