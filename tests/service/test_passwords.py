"""Which passwords will do, and how they are hashed."""

import threading
import unicodedata

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from secondread.errors import Busy, UsageError
from secondread.service.passwords import LONGEST, Passwords, checked_password

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "12 to 1000"),
        ("x y z " * 200, "12 to 1000"),
        ("aaaabbbbcccc", "repeats"),
        ("anna.schmidt is here", "holds the name"),
        ("password1234", "many people"),
        ("PASSWORD1234", "many people"),
        ("P@ssw0rd1234", "many people"),
        ("passwordpassword", "many people"),
        ("qwertyuiop12", "many people"),
        ("123456789012", "many people"),
        ("1q2w3e4r5t6y", "many people"),
        ("iloveyou1234", "many people"),
        ("administrator", "many people"),
        ("secondread2026", "from a name"),
        ("SecondRead-SecondRead!", "from a name"),
        ("schmidt-2026-11", "from a name"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_in_words(password: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        checked_password(password, "anna.schmidt")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "a long password",
        "allsmallletterswithoutanythingelse",
        "our secondread is slow on mondays",
        "यह एक लंबा वाक्य है",
        "vT9#kq2LwZ!m",
    ],
)
def test_length_does_and_no_kind_of_character_is_asked_for(password: str) -> None:
    assert checked_password(password, "anna.schmidt") == unicodedata.normalize("NFKC", password)


def test_the_same_characters_are_the_same_password_however_they_are_composed() -> None:
    passwords = Passwords(QUICK)
    composed, apart = "grüße aus köln am rhein", unicodedata.normalize("NFD", "grüße aus köln am rhein")
    assert composed != apart
    hashed = passwords.hash(checked_password(apart, "anna"))
    assert passwords.match(hashed, composed)
    assert passwords.match(hashed, apart)
    assert passwords.match(hashed, composed.replace("am", "ａｍ"))
    assert not passwords.match(hashed, composed.replace("ü", "u"))


def test_a_hash_from_before_is_still_matched_and_then_made_anew() -> None:
    passwords, apart = Passwords(QUICK), unicodedata.normalize("NFD", "grüße aus köln am rhein")
    before = QUICK.hash(apart)
    assert passwords.match(before, apart)
    assert passwords.outdated(before, apart)
    assert not passwords.outdated(passwords.hash(checked_password(apart, "anna")), apart)


@pytest.mark.parametrize("typed", ["", "\ud800" * 20, "\0", "x" * 10_000, "ﷺ" * LONGEST])
def test_whatever_is_typed_is_answered(typed: str) -> None:
    passwords = Passwords(QUICK)
    assert not passwords.match(passwords.hash("correct horse battery"), typed)
    assert not passwords.match("", typed)


def test_what_lies_beyond_the_longest_counts() -> None:
    passwords, longest = Passwords(QUICK), "a b c d e " * (LONGEST // 10)
    assert passwords.match(passwords.hash(longest), longest)
    assert not passwords.match(passwords.hash(longest), longest + "x")


def test_the_cost_is_that_of_rfc_9106() -> None:
    found = extract_parameters(Passwords().hash("correct horse battery"))
    assert (found.type, found.time_cost, found.memory_cost, found.parallelism) == (Type.ID, 3, 65536, 4)


def test_no_more_than_two_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.service.passwords._PATIENCE", 0.01)
    inside, go_on = threading.Semaphore(0), threading.Event()

    class Slow(PasswordHasher):
        def hash(self, password: bytes) -> str:  # type: ignore[override]
            inside.release()
            go_on.wait(timeout=20)
            return ""

    passwords = Passwords(Slow())
    threads = [threading.Thread(target=passwords.hash, args=("x",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=20)
    with pytest.raises(Busy):
        passwords.hash("y")
    go_on.set()
    for thread in threads:
        thread.join()
