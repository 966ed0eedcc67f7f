"""Readings that are stored at once are one transaction: counted, each with its own errors, none said to be early."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from secondread.errors import CannotWrite, DiskFull, NotThere
from secondread.service import Database, Draft, ReadingRequest, Service
from secondread.service.commits import GroupCommit
from secondread.service.object_storage import ObjectStorage
from secondread.service.tables import ImageRow, ReadingRow
from secondread.service.trail import record
from tests.counted import Work, counted
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes
from tests.service.test_together import at_once, waiting_for

N = 16
ASKED = ReadingRequest("tuberculosis")


def storing(service: Service) -> Callable[[int], object]:
    """As the desk stores what was read: the file first, then all rows."""

    def store(number: int) -> object:
        staged = service.intake.receive(image_bytes(number))
        service.images.keep(staged.sha256, staged.data)

        def before(session: Session) -> None:
            service.intake.keep_within(session, staged, actor=ANNA)

        return service.readings.add(draft(0.9), image_sha256=staged.sha256, name="a.png", actor=ANNA, before=before)

    return store


def together_at_the_first(service: Service, work: Work) -> None:
    """Hold up whoever is first, with files and with rows, until all others wait behind."""
    files, rows = service.images._together, service.readings._together._together
    held: set[int] = set()

    def hold() -> None:
        if not held:
            held.add(1)
            waiting_for(files, N - 1)

    work.before_sync = hold

    def committing(_: object) -> None:
        if len(held) == 1:
            held.add(2)
            waiting_for(rows, N - 1)

    event.listen(service.database.engine, "commit", committing)


def test_sixteen_at_once_wait_for_the_disk_less_than_once_each(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.images.secret("deidentify")
    with counted(monkeypatch, service.database) as work:
        together_at_the_first(service, work)
        found = at_once(N, storing(service))
    assert all(isinstance(one, tuple) and one[1] for one in found), found
    # The first alone: its file, its folder and the folder above; then fifteen: all bytes, and all names. Without syncfs
    # each file and folder would be waited for by itself.
    assert work.syncs <= 2 + 2 + 1 < N
    assert work.commits == 2  # the first, and the others: one wait of the database each
    assert service.worklist.count() == N
    lines = [line["action"] for line in service.trail.lines()]
    assert lines.count("image.received") == lines.count("reading.made") == N
    service.trail.verify()


def test_where_nobody_fails_each_is_done_once_without_a_savepoint(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.images.secret("deidentify")
    with counted(monkeypatch, service.database) as work:
        together_at_the_first(service, work)
        at_once(N, storing(service))
    assert not [one for one in work.statements if one.startswith(("SAVEPOINT", "ROLLBACK"))]
    assert sum(one.startswith("INSERT INTO readings") for one in work.statements) == N


def test_an_error_is_undone_alone_and_told_to_its_own_request(service: Service) -> None:
    store, alone = storing(service), service.readings._together
    shas = [hashlib.sha256(image_bytes(number)).hexdigest() for number in range(N)]
    started = threading.Event()

    def first(session: Session) -> str:
        started.set()
        waiting_for(alone._together, 3)
        return "first"

    def failing(session: Session) -> None:
        record(session, ANNA, "never.happened", "nothing")
        session.execute(text("UPDATE images SET format = 'lost'"))
        raise NotThere("it went meanwhile")

    def broken(session: Session) -> None:
        record(session, ANNA, "never.happened", "nothing")
        session.execute(text("INSERT INTO readings (id) VALUES (7)"))

    def call(number: int) -> object:
        if number == 0:
            return alone("", first)
        started.wait(30)
        return {1: lambda: alone("0", failing), 2: lambda: alone("1", broken)}.get(number, lambda: store(number))()

    found = at_once(4, call)
    assert found[0] == "first"
    assert isinstance(found[1], NotThere)
    assert "readings" in str(found[2])
    assert isinstance(found[3], tuple)
    with service.database.reading() as session:
        assert session.scalars(select(ImageRow.sha256).where(ImageRow.format == "PNG")).all() == [shas[3]]
    assert {line["action"] for line in service.trail.lines()} == {"image.received", "reading.made"}
    service.trail.verify()


def test_rows_that_are_wrong_only_once_they_are_sent_are_their_own_works_error(service: Service) -> None:
    group, started = service.readings._together, threading.Event()

    def first(session: Session) -> None:
        started.set()
        waiting_for(group._together, 2)

    def good(session: Session) -> str:
        record(session, ANNA, "good", "x")
        return "good"

    def broken(session: Session) -> None:
        session.add(ReadingRow(id=7))  # sent to the database when the session likes

    def call(number: int) -> object:
        if number == 0:
            return group("", first)
        started.wait(30)
        return group(str(number), good if number == 1 else broken)

    found = at_once(3, call)
    assert found[1] == "good"
    assert isinstance(found[2], Exception)
    assert [line["action"] for line in service.trail.lines()] == ["good"]


def test_nothing_is_said_to_be_stored_before_the_commit_of_all(service: Service) -> None:
    said: list[int] = []
    at_commit: list[list[int]] = []
    event.listen(service.database.engine, "commit", lambda _: at_commit.append(list(said)))
    store = storing(service)

    def call(number: int) -> object:
        found = store(number)
        said.append(number)
        return found

    at_once(N, call)
    assert len(said) == N
    for before, after in zip(at_commit, [*at_commit[1:], said], strict=True):
        assert len(before) <= len(after)
    assert at_commit[0] == []


def test_a_commit_that_fails_is_told_to_all_who_wait_for_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    store = storing(service)

    def failing(_: object) -> None:
        raise OSError("the disk is gone")

    event.listen(service.database.engine, "commit", failing)
    found = at_once(4, store)
    event.remove(service.database.engine, "commit", failing)
    assert [str(one) for one in found] == ["the disk is gone"] * 4
    assert service.worklist.count() == 0
    assert all(isinstance(one, tuple) for one in at_once(4, store))


def test_a_full_disk_of_sqlite_undoes_all_of_a_group_and_tells_each(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    database.upgrade()
    group, started = GroupCommit(database), threading.Event()

    def first(session: Session) -> None:
        started.set()
        waiting_for(group._together, 2)

    def small(session: Session) -> None:
        record(session, ANNA, "small", "x")

    def large(session: Session) -> None:
        session.execute(text("PRAGMA max_page_count = 1"))
        record(session, ANNA, "large", "x" * 10)
        session.execute(text("CREATE TABLE more (x)"))
        session.execute(text("INSERT INTO more VALUES (zeroblob(10000000))"))

    def call(number: int) -> object:
        if number == 0:
            return group("", first)
        started.wait(30)
        return group(str(number), small if number == 2 else large)

    found = at_once(3, call)
    assert found[0] is None
    assert isinstance(found[1], DiskFull)
    assert found[2] is None or isinstance(found[2], DiskFull)
    with database.begin() as session:
        session.execute(text("PRAGMA max_page_count = 1000000"))
        record(session, ANNA, "after", "x")
    with database.reading() as session:
        kept = session.scalars(text("SELECT action FROM trail ORDER BY seq")).all()
    assert kept == (["small", "after"] if found[2] is None else ["after"])
    database.close()


def test_a_file_that_cannot_be_written_is_its_own_requests_error(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = hashlib.sha256(image_bytes(3)).hexdigest()
    write_many = service.images.storage.write_many

    def writing(files: dict[str, bytes], *, once: bool = False) -> None:
        if any(bad in key for key in files):
            raise CannotWrite("this one cannot be written")
        write_many(files, once=once)

    monkeypatch.setattr(service.images.storage, "write_many", writing)
    found = at_once(8, storing(service))
    assert [isinstance(one, CannotWrite) for one in found] == [number == 3 for number in range(8)]
    assert service.worklist.count() == 7


def test_the_same_image_from_many_at_once_is_one_reading_of_one_image(service: Service) -> None:
    found = at_once(N, lambda _: storing(service)(0))
    assert len({one[0].id for one in found}) == 1  # type: ignore[index]
    assert sorted(one[1] for one in found) == [False] * (N - 1) + [True]  # type: ignore[index]
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ReadingRow)) == 1
    told = [json.loads(line["detail"]) for line in service.trail.lines(action="reading.answered_from_store")]
    assert len(told) == N - 1


def test_an_image_that_is_erased_between_its_file_and_its_row_is_kept_all_the_same(service: Service) -> None:
    staged = service.intake.receive(image_bytes(1))
    service.images.keep(staged.sha256, staged.data)
    service.images.forget(staged.sha256)

    def before(session: Session) -> None:
        service.intake.keep_within(session, staged, actor=ANNA)

    kept: Draft = draft(0.9)
    service.readings.add(kept, image_sha256=staged.sha256, name="a", actor=ANNA, before=before)
    assert service.images.image(staged.sha256) == staged.data


def test_two_processes_that_store_the_same_images_cannot_wait_for_one_another(service: Service) -> None:
    """Each locks the images of its group in the same order, and the trail last."""
    url = "" if service.database.is_sqlite else service.database.url.render_as_string(hide_password=False)
    other = Service.open({"DATA_FOLDER": str(service.folder), "DATABASE": url}, upgrade=False)
    stores = storing(service), storing(other)
    try:
        for turn in range(3):
            found = at_once(N, lambda number: stores[number % 2](number // 2 if number % 2 else 7 - number // 2))
            assert not [one for one in found if isinstance(one, Exception)], turn
    finally:
        other.close()
    assert service.worklist.count() == N // 2
    assert len(list(service.trail.lines(action="reading.made"))) == N // 2
    service.trail.verify()


def test_storage_that_is_shared_is_asked_only_about_images_that_a_row_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question takes it milliseconds, in which the rows of a whole group would be held."""
    service.images.storage = ObjectStorage(f"memory://{service.folder.name}{id(service)}")
    asked: list[str] = []
    exists = service.images.exists
    monkeypatch.setattr(service.images, "exists", lambda sha256: asked.append(sha256) or exists(sha256))
    for _ in range(2):
        storing(service)(1)
    assert len(asked) == (2 if service.database.is_sqlite else 1)  # SQLite does not tell which rows are new
