"""Several processes serve as one: what one begins another goes on with, and one that is killed is missed by none."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from secondread import Client
from secondread.errors import ServiceError, UsageError
from secondread.service import SETTINGS, Actor, Service, settings_from
from secondread.testing.phantoms import chest_phantom, encode
from secondread.web import serve
from secondread.web.serving.counts import SharedCounts
from secondread.web.serving.shares import TOTALS, processes_for, share_of

IN_TIME = 90.0  # seconds
PASSWORD = "a long password 42"


class Several:
    """Two processes that serve, their parent, and a token of an administrator."""

    def __init__(self, folder: Path, parent: subprocess.Popen[str], address: str, token: str):
        self.folder, self.parent, self.address, self.token = folder, parent, address, token

    def processes(self) -> list[int]:
        """Of those that serve."""
        found = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children").read_text(encoding="utf-8")
        return [int(pid) for pid in found.split()]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, body as JSON and headers of an answer, on a new connection: any process may take it."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=IN_TIME)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text, answer.headers


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    folder = tmp_path_factory.mktemp("several")
    service = Service.open({"DATA_FOLDER": str(folder)})
    service.accounts.add("anna", role="administrator", password=PASSWORD, actor=Actor("test"))
    token, _ = service.tokens.add("anna", name="test", scopes=["read", "write"], actor=Actor("test"))
    service.close()
    environment = {**os.environ, "SECONDREAD_DATA_FOLDER": str(folder), "SECONDREAD_GATE": "off"}
    environment.pop("SECONDREAD_DATABASE", None)
    environment["SECONDREAD_LEASE_SECONDS"] = "2"
    command = [sys.executable, "-m", "secondread.cli", "serve", "--port", "0", "--processes", "2"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    try:
        found = re.search(r"http://\S+", parent.stdout.readline())
        assert found is not None
        yield Several(folder, parent, found[0], token)
    finally:
        parent.terminate()
        code = parent.wait(IN_TIME)
        parent.stdout.close()
    assert code == 0


def test_a_session_holds_in_every_process_and_ends_in_every_process(several: Several) -> None:
    status, _, headers = several.ask("POST", "/api/v1/session", {"name": "anna", "password": PASSWORD})
    assert status == 200
    cookie = "; ".join(line.partition(";")[0] for line in headers.get_all("Set-Cookie", []))
    asked = [several.ask("GET", "/api/v1/session", Cookie=cookie) for _ in range(12)]
    assert {(status, told["name"], told["by"]) for status, told, _ in asked} == {(200, "anna", "session")}
    (token,) = {told["csrf_token"] for _, told, _ in asked}  # a form of one is good for the other
    status, _, _ = several.ask("DELETE", "/api/v1/session", Cookie=cookie, **{"X-CSRF-Token": str(token)})
    assert status < 300
    assert {several.ask("GET", "/api/v1/session", Cookie=cookie)[1]["name"] for _ in range(12)} == {None}


def test_an_upload_is_read_and_followed_whichever_process_took_it(several: Several) -> None:
    room = Client(several.address, token=several.token)
    batch = room.upload([(f"{n}.png", film(n)) for n in range(3)], task="tuberculosis")
    for _ in range(4):  # each stream by whom it happens to reach
        connection = http.client.HTTPConnection(urlsplit(several.address).netloc, timeout=IN_TIME)
        login = {"Authorization": f"Bearer {several.token}"}
        connection.request("GET", f"/api/v1/batches/{batch['id']}/events", headers=login)
        told = connection.getresponse().read()
        connection.close()
        assert b"event: progress" in told
    assert room.wait(batch["id"], timeout=IN_TIME, every=0.1)["counts"]["done"] == 3


def test_wrong_passwords_are_counted_together(several: Several) -> None:
    wrong = {"name": "nobody-of-that-name", "password": "wrong"}
    found = [several.ask("POST", "/api/v1/session", wrong)[0] for _ in range(14)]
    assert set(found) <= {401, 429}
    assert found[-1] == 429


def test_metrics_add_up(several: Several) -> None:
    login = {"Authorization": f"Bearer {several.token}"}

    def counted() -> float:
        _, text, _ = several.ask("GET", "/metrics", **login)
        line = re.search(rb'secondread_requests_total\{method="GET",route="/api/v1/tasks",status="200"\} (\S+)', text)
        return 0.0 if line is None else float(line[1])

    before = counted()
    for _ in range(10):
        assert several.ask("GET", "/api/v1/tasks", **login)[0] == 200
    assert counted() == before + 10


def test_one_that_is_killed_is_started_again_and_nothing_is_lost(several: Several) -> None:
    room, answered, stop = Client(several.address, token=several.token), [], threading.Event()

    def load() -> None:
        number = 100
        while not stop.is_set():
            answered.append(room.upload([(f"{number}.png", film(number))], task="tuberculosis")["id"])
            number += 1

    client = threading.Thread(target=load)
    client.start()
    try:
        before = several.processes()
        assert len(before) == 2
        wait(lambda: len(answered) >= 2)
        os.kill(before[0], signal.SIGKILL)
        n = len(answered)
        wait(lambda: len(answered) >= n + 3)  # the other answers
        wait(lambda: len(several.processes()) == 2 and before[0] not in several.processes())
    finally:
        stop.set()
        client.join(IN_TIME)
    counts = [room.wait(number, timeout=IN_TIME, every=0.1)["counts"] for number in answered]
    assert all(count["done"] == 1 for count in counts)
    assert len(set(answered)) == len(answered)


def test_at_rest_all_together_take_little_memory_and_none_outlives_its_parent(tmp_path: Path) -> None:
    environment = {**os.environ, "SECONDREAD_DATA_FOLDER": str(tmp_path), "SECONDREAD_PROCESSES": "2"}
    command = [sys.executable, "-m", "secondread.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        assert "ready" in parent.stdout.readline()
        children = Several(tmp_path, parent, "", "").processes()
        shares = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in (parent.pid, *children)]
        parent.kill()
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    kilobytes = sum(int(found[1]) for text in shares if (found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)))
    assert len(children) == 2
    assert 0 < kilobytes < 250_000, "networks are loaded when an image is read, and what is imported is there once"


def test_of_what_is_bounded_each_has_its_share() -> None:
    settings = {row.key: row.default for row in SETTINGS} | {"PROCESSES": 3, "WORKERS": 2, "PARALLEL_READINGS": 4}
    shares = [share_of(settings, 3, at) for at in range(3)]
    assert [share["WORKERS"] for share in shares] == [1, 1, 0]
    assert [share["PARALLEL_READINGS"] for share in shares] == [2, 1, 1]
    assert {share["PROCESSES"] for share in shares} == {1}
    assert set(settings) >= set(TOTALS)
    for name in ("CONNECTIONS", "WAITING_REQUESTS", "MAX_WAITING_MB"):
        assert sum(int(share[name]) for share in shares) == settings[name]
    assert {share["DECODE_MEMORY_MB"] for share in shares} == {settings["DECODE_MEMORY_MB"]}, "shared, not shared out"


def test_as_many_processes_as_there_are_cores_and_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"DECODE_MEMORY_MB": 1200}
    found = {}
    for gigabytes in (1, 2, 2.6, 4, 64):
        monkeypatch.setattr("secondread.web.serving.shares.cores", lambda: 4)
        monkeypatch.setattr("secondread.web.serving.shares.memory_bytes", lambda n=gigabytes: int(n * 10**9))
        found[gigabytes] = processes_for(settings)
    assert found == {1: 1, 2: 1, 2.6: 2, 4: 4, 64: 4}


def test_processes_that_cannot_start_stop_the_start(tmp_path: Path) -> None:
    config = {"DATA_FOLDER": str(tmp_path), "DATABASE": "", "PROCESSES": 2, "RATE_LIMIT_STORAGE": "memory://"}
    with pytest.MonkeyPatch.context() as patch:
        for code, kind in ((1, ServiceError), (2, UsageError)):
            patch.setattr("secondread.web.serving.processes.become_child", lambda _, code=code: os._exit(code))
            with pytest.raises(kind, match=rf"did not start \(exit code {code}\)"):
                serve(port=0, config=config)


class TestSharedCounts:
    def test_a_limit_holds_for_all_who_count_together(self, tmp_path: Path) -> None:
        one, other = (SharedCounts(f"shared://{tmp_path}/counts") for _ in range(2))
        assert [one.acquire_entry("a", 3, 60), other.acquire_entry("a", 3, 60), one.acquire_entry("a", 3, 60)] == [
            True
        ] * 3
        assert not other.acquire_entry("a", 3, 60)
        assert other.acquire_entry("b", 3, 60)
        assert (one.get("a"), other.get("b")) == (3, 1)
        start, n = other.get_moving_window("a", 3, 60)
        assert n == 3
        assert abs(time.time() - start) < 60
        one.clear("a")
        assert other.acquire_entry("a", 3, 60)

    def test_what_is_older_than_the_window_counts_no_more(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts, now = SharedCounts(f"shared://{tmp_path}/counts"), 1000.0
        monkeypatch.setattr("secondread.web.serving.counts.time.monotonic", lambda: now)
        assert counts.acquire_entry("a", 1, 60)
        now += 59
        assert not counts.acquire_entry("a", 1, 60)
        now += 2
        assert counts.get("a") == 0
        assert counts.acquire_entry("a", 1, 60)
        assert counts.reset() == 1
        assert counts.check()


def test_the_number_of_processes_is_a_number() -> None:
    with pytest.raises(UsageError, match="PROCESSES"):
        settings_from({"SECONDREAD_PROCESSES": "-1"})


def film(number: int) -> bytes:
    """A picture of its own."""
    return encode(chest_phantom(64, random_state=number), "PNG")


def wait(true: Any) -> None:
    """Until it is so."""
    deadline = time.monotonic() + IN_TIME
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
