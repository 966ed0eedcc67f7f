"""Accounts, sessions, tokens and the throttling of guesses."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from secondread.errors import Conflict, LoginRefused, LoginThrottled, NotAllowed, NotThere, UnknownName, UsageError
from secondread.service import Accounts, Actor, Service, Tokens, scopes_of
from secondread.service.account_tables import AttemptRow, TokenRow, UserRow
from secondread.service.tables import now
from tests.service.conftest import ANNA

GOOD = "correct horse battery"


@pytest.fixture
def accounts(accounts: Accounts) -> Accounts:
    """With an administrator, who is the first."""
    accounts.add("first", role="administrator", password=GOOD, actor=ANNA)
    return accounts


@pytest.fixture
def tokens(service: Service) -> Tokens:
    return service.tokens


def _add(accounts: Accounts, name: str = "bert", role: str = "reader"):
    return accounts.add(name, role=role, password=GOOD, actor=ANNA)


def test_the_right_password_opens_and_nothing_else_does(accounts: Accounts) -> None:
    _add(accounts, "Bert")
    assert accounts.log_in(" BERT ", GOOD).name == "bert"
    refused = []
    for name, password in (("bert", GOOD + "x"), ("nobody", GOOD), ("bert", "")):
        with pytest.raises(LoginRefused) as caught:
            accounts.log_in(name, password)
        refused.append(str(caught.value))
    assert len(set(refused)) == 1


def test_passwords_are_argon2id_and_hashed_anew_when_the_cost_changes(service: Service, accounts: Accounts) -> None:
    _add(accounts)
    hasher = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    dearer = Accounts(service.database, secret=lambda: b"of this folder", hasher=hasher)
    hashes = []
    for opened in (accounts, dearer, dearer):
        opened.log_in("bert", GOOD)
        with service.database.reading() as session:
            hashes.append(session.scalars(select(UserRow.password_hash).where(UserRow.name == "bert")).one())
    assert hashes[0].startswith("$argon2id$")
    assert hashes[0] != hashes[1] == hashes[2]


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "i am bert, hello", "x" * 2000])
def test_a_password_that_is_easily_guessed_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(UsageError, match="password"):
        accounts.add("bert", role="reader", password=password, actor=ANNA)


@pytest.mark.parametrize("name", ["", "a b", "../x", "local", "x" * 200, "é"])
def test_a_name_that_is_none_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(UsageError):
        _add(accounts, name)


def test_guessing_waits_longer_each_time_by_name_and_by_address(service: Service, accounts: Accounts) -> None:
    _add(accounts)
    _add(accounts, "cleo")
    for _ in range(6):
        with pytest.raises(LoginRefused):
            accounts.log_in("bert", "wrong", address="10.0.0.1")
    with pytest.raises(LoginThrottled) as caught:
        accounts.log_in("bert", GOOD, address="10.0.0.2")
    assert caught.value.retry_after >= 1
    with pytest.raises(LoginThrottled):
        accounts.log_in("cleo", GOOD, address="10.0.0.1")
    assert accounts.log_in("cleo", GOOD, address="10.0.0.3").name == "cleo"
    waits = []
    for _ in range(3):
        with service.database.begin() as session:
            session.execute(update(AttemptRow).values(blocked_until=now() - timedelta(seconds=1)))
        with pytest.raises(LoginRefused):
            accounts.log_in("bert", "wrong", address="10.0.0.1")
        with service.database.reading() as session:
            row = session.scalars(select(AttemptRow).where(AttemptRow.key.like("name:%"))).one()
            waits.append(round((row.blocked_until - row.last_at).total_seconds()))
    assert waits == [4, 8, 16]
    with service.database.begin() as session:
        session.execute(update(AttemptRow).values(blocked_until=None))
    assert accounts.log_in("bert", GOOD, address="10.0.0.1").name == "bert"
    with service.database.reading() as session:
        assert session.scalars(select(AttemptRow).where(AttemptRow.key.like("name:%"))).all() == []
        assert session.get_one(AttemptRow, "address:10.0.0.1").failures == 9


def test_the_last_administrator_stays(accounts: Accounts) -> None:
    for change in (
        lambda: accounts.disable("first", actor=ANNA),
        lambda: accounts.set_role("first", "reader", actor=ANNA),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            change()
    _add(accounts, "deputy", "administrator")
    accounts.disable("first", actor=ANNA)
    assert accounts.has_administrator()


def test_a_token_is_shown_once_and_does_no_more_than_its_scopes_and_its_accounts_role(
    service: Service, accounts: Accounts, tokens: Tokens
) -> None:
    _add(accounts, role="reviewer")
    secret, token = tokens.add("bert", name="script", scopes=["review", "read"], actor=ANNA)
    with service.database.reading() as session:
        assert secret not in str(session.execute(select(TokenRow.__table__)).all())
    user, scopes = tokens.account_of(secret)
    assert (user.name, scopes) == ("bert", {"read", "review"})
    assert tokens.find("bert", actor=ANNA)[0].last_used_at is not None
    accounts.set_role("bert", "reader", actor=ANNA)
    assert tokens.account_of(secret)[1] == {"read"}
    with pytest.raises(NotAllowed):
        tokens.add("bert", name="x", scopes=["admin"], actor=ANNA)
    with pytest.raises(UnknownName):
        tokens.add("bert", name="x", scopes=["rea"], actor=ANNA)
    cleo, bert = (Actor(name, "session", scopes=scopes_of("reader")) for name in ("cleo", "bert"))
    with pytest.raises(NotThere):
        tokens.revoke(token.id, actor=cleo)
    tokens.revoke(token.id, actor=bert)
    with pytest.raises(LoginRefused, match="revoked"):
        tokens.account_of(secret)


def test_a_token_ends_by_time_and_with_its_account(service: Service, accounts: Accounts, tokens: Tokens) -> None:
    _add(accounts)
    secret, _ = tokens.add("bert", name="script", scopes=["read"], days=1, actor=ANNA)
    accounts.disable("bert", actor=ANNA)
    with pytest.raises(LoginRefused, match="revoked"):
        tokens.account_of(secret)
    accounts.enable("bert", actor=ANNA)
    with pytest.raises(LoginRefused, match="revoked"):
        tokens.account_of(secret)
    secret, _ = tokens.add("bert", name="script", scopes=["read"], days=1, actor=ANNA)
    with service.database.begin() as session:
        session.execute(update(TokenRow).values(expires_at=now() - timedelta(seconds=1)))
    with pytest.raises(LoginRefused, match="expired"):
        tokens.account_of(secret)


def test_who_signs_in_elsewhere_needs_no_password_and_has_none(accounts: Accounts) -> None:
    accounts.add("bert", role="reader", password=None, subject="https://id.example bert", actor=ANNA)
    assert accounts.log_in_by_subject("https://id.example bert").name == "bert"
    for work in (lambda: accounts.log_in("bert", ""), lambda: accounts.log_in_by_subject("other")):
        with pytest.raises(LoginRefused):
            work()
    with pytest.raises(Conflict):
        _add(accounts)


def test_the_trail_tells_of_every_change_and_no_password(service: Service, accounts: Accounts) -> None:
    _add(accounts)
    accounts.log_in("bert", GOOD, address="10.0.0.1")
    accounts.set_role("bert", "reviewer", actor=ANNA)
    lines = list(service.trail.lines(subject="user:bert"))
    assert [line["action"] for line in lines] == ["user.added", "login", "user.role_set"]
    assert lines[1]["address"] == "10.0.0.1"
    assert GOOD not in str(lines)
