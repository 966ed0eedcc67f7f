"""Every address × every kind of who asks: the table in authorisation.py, cell by cell."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from secondread.service import LOCAL, Accounts
from secondread.web import create_app
from tests.web.authorisation import TABLE, WHO
from tests.web.conftest import logged_in

ELSEWHERE = {"REMOTE_ADDR": "192.168.1.20"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with an account of each role, and a token of the administrator that may only look."""
    app = create_app({"DATA_FOLDER": str(tmp_path_factory.mktemp("authorisation")), "GATE": "off"})
    service = app.extensions["secondread.service"]
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    accounts = Accounts(service.database, secret=lambda: b"of this folder", hasher=quick)
    for role in ("administrator", "reviewer", "reader"):
        accounts.add(role[:3], role=role, password="a long password", actor=LOCAL)
    app.config["READ_TOKEN"], _ = service.tokens.add("adm", name="looks", scopes=["read"], actor=LOCAL)
    yield app
    service.close()


def _rules() -> dict[str, Rule]:
    """'GET /api/v1/readings' → rule, for every address but static files and what Flask answers by itself."""
    found = {}
    for rule in create_app().url_map.iter_rules():
        if rule.endpoint != "static":
            found |= {f"{method} {rule.rule}": rule for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def test_every_address_has_its_line_and_every_line_its_address(app: Flask) -> None:
    rules = set(_rules())
    assert rules - set(TABLE) == set(), "give each new address its line in tests/web/authorisation.py"
    assert set(TABLE) - rules == set(), "these lines are of addresses that are no more"


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("line", TABLE)
def test_a_cell_of_the_table(app: Flask, line: str, who: str) -> None:
    method, _, path = line.partition(" ")
    client, headers = _client(app, who)
    with app.test_request_context():
        rule = _rules_of(app)[line]
        values = dict.fromkeys(rule.arguments, 999 if "int:" in path else "nobody-here")
        address = app.url_map.bind("localhost").build(rule.endpoint, values, method=method)
    with client.open(address, method=method, headers=headers, environ_overrides=ELSEWHERE) as answer:
        assert answer.status_code == TABLE[line][WHO.index(who)]


def _rules_of(app: Flask) -> dict[str, Rule]:
    return {f"{method} {rule.rule}": rule for rule in app.url_map.iter_rules() for method in rule.methods or ()}


def _client(app: Flask, who: str) -> tuple[FlaskClient, dict[str, str]]:
    """A client of its own for each cell, so that a log-out ends no other's session."""
    client = app.test_client()
    if who == "nobody":
        return client, {}
    if who == "token: read":
        return client, {"Authorization": f"Bearer {app.config['READ_TOKEN']}"}
    return client, {"X-CSRF-Token": logged_in(client, who[:3])}
