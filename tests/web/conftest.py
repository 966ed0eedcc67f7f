"""The application in this process, and the real server in another one."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from secondread.web import create_app
from tests.service.conftest import database_url as database_url
from tests.service.conftest import new_postgresql
from tests.service.conftest import postgresql as postgresql
from tests.web.chromium import chromium, opened

SERVE = "from secondread.web import serve; serve(port=0, on_listening=lambda address: print(address, flush=True))"


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests send is kept in a folder of this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDREAD_DATA_FOLDER", str(tmp_path_factory.mktemp("data")))
        patch.delenv("SECONDREAD_DATABASE", raising=False)
        yield


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """A client of the application as it is shipped, but for the gate, which lets no phantom pass."""
    return create_app({"GATE": "off"}).test_client()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """'' for SQLite, or the URL of an empty PostgreSQL database of the module."""
    if request.param == "sqlite":
        yield ""
        return
    request.getfixturevalue("postgresql")  # a skip where none answers
    with new_postgresql() as url:
        yield url


@contextmanager
def served(**settings: str) -> Iterator["Server"]:
    """The shipped application under waitress on a free port, without the gate. settings: by key, as DATA_FOLDER."""
    environment = {**os.environ, "SECONDREAD_GATE": "off", **{f"SECONDREAD_{key}": at for key, at in settings.items()}}
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
def room(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """A server of its own with an empty worklist, on both databases."""
    with served(DATA_FOLDER=str(tmp_path_factory.mktemp("room")), DATABASE=module_database) as found:
        yield found


@pytest.fixture(scope="module")
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


def post(client: FlaskClient, *files: tuple[str, bytes], **form: Any) -> TestResponse:
    """Send files, as (name, bytes), to be read."""
    body, content_type = multipart(*files, **form)
    return client.post("/api/v1/readings", data=body, content_type=content_type)


def multipart(*files: tuple[str, bytes], **form: Any) -> tuple[bytes, str]:
    """Body and content type of a form; as bytes, since a test client leaves its temporary files open."""
    images = [FileStorage(io.BytesIO(data), name) for name, data in files]
    boundary, body = encode_multipart({"image": images, **form})
    return body, f"multipart/form-data; boundary={boundary}"
