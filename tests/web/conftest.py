"""The application in this process, and the real server in another one."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from argon2 import PasswordHasher
from flask.templating import Environment
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from secondread.web import create_app
from secondread.web.cookies import csrf_of
from tests.service.conftest import database_url as database_url
from tests.service.conftest import draws as draws
from tests.service.conftest import emptied as emptied
from tests.service.conftest import new_postgresql
from tests.service.conftest import postgresql as postgresql
from tests.service.conftest import postgresql_tables as postgresql_tables
from tests.service.conftest import sqlite_file as sqlite_file
from tests.tables import tables_at_once, with_tables
from tests.web.chromium import chromium, opened

SERVE = "from secondread.web import serve; serve(port=0, on_listening=lambda address: print(address, flush=True))"


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests send is kept in a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDREAD_DATA_FOLDER", str(tmp_path_factory.mktemp("data")))
        patch.delenv("SECONDREAD_DATABASE", raising=False)
        yield


_OPENED: dict[tuple[bytes, int], onnxruntime.InferenceSession] = {}
_COMPILED: dict[tuple[Any, ...], Any] = {}


@pytest.fixture(scope="package", autouse=True)
def _quick_to_start() -> Iterator[None]:
    """Applications of these tests open each network and compile each template once, begin with the tables of this
    version where they have none, and hash passwords quickly."""

    def session(data: bytes, options: Any, **more: Any) -> onnxruntime.InferenceSession:
        key = (hashlib.sha256(data).digest(), options.intra_op_num_threads)
        if key not in _OPENED:
            _OPENED[key] = real(data, options, **more)
        return _OPENED[key]

    def compiled(environment: Environment, source: str, *where: Any, **more: Any) -> Any:
        key = (source, where, tuple(more.items()))
        if key not in _COMPILED:
            _COMPILED[key] = really_compiled(environment, source, *where, **more)
        return _COMPILED[key]

    real, really_compiled = onnxruntime.InferenceSession, Environment.compile
    hasher = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    with tables_at_once(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnxruntime.InferenceSession", session)
        patch.setattr("flask.templating.Environment.compile", compiled)
        patch.setattr("secondread.service.accounts.PasswordHasher", hasher)
        patch.setattr("secondread.service.passwords.PasswordHasher", hasher)
        yield


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """A client of the application as it is shipped, but for the gate, which lets no phantom pass."""
    return create_app({"GATE": "off"}).test_client()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """'' for SQLite, or the URL of a PostgreSQL database of the module, with empty tables."""
    if request.param == "sqlite":
        yield ""
        return
    with new_postgresql(request.getfixturevalue("postgresql_tables")) as url:  # a skip where none answers
        yield url


@contextmanager
def served(**settings: str) -> Iterator["Server"]:
    """The shipped application under waitress on a free port, without the gate. settings: by key, as DATA_FOLDER."""
    environment = {**os.environ, "SECONDREAD_GATE": "off", **{f"SECONDREAD_{key}": at for key, at in settings.items()}}
    if not environment.get("SECONDREAD_DATABASE"):
        with_tables(Path(environment["SECONDREAD_DATA_FOLDER"]))
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield Server(process.stdout.readline().strip(), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


@pytest.fixture(scope="session")
def server() -> Iterator["Server"]:
    """One for all tests that only need one."""
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """A server of its own with an empty worklist, on PostgreSQL where one answers; `server` is on SQLite.

    That both give the same answers is shown without a browser: tests/service and tests/web/test_api_*.
    """
    database: AbstractContextManager[str]
    try:
        database = new_postgresql(request.getfixturevalue("postgresql_tables"))
    except pytest.skip.Exception:
        database = nullcontext("")
    with database as url, served(DATA_FOLDER=str(tmp_path_factory.mktemp("room")), DATABASE=url) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real one."""
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser: Browser, room: "Server") -> Iterator[Page]:
    """A page of the room, with a session of its own."""
    with opened(browser, room.address) as found:
        yield found


class Server:
    """Where it listens, with a slash at the end, and its process."""

    def __init__(self, address: str, pid: int):
        self.address = address
        self.pid = pid


def logged_in(client: FlaskClient, name: str) -> str:
    """Log a client in without the work of a password; gives what it has to send as X-CSRF-Token."""
    service = client.application.extensions["secondread.service"]
    secret = service.sessions.begin(service.accounts.get(name)).secret
    client.set_cookie("secondread", secret)
    return csrf_of(secret)


def post(client: FlaskClient, *files: tuple[str, bytes], **form: Any) -> TestResponse:
    """Send files, as (name, bytes), to be read."""
    body, content_type = multipart(*files, **form)
    return client.post("/api/v1/readings", data=body, content_type=content_type)


def multipart(*files: tuple[str, bytes], **form: Any) -> tuple[bytes, str]:
    """Body and content type of a form; as bytes, since a test client leaves its temporary files open."""
    images = [FileStorage(io.BytesIO(data), name) for name, data in files]
    boundary, body = encode_multipart({"image": images, **form})
    return body, f"multipart/form-data; boundary={boundary}"
