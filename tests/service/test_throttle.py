"""Guessing is slowed down for strangers; a device that logged in before gets in, and no mistyped name is kept."""

import logging
from contextlib import suppress
from datetime import timedelta
from threading import Thread

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from secondread.errors import LoginRefused, LoginThrottled
from secondread.service import Accounts, Service
from secondread.service.account_tables import AttemptRow
from secondread.service.moments import Moment, this_moment
from secondread.service.tables import Base, now
from secondread.service.throttle import LONGEST, address_keys, begin_attempt, sweep
from tests.service.conftest import ANNA

GOOD, MISTYPED = "correct horse battery", "my secret passphrase 9"
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


class Counting(PasswordHasher):
    """Quick, and counts how often it works."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.times = 0

    def verify(self, *args: object) -> bool:
        self.times += 1
        return super().verify(*args)  # type: ignore[arg-type]


class Wall:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = this_moment()

    def __call__(self) -> Moment:
        return self.moment

    def set_by(self, step: timedelta) -> None:
        self.moment = Moment(self.moment.at + step, self.moment.ticks, self.moment.boot)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def hasher() -> Counting:
    return Counting()


@pytest.fixture
def accounts(service: Service, hasher: Counting, wall: Wall) -> Accounts:
    """With an administrator, chief, and a reader, bert."""
    made = Accounts(service.database, secret=lambda: b"of this folder", hasher=hasher, clock=wall)
    made.add("chief", role="administrator", password=GOOD, actor=ANNA)
    made.add("bert", role="reader", password=GOOD, actor=ANNA)
    return made


def _guess(accounts: Accounts, name: str, *, times: int = 9, address: str = "203.0.113.9", device: str = "") -> int:
    """Guess wrong; how often one was refused without being throttled."""
    tried = 0
    for number in range(times):
        with suppress(LoginThrottled):
            try:
                accounts.log_in(name, f"wrong {number}", address=address, device=device)
            except LoginThrottled:
                raise
            except LoginRefused:
                tried += 1
    return tried


def test_who_guesses_at_a_name_does_not_keep_out_whom_it_belongs_to(service: Service, accounts: Accounts) -> None:
    device = service.sessions.begin(accounts.log_in("chief", GOOD)).device
    assert _guess(accounts, "chief") == 6
    with pytest.raises(LoginThrottled):
        accounts.log_in("chief", GOOD, address="203.0.113.10")
    assert accounts.log_in("chief", GOOD, address="203.0.113.9", device=device).name == "chief"
    with pytest.raises(LoginThrottled):  # their own login forgave no stranger
        accounts.log_in("chief", GOOD, address="203.0.113.10")


def test_a_device_has_a_counter_of_its_own(service: Service, accounts: Accounts) -> None:
    device = service.sessions.begin(accounts.log_in("chief", GOOD)).device
    assert _guess(accounts, "chief", device=device) == 6
    with pytest.raises(LoginThrottled):
        accounts.log_in("chief", GOOD, device=device)
    assert accounts.log_in("chief", GOOD, address="203.0.113.10").name == "chief", "strangers' counter is another"
    with service.database.begin() as session:
        session.execute(update(AttemptRow).values(blocked_until=None))
    assert accounts.log_in("chief", GOOD, device=device).name == "chief"
    assert _guess(accounts, "chief", device=device) == 6, "a good login forgave its own failures"


@pytest.mark.parametrize("device", ["", "A" * 43, "of bert"])
def test_what_no_one_logged_in_with_is_a_stranger(service: Service, accounts: Accounts, device: str) -> None:
    if device == "of bert":
        device = service.sessions.begin(accounts.log_in("bert", GOOD)).device
    _guess(accounts, "chief")
    with pytest.raises(LoginThrottled):
        accounts.log_in("chief", GOOD, address="203.0.113.10", device=device)


@pytest.mark.parametrize("change", ["set_password", "disable", "end_sessions"])
def test_what_ends_sessions_makes_devices_strangers(service: Service, accounts: Accounts, change: str) -> None:
    device = service.sessions.begin(accounts.log_in("bert", GOOD)).device
    new = (GOOD,) if change == "set_password" else ()
    getattr(accounts, change)("bert", *new, actor=ANNA)
    if change == "disable":
        accounts.enable("bert", actor=ANNA)
    _guess(accounts, "bert")
    with pytest.raises(LoginThrottled):
        accounts.log_in("bert", GOOD, address="203.0.113.10", device=device)


def test_a_password_that_an_administrator_sets_opens_at_once(accounts: Accounts) -> None:
    _guess(accounts, "bert")
    accounts.set_password("bert", GOOD + " staple", actor=ANNA)
    assert accounts.log_in("bert", GOOD + " staple", address="203.0.113.10").name == "bert"


def test_the_same_is_done_and_answered_whether_the_name_exists(
    accounts: Accounts, hasher: Counting, service: Service
) -> None:
    accounts.add("off", role="reader", password=GOOD, actor=ANNA)
    accounts.disable("off", actor=ANNA)
    accounts.add("sso", role="reader", password=None, subject="https://id.example 1", actor=ANNA)
    seen = []
    for at, (name, password) in enumerate(
        [
            ("bert", "wrong"),
            ("nobody", "wrong"),
            ("off", GOOD),
            ("sso", "wrong"),
            ("ｂｅｒｔ", "wrong"),
            ("a b", "wrong"),
        ]
    ):
        answers, hashes = [], []
        for _ in range(8):
            before = hasher.times
            with pytest.raises(LoginRefused) as caught:
                accounts.log_in(name, password, address=f"198.51.100.{at}")
            answers.append((type(caught.value), str(caught.value)[:20]))
            hashes.append(hasher.times - before)
        seen.append((answers, hashes))
    others = [one for at, one in enumerate(seen) if at != 4]
    assert others == [others[0]] * len(others)
    assert {type_ for type_, _ in seen[4][0]} == {LoginThrottled}, "the full-width name is the same name"


def test_a_mistyped_name_is_nowhere_written_down(
    service: Service, accounts: Accounts, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        told = []
        for _ in range(9):
            with pytest.raises(LoginRefused) as caught:
                accounts.log_in(MISTYPED.upper(), "x", address="203.0.113.9")
            told.append(str(caught.value))
        with pytest.raises(LoginRefused):
            accounts.log_in("bert", MISTYPED, address="203.0.113.8")
    with service.database.reading() as session:
        kept = str([session.execute(select(table)).all() for table in Base.metadata.tables.values()])
    for place in (kept, caplog.text, str(told)):
        assert MISTYPED not in place.lower()
    lines = list(service.trail.lines(action="login.refused"))
    assert lines[0]["actor"].startswith("#")
    assert lines[0]["subject"] == f"user:{lines[0]['actor']}"
    assert len({line["actor"] for line in lines}) == 2, "one name is told from another"
    assert lines[-1]["subject"] == "user:bert"
    other = Accounts(service.database, secret=lambda: b"of another folder", hasher=Counting())
    with pytest.raises(LoginRefused):
        other.log_in(MISTYPED, "x")
    assert lines[0]["actor"] not in [line["actor"] for line in list(service.trail.lines(action="login.refused"))[-1:]]


@pytest.mark.parametrize("step", [DAY, -DAY, -365 * DAY, 365 * DAY], ids=str)
def test_a_clock_that_is_set_makes_nobody_wait_longer_than_the_longest(
    accounts: Accounts, wall: Wall, step: timedelta
) -> None:
    _guess(accounts, "bert", times=30)
    for _ in range(4):
        wall.set_by(LONGEST)
        _guess(accounts, "bert")
    wall.set_by(step)
    _guess(accounts, "bert", times=1)  # what was to last for a day by that clock is brought to the longest wait
    wall.set_by(LONGEST + SECOND)
    assert accounts.log_in("bert", GOOD, address="203.0.113.9").name == "bert"


def test_many_guesses_at_once_gain_nothing(accounts: Accounts, hasher: Counting) -> None:
    threads = [
        Thread(target=_guess, args=(accounts, "bert"), kwargs={"times": 2, "address": f"203.0.113.{at}"})
        for at in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hasher.times == 6


@pytest.mark.parametrize(
    ("address", "keys"),
    [
        ("", []),
        ("203.0.113.9", ["address:203.0.113.9"]),
        ("::ffff:203.0.113.9", ["address:203.0.113.9"]),
        ("2001:db8:1:2:3:4:5:6", ["address:2001:db8:1:2::/64"]),
        ("2001:db8:1:2::ffff", ["address:2001:db8:1:2::/64"]),
        ("no address", ["address:no address"]),
    ],
)
def test_of_ipv6_a_network_counts_as_one(address: str, keys: list[str]) -> None:
    assert address_keys(address) == keys


def test_what_is_forgotten_is_taken_away(service: Service) -> None:
    moment = now()
    for at, key in ((moment - 2 * DAY, "old"), (moment, "new"), (moment + 2 * DAY, "of tomorrow")):
        with service.database.begin() as session:
            begin_attempt(session, [key], at)
    with service.database.begin() as session:
        sweep(session, moment)
    with service.database.reading() as session:
        assert session.scalars(select(AttemptRow.key)).all() == ["new"]
