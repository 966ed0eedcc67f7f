"""Three servers with folders of their own on one PostgreSQL, Redis and S3, behind nginx: as three hosts would be."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

from secondread.service import Actor, Service, settings_from
from tests.deploy.fronts import NAME, PROGRAM, Front, free_port, nginx_before

PASSWORD = "a long password"
_ENDS_IN = 30  # seconds


@dataclass
class Hosts:
    """The servers, and what stands before and behind them."""

    folder: Path
    environment: dict[str, str]  # of every host, but for its folder
    front: Front
    token: str
    ports: list[int]
    redis: int
    storage: subprocess.Popen[bytes]
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)  # by port

    def start(self, number: int) -> None:
        """A host with an empty folder; one of them has two processes, which are forked."""
        port, processes = self.ports[number], "2" if number == 1 else "1"
        command = [sys.executable, "-m", "secondread.cli", "serve", "--port", str(port), "--processes", processes]
        own = {"SECONDREAD_DATA_FOLDER": str(self.folder / f"host-{number}-{secrets.token_hex(4)}")}
        self.running[port] = subprocess.Popen(
            command, env={**os.environ, **self.environment, **own}, stdout=subprocess.DEVNULL
        )
        wait_for(port, self.running[port])

    def kill(self, number: int) -> None:
        """As a host that loses its power."""
        process = self.running.pop(self.ports[number])
        process.send_signal(signal.SIGKILL)
        process.wait()

    def service(self, folder: Path, **more: str) -> Service:
        """The same database and images in this process."""
        found = settings_from({**self.environment, "SECONDREAD_DATA_FOLDER": str(folder), **more})
        return Service.open(found)


def peers_are_here() -> None:
    """Skip, with what is missing."""
    pytest.importorskip("moto", reason="moto is not installed: the extra 'dev' brings it")
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra 's3' brings it")
    pytest.importorskip("redis", reason="redis is not installed: the extra 'redis' brings it")
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")


@contextmanager
def several_hosts(folder: Path, database: str, n: int) -> Iterator[Hosts]:
    """Everything started, with an administrator anna and a token of hers."""
    s3, redis, ports = free_port(), free_port(), [free_port() for _ in range(n)]
    (folder / "site.key").write_bytes(secrets.token_bytes(32))
    environment = {
        "SECONDREAD_DATABASE": database,
        "SECONDREAD_IMAGES": "s3://images/site",
        "SECONDREAD_S3_ENDPOINT": f"http://127.0.0.1:{s3}",
        "SECONDREAD_SITE_KEY": str(folder / "site.key"),
        "SECONDREAD_RATE_LIMIT_STORAGE": f"redis://127.0.0.1:{redis}/0",
        "SECONDREAD_RATE_LIMIT": "100000 per minute",
        "SECONDREAD_HOSTS": NAME,
        "SECONDREAD_LOGIN": "on",
        "SECONDREAD_PROXIES": "1",
        "SECONDREAD_SECURE_COOKIES": "on",
        "SECONDREAD_GATE": "off",  # it lets no phantom pass
        "SECONDREAD_WORKERS": "1",
        "SECONDREAD_LEASE_SECONDS": "5",
    }
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-central-1"}
    moto = [str(Path(sys.executable).with_name("moto_server")), "--host", "127.0.0.1", "--port", str(s3)]
    counters = ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    front, nginx = nginx_before(folder, ports)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in credentials.items():
            patch.setenv(name, value)
        storage = stack.enter_context(_running(moto, s3))
        stack.enter_context(_running(counters, redis))
        _make_bucket(environment["SECONDREAD_S3_ENDPOINT"])
        hosts = Hosts(folder, environment, front, "", ports, redis, storage)
        service = hosts.service(folder / "administration")
        service.accounts.add("anna", role="administrator", password=PASSWORD, actor=Actor("test"))
        hosts.token, _ = service.tokens.add("anna", name="test", scopes=["read", "write"], actor=Actor("test"))
        service.close()
        try:
            for number in range(n):
                hosts.start(number)
            stack.enter_context(_running(nginx, front.port))
            yield hosts
        finally:
            for process in hosts.running.values():
                _end(process)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until a server is ready to work."""
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "it does not become ready"
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)


def _make_bucket(endpoint: str) -> None:
    import s3fs

    s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True).mkdir("images")


@contextmanager
def _running(command: list[str], port: int, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, f"{command[0]} ended"
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(_ENDS_IN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
