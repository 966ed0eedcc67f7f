"""Passwords: which will do (NIST SP 800-63B: length first, none that is common), and hashing them slowly."""

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from secondread.errors import Busy, UsageError
from secondread.tasks import N_

LEAST, LONGEST = 12, 1000  # characters; the latter bounds the work of hashing
_PRODUCT = "secondread"
_OWN_CHARACTERS = 8  # that must be left of a password without the names in it
_LEAST_GUESSES = 1e8  # of who tries what is common first
_JUDGED = 72  # characters: what zxcvbn looks at; its work grows with the square
LENGTH = N_("a password has %(least)s to %(longest)s characters; a few words do well")
_REPEATS = N_("this password is easily guessed: it repeats a few characters or holds the name")
_OF_NAMES = N_("this password is easily guessed: it is made from a name; take a few words that are not in it")
_COMMON = N_("this password is easily guessed: many people have one like it; take a few words instead")
_AT_ONCE, _PATIENCE = 2, 10.0  # hashes of 64 MiB each; seconds to wait for one's turn


def checked_password(password: str, name: str) -> str:
    """The password as it is hashed. name: of its account.

    Raises UsageError, with what is wrong, for one that is too short or too long, that many people have, or that is made
    from the name of the account or of this program. No kind of character is asked for.
    """
    known = normal(password)
    if not LEAST <= len(known) <= LONGEST or len(password) > LONGEST:
        raise UsageError(LENGTH % {"least": LEAST, "longest": LONGEST})
    lowered = known.lower()
    if len(set(known)) < 5 or (len(name) > 3 and name in lowered):
        raise UsageError(_REPEATS)
    rest = lowered
    for part in {_PRODUCT, name, *_parts(name)}:
        rest = rest.replace(part, "")
    if rest != lowered and len(re.sub(r"[\W\d_]", "", rest)) < _OWN_CHARACTERS:
        raise UsageError(_OF_NAMES)
    if _guesses(known, name) < _LEAST_GUESSES:
        raise UsageError(_COMMON)
    return known


def normal(password: str) -> str:
    """The same for the same characters however a keyboard composes them (NFKC, as NIST SP 800-63B asks)."""
    return unicodedata.normalize("NFKC", password)


def _parts(name: str) -> set[str]:
    """'anna' and 'schmidt' of anna.schmidt@example.org."""
    return {part for part in re.split(r"[._@+-]", name) if len(part) > 3}


def _guesses(password: str, name: str) -> float:
    from zxcvbn import zxcvbn  # its lists take 15 MB and 0.1 s: only who chooses a password needs them

    return float(zxcvbn(password[:_JUDGED], user_inputs=[_PRODUCT, name, *_parts(name)])["guesses"])


class Passwords:
    """Argon2id (RFC 9106), a few at once: each hash takes 64 MiB. Safe to share between threads."""

    def __init__(self, hasher: PasswordHasher | None = None):
        self._hasher = hasher or PasswordHasher()  # RFC 9106's second choice: 3 passes, 64 MiB, 4 lanes
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """Of a password that was checked. Raises Busy."""
        with self._turn():
            return self._hasher.hash(_bytes(password))

    def match(self, hashed: str, typed: str) -> bool:
        """Whether this is the password; the time it takes depends on what was typed alone. Raises Busy.

        hashed: '' where there is no account or it has no password; then nothing matches.
        """
        nobody = self._nobody  # asked for in any case: it is made at the first login
        tries = dict.fromkeys((normal(typed[:LONGEST]), typed[:LONGEST]))  # hashed as typed, before they were normal
        found = [self._verify(hashed or nobody, one) for one in tries]
        return any(found) and bool(hashed) and len(typed) <= LONGEST

    def outdated(self, hashed: str, typed: str) -> bool:
        """Whether a password that matched should be hashed anew: it costs less than it should, or is not normal."""
        return self._hasher.check_needs_rehash(hashed) or (
            normal(typed) != typed and not self._verify(hashed, normal(typed))
        )

    @cached_property
    def _nobody(self) -> str:
        """A hash to check against where there is no account, so that it takes as long."""
        return self.hash(secrets.token_urlsafe(16))

    def _verify(self, hashed: str, password: str) -> bool:
        with self._turn():
            try:
                return self._hasher.verify(hashed, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_PATIENCE):
            raise Busy("too many people log in at this moment; try again", retry_after=5.0)
        try:
            yield
        finally:
            self._turns.release()


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")  # JSON can hold half a character
