"""What who asks is told while the database is away or locked: words of our own, and when to ask again."""

import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from secondread.errors import (
    BackupDamaged,
    BundleDamaged,
    CannotWrite,
    DatabaseAway,
    DatabaseUnusable,
    DiskFull,
    ServiceError,
    StorageAway,
)
from secondread.service import Actor, Service
from secondread.service.database import Patience
from secondread.web import create_app
from secondread.web.problems import problem_of
from tests.service.stubs import image_bytes

SECRET = "postgresql://anna@db.hospital.example:5432/x /srv/data INSERT INTO trail"


@pytest.fixture
def own(tmp_path: Path) -> FlaskClient:
    """A client of an application with an empty data folder."""
    return create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path / "data")}).test_client()


@pytest.mark.parametrize(
    "error",
    [
        DatabaseAway(SECRET, retry_after=5),
        DatabaseUnusable(SECRET),
        StorageAway(SECRET, retry_after=5),
        DiskFull(SECRET),
        CannotWrite(SECRET),
        BundleDamaged(SECRET),
        BackupDamaged(SECRET),
        ServiceError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer_holds_an_address_a_path_or_a_statement(client: FlaskClient, error: Exception) -> None:
    with client.application.test_request_context():
        answer = problem_of(error)  # type: ignore[arg-type]
    assert answer.status_code >= 500
    assert not any(word in answer.get_data(as_text=True) for word in SECRET.split())
    assert ("Retry-After" in answer.headers) == isinstance(error, (DatabaseAway, StorageAway))


def test_a_locked_database_is_told_soon_and_holds_no_thread(
    own: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secondread.web.app.OF_REQUESTS", Patience(lock=0.2, statement=0.6))
    with closing(sqlite3.connect(tmp_path / "data" / "secondread.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        sent = {"image": (BytesIO(image_bytes(1)), "x.png"), "task": "tuberculosis"}
        answer = own.post("/api/v1/batches", data=sent)
        page = own.get("/trail", headers={"Accept": "text/html"})
        other.execute("ROLLBACK")
    assert (answer.status_code, answer.json["code"]) == (503, "database_away")
    assert answer.headers["Retry-After"] == "5"
    assert page.status_code == 503
    assert "secondread.sqlite" not in page.text + answer.text
    assert own.get("/trail").status_code == 200


def test_an_upload_is_not_said_to_be_stored_before_it_is_on_the_disk(
    own: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image, its name in its folder, and the folder's own name are on the disk before the row speaks of it."""
    service: Service = own.application.extensions["secondread.service"]
    order: list[str] = []
    monkeypatch.setattr(
        "secondread.service.storage.sync_filesystem", lambda place: False
    )  # each by itself, by its name
    monkeypatch.setattr("os.fsync", lambda handle: order.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    after = service.database.after_commit

    def committed(session: object) -> None:
        order.append("commit")
        if after is not None:
            after(session)  # type: ignore[arg-type]

    monkeypatch.setattr(service.database, "after_commit", committed)
    sha256 = service.intake.stage(image_bytes(1), actor=_anna()).sha256
    file = next(name for name in order if name.startswith(f".{sha256}"))
    before = order[: order.index("commit")]
    assert (before[0], sorted(before[1:])) == (file, [sha256[:2], "images"])  # the bytes, and then the names
    order.clear()
    service.intake.stage(image_bytes(1), actor=_anna())  # sent again: who wrote it may not have ended yet
    assert order[: order.index("commit")] == [sha256[:2]]


def test_sqlite_waits_for_the_disk_before_a_commit_is_said(own: FlaskClient) -> None:
    service: Service = own.application.extensions["secondread.service"]
    with service.database.reading() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def _anna() -> Actor:
    return Actor("anna", "test")


def test_storage_that_is_away_is_told_soon_and_nothing_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed: the extra 's3' brings it")
    (tmp_path / "site.key").write_bytes(b"k" * 32)
    shared = {"IMAGES": "memory://away/images", "SITE_KEY": str(tmp_path / "site.key")}
    app = create_app({"GATE": "off", "DATA_FOLDER": str(tmp_path / "data"), **shared})
    service: Service = app.extensions["secondread.service"]
    client = app.test_client()

    def sent() -> TestResponse:
        return client.post("/api/v1/readings", data={"image": (BytesIO(image_bytes(5)), "x.png"), "task": "fracture"})

    with monkeypatch.context() as patch:
        patch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", _broken)
        told, ready = sent(), client.get("/readyz")
        assert service.worklist.page(actor=Actor("test")).rows == ()
    assert (told.status_code, told.json["code"], told.headers["Retry-After"]) == (503, "storage_away", "5")
    assert (ready.status_code, ready.json["code"]) == (503, "storage_away")
    assert "memory" not in told.text + ready.text
    assert sent().json["readings"][0]["id"]  # kept, a refusal or not
    assert client.get("/readyz").status_code == 200


def _broken(*_: object, **__: object) -> None:
    raise TimeoutError("no answer from memory://away")
