"""Sessions in the database: who is logged in where, for how long by whatever clock, and what ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import event, select, text

from secondread.errors import DatabaseUnusable, LoginRefused, NotAllowed, NotThere
from secondread.service import Accounts, Actor, Service, Sessions, User, back_up, restore, scopes_of
from secondread.service.account_tables import DeviceRow, SessionRow
from secondread.service.moments import Moment, elapsed, this_moment
from secondread.service.sessions import LONGEST_SESSION
from tests.service.conftest import ANNA

GOOD = "correct horse battery"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BERT = Actor("bert", "session", scopes=scopes_of("reader"))


class Clocks:
    """The clock on the wall, and the count since the machine was started."""

    def __init__(self) -> None:
        self.moment = Moment(datetime(2026, 3, 1, 8, tzinfo=UTC), 1000.0, "a boot")

    def __call__(self) -> Moment:
        return self.moment

    def pass_by(self, time: timedelta) -> None:
        """Time goes on."""
        self.moment = replace(self.moment, at=self.moment.at + time, ticks=self.moment.ticks + time.total_seconds())

    def set_by(self, step: timedelta) -> None:
        """Somebody sets the clock; the count goes on."""
        self.moment = replace(self.moment, at=self.moment.at + step)

    def restart(self) -> None:
        """The machine is started anew."""
        self.moment = replace(self.moment, ticks=1.0, boot="another boot")


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def sessions(service: Service, clocks: Clocks) -> Sessions:
    """Sessions that end after twelve hours without a request."""
    return Sessions(service.database, idle=12 * HOUR, clock=clocks)


@pytest.fixture
def bert(accounts: Accounts) -> User:
    accounts.add("first", role="administrator", password=GOOD, actor=ANNA)
    return accounts.add("bert", role="reader", password=GOOD, actor=ANNA)


@contextmanager
def _statements(service: Service) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement.split()[0])

    event.listen(service.database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(service.database.engine, "before_cursor_execute", note)


def test_what_the_cookie_holds_is_kept_as_a_hash_and_is_worth_nothing_after_the_logout(
    service: Service, sessions: Sessions, bert: User
) -> None:
    secret = sessions.begin(bert, address="10.0.0.1", browser="Firefox, Linux").secret
    found = sessions.account_of(secret)
    assert found is not None
    assert (found[0].name, found[1].browser, found[1].address) == ("bert", "Firefox, Linux", "10.0.0.1")
    with service.database.reading() as session:
        assert secret not in str(session.execute(select(SessionRow.__table__)).all())
    sessions.end(secret, actor=BERT)
    assert sessions.account_of(secret) is None
    assert [line["action"] for line in service.trail.lines(actor="bert")] == ["logout"]


@pytest.mark.parametrize("text_", ["", "x", "a" * 43, "é" * 43, "'; --", "\ud800" * 43])
def test_a_text_that_nobody_was_given_is_no_session(sessions: Sessions, bert: User, text_: str) -> None:
    sessions.begin(bert)
    assert sessions.account_of(text_) is None


def test_a_session_ends_without_requests_and_after_a_week_in_any_case(
    sessions: Sessions, clocks: Clocks, bert: User
) -> None:
    left, used = sessions.begin(bert).secret, sessions.begin(bert).secret
    for _ in range(2):
        clocks.pass_by(6 * HOUR)
        assert sessions.account_of(used) is not None
    assert sessions.account_of(left) is None
    hours = 12
    while sessions.account_of(used) is not None:
        clocks.pass_by(6 * HOUR)
        hours += 6
    assert timedelta(hours=hours) == LONGEST_SESSION


def test_a_request_asks_once_and_writes_at_most_every_minute(
    service: Service, sessions: Sessions, clocks: Clocks, bert: User
) -> None:
    secret = sessions.begin(bert).secret
    with _statements(service) as asked:
        for _ in range(20):
            clocks.pass_by(timedelta(seconds=2.5))
            sessions.account_of(secret)
        assert [one for one in asked if one not in ("BEGIN", "SET")] == ["SELECT"] * 20
        clocks.pass_by(timedelta(seconds=10))
        sessions.account_of(secret, address="10.0.0.7")
        assert asked.count("UPDATE") == 1
    assert sessions.find("bert", actor=ANNA)[0].address == "10.0.0.7"


def test_the_row_of_a_session_is_found_by_an_index(service: Service) -> None:
    if not service.database.is_sqlite:
        pytest.skip("a table of a few rows is read whole, whatever indexes it has")
    with service.database.reading() as session:
        plan = session.execute(text("EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE sha256 = 'x'")).all()
    assert "USING INDEX" in plan[0][3]


def test_where_nothing_can_be_written_the_session_still_counts(
    sessions: Sessions, clocks: Clocks, bert: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = sessions.begin(bert).secret
    clocks.pass_by(2 * MINUTE)

    @contextmanager
    def refuse(*_: object) -> Iterator[None]:
        raise DatabaseUnusable("locked")
        yield

    monkeypatch.setattr("secondread.service.database.Database.begin", refuse)
    assert sessions.account_of(secret) is not None


@pytest.mark.parametrize("step", [DAY, -DAY, 365 * DAY, -365 * DAY], ids=str)
def test_a_clock_that_is_set_ends_no_session_and_prolongs_none(
    sessions: Sessions, clocks: Clocks, bert: User, step: timedelta
) -> None:
    used, left = sessions.begin(bert).secret, sessions.begin(bert).secret
    clocks.pass_by(HOUR)
    clocks.set_by(step)
    found = sessions.account_of(used)
    assert found is not None
    shown = sessions.find("bert", actor=ANNA)
    assert {one.seen_at <= clocks.moment.at < one.expires_at for one in shown} == {True}
    clocks.pass_by(11 * HOUR)
    assert sessions.account_of(used) is not None
    assert sessions.account_of(left) is None, "it was not used for twelve hours, whatever the clock says"
    hours = 12
    while sessions.account_of(used) is not None:
        clocks.pass_by(6 * HOUR)
        hours += 6
    assert timedelta(hours=hours) == LONGEST_SESSION


def test_after_a_restart_a_clock_that_was_set_back_counts_the_last_use_as_now(
    sessions: Sessions, clocks: Clocks, bert: User
) -> None:
    secret = sessions.begin(bert).secret
    clocks.set_by(-DAY)
    clocks.restart()
    assert sessions.account_of(secret) is not None
    clocks.pass_by(12 * HOUR)
    assert sessions.account_of(secret) is None


def test_after_a_restart_time_goes_on_by_the_clock(sessions: Sessions, clocks: Clocks, bert: User) -> None:
    short, long = sessions.begin(bert).secret, sessions.begin(bert).secret
    clocks.restart()
    clocks.pass_by(HOUR)
    assert sessions.account_of(short) is not None
    clocks.pass_by(11 * HOUR)
    assert sessions.account_of(short) is not None
    assert sessions.account_of(long) is None


def test_this_machines_count_goes_on_and_knows_its_start() -> None:
    first, second = this_moment(), this_moment()
    assert second.ticks >= first.ticks
    assert first.boot == second.boot
    assert timedelta() <= elapsed(first, second) < MINUTE
    assert elapsed(second, replace(first, boot="", ticks=0.0)) == timedelta()


def test_a_login_gives_a_new_secret_and_ends_the_session_that_the_browser_had(sessions: Sessions, bert: User) -> None:
    planted = "A" * 43
    first = sessions.begin(bert, instead_of=planted).secret
    assert first != planted
    assert sessions.account_of(planted) is None
    second = sessions.begin(bert, instead_of=first).secret
    assert sessions.account_of(first) is None
    assert sessions.account_of(second) is not None


@pytest.mark.parametrize("change", ["password", "role", "disabled", "ended"])
def test_what_changes_an_account_ends_its_sessions_and_a_login_that_began_before(
    accounts: Accounts, sessions: Sessions, bert: User, change: str
) -> None:
    secret = sessions.begin(bert).secret
    proved = accounts.log_in("bert", GOOD)
    {
        "password": lambda: accounts.set_password("bert", GOOD + " staple", actor=ANNA),
        "role": lambda: accounts.set_role("bert", "reviewer", actor=ANNA),
        "disabled": lambda: accounts.disable("bert", actor=ANNA),
        "ended": lambda: accounts.end_sessions("bert", actor=ANNA),
    }[change]()
    assert sessions.account_of(secret) is None
    with pytest.raises(LoginRefused, match="log in again"):
        sessions.begin(proved)


def test_a_disabled_account_has_no_session_even_where_a_row_was_left(
    service: Service, accounts: Accounts, sessions: Sessions, bert: User
) -> None:
    secret = sessions.begin(bert).secret
    with service.database.begin() as session:
        session.execute(text("UPDATE users SET disabled_at = '2026-01-01 00:00:00' WHERE name = 'bert'"))
    assert sessions.account_of(secret) is None


def test_one_sees_and_ends_ones_own_sessions_and_an_administrator_anyones(
    service: Service, sessions: Sessions, clocks: Clocks, bert: User
) -> None:
    secrets_ = [sessions.begin(bert, browser=name).secret for name in ("Firefox", "Chrome", "Safari")]
    clocks.pass_by(2 * MINUTE)
    sessions.account_of(secrets_[1])
    rows = sessions.find(actor=BERT)
    assert rows[0].browser == "Chrome"
    cleo = replace(BERT, name="cleo")
    for refused in (
        lambda: sessions.find("bert", actor=cleo),
        lambda: sessions.find(actor=replace(BERT, via="token:x")),
    ):
        with pytest.raises(NotAllowed):
            refused()
    for number in (rows[0].id, 99, 2**40):
        with pytest.raises(NotThere):
            sessions.end_one(number, actor=cleo)
    firefox = next(row for row in rows if row.browser == "Firefox")
    sessions.end_one(firefox.id, actor=BERT)
    assert sessions.account_of(secrets_[0]) is None
    sessions.end_others(rows[0].id, actor=BERT)
    assert [row.browser for row in sessions.find("bert", actor=ANNA)] == ["Chrome"]
    sessions.end_one(rows[0].id, actor=ANNA)
    assert sessions.find("bert", actor=ANNA) == []
    told = [line["action"] for line in service.trail.lines(subject="user:bert")]
    assert told[1:] == ["session.ended", "sessions.others_ended", "session.ended"]


def test_rows_do_not_pile_up(
    service: Service, sessions: Sessions, clocks: Clocks, bert: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secondread.service.sessions._MOST_SESSIONS", 5)
    monkeypatch.setattr("secondread.service.sessions._MOST_DEVICES", 3)
    for _ in range(8):
        clocks.pass_by(timedelta(seconds=1))
        last = sessions.begin(bert).secret
    with service.database.reading() as session:
        rows, devices = session.scalars(select(SessionRow.id)).all(), session.scalars(select(DeviceRow.sha256)).all()
    assert (len(rows), len(devices)) == (5, 3)
    assert sessions.account_of(last) is not None
    clocks.pass_by(15 * DAY)
    sessions.begin(bert)
    with service.database.reading() as session:
        assert len(session.scalars(select(SessionRow.id)).all()) == 1


def test_many_may_log_in_at_once(service: Service, accounts: Accounts, bert: User) -> None:
    made: list[str] = []

    def log_in() -> None:
        made.append(service.sessions.begin(accounts.log_in("bert", GOOD, address="10.0.0.1")).secret)

    threads = [Thread(target=log_in) for _ in range(5)]  # as many as may fail without a wait
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({service.sessions.account_of(one) is not None and one for one in made}) == 5


def test_a_backup_that_is_brought_back_brings_no_session_back(
    sessions: Sessions, bert: User, service: Service, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    secret = sessions.begin(bert).secret
    back_up(service.database, service.images, tmp_path / "backup.tar.gz", actor=ANNA)
    sessions.end(secret, actor=BERT)
    url = "" if service.database.is_sqlite else request.getfixturevalue("empty_postgresql")
    restore(tmp_path / "backup.tar.gz", tmp_path / "again", url=url)
    again = Service.open({"DATA_FOLDER": str(tmp_path / "again"), "DATABASE": url})
    assert again.accounts.get("bert").name == "bert"
    assert again.sessions.find("bert", actor=ANNA) == []
    with again.database.reading() as session:
        assert session.scalars(select(SessionRow.id)).all() == []
    again.close()
