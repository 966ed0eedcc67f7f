"""The application in this process, and the real server in another one."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from secondread.web import create_app
from tests.service.conftest import database_url as database_url
from tests.service.conftest import new_postgresql
from tests.service.conftest import postgresql as postgresql

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


@pytest.fixture(scope="session")
def server() -> Iterator["Server"]:
    """The shipped application under waitress on a free port, without the gate."""
    environment = {**os.environ, "SECONDREAD_GATE": "off"}
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield Server(process.stdout.readline().strip(), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


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
