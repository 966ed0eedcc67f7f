"""Sign-in through an OpenID Connect provider: a small one that runs here."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from secondread.errors import UsageError
from secondread.service import LOCAL
from secondread.web import create_app

pytest.importorskip("authlib", reason="authlib is not installed: the extra 'oidc' brings it")


class Provider:
    """Discovery, keys and tokens; `claims` is what it says of whoever signs in."""

    def __init__(self) -> None:
        from joserfc.jwk import RSAKey

        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.claims: dict[str, Any] = {"sub": "8f3a"}
        self.signed_by = self.key
        self.asked: list[dict[str, list[str]]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(provider.keys() if self.path == "/keys" else provider.discovery())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.asked.append(parse_qs(body))
                self._answer({"access_token": "x", "token_type": "Bearer", "id_token": provider.id_token()})

            def _answer(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def id_token(self) -> str:
        from joserfc import jwt

        moment = int(time.time())
        claims = {"iss": self.issuer, "aud": "room", "iat": moment, "exp": moment + 60} | self.claims
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.signed_by)


@pytest.fixture
def provider() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def client(provider: Provider, tmp_path) -> Iterator[FlaskClient]:
    """An application that knows the provider, and an account anna of its subject 8f3a."""
    settings = {"OIDC_ISSUER": provider.issuer, "OIDC_CLIENT_ID": "room", "OIDC_CLIENT_SECRET": "secret"}
    app = create_app(settings | {"DATA_FOLDER": str(tmp_path), "LOGIN": "on"})
    service = app.extensions["secondread.service"]
    subject = f"{provider.issuer} 8f3a"
    service.accounts.add("chief", role="administrator", password=None, subject=f"{provider.issuer} 1", actor=LOCAL)
    service.accounts.add("anna", role="reviewer", password=None, subject=subject, actor=LOCAL)
    yield app.test_client()
    service.close()


def sign_in(client: FlaskClient, provider: Provider, *, state: str = "", back: str = "") -> Any:
    """Go to the provider and come back with its answer."""
    away = client.get("/login/provider", query_string={"next": back} if back else None)
    assert away.status_code == 302
    asked = parse_qs(urlsplit(away.headers["Location"]).query)
    assert asked["redirect_uri"] == ["http://localhost/login/provider/answer"]
    assert asked["code_challenge_method"] == ["S256"]
    provider.claims.setdefault("nonce", asked["nonce"][0])
    query = {"code": "c", "state": state or asked["state"][0]}
    return client.get("/login/provider/answer", query_string=query)


@pytest.mark.parametrize(
    ("back", "goal"), [("/worklist?order=oldest", "/worklist?order=oldest"), ("//evil.example", "/"), ("", "/")]
)
def test_one_comes_back_to_where_one_was(client: FlaskClient, provider: Provider, back: str, goal: str) -> None:
    answer = sign_in(client, provider, back=back)
    assert (answer.status_code, answer.headers["Location"]) == (303, goal)


def test_who_the_provider_vouches_for_is_logged_in(client: FlaskClient, provider: Provider) -> None:
    assert b"Sign in through your organisation" in client.get("/login").data
    answer = sign_in(client, provider)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    who = client.get("/api/v1/session").json
    assert (who["name"], who["role"], who["by"]) == ("anna", "reviewer", "session")
    assert provider.asked[0]["code_verifier"]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "another"},
        {"aud": "another room"},
        {"iss": "https://evil.example"},
        {"nonce": "of another sign-in"},
        {"exp": 1},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_an_answer_that_is_not_right_logs_nobody_in(client: FlaskClient, provider: Provider, claims: Any) -> None:
    provider.claims |= claims
    assert sign_in(client, provider).status_code == 401
    assert client.get("/api/v1/session").json["by"] == "nobody"


def test_an_answer_signed_by_another_or_to_another_question_logs_nobody_in(
    client: FlaskClient, provider: Provider
) -> None:
    assert sign_in(client, provider, state="forged").status_code == 401
    provider.signed_by = Provider().key
    assert sign_in(client, provider).status_code == 401
    assert client.get("/api/v1/session").json["by"] == "nobody"


def test_a_provider_that_is_away_is_told(client: FlaskClient, provider: Provider) -> None:
    provider.server.shutdown()
    provider.server.server_close()
    answer = client.get("/login/provider")
    assert answer.status_code == 401
    assert "cannot be reached" in answer.json["detail"]


def test_half_of_the_settings_is_told() -> None:
    with pytest.raises(UsageError, match="oidc_client_id"):
        create_app({"OIDC_ISSUER": "https://login.example"})


def test_without_a_provider_there_is_no_way_to_one(tmp_path) -> None:
    client = create_app({"DATA_FOLDER": str(tmp_path)}).test_client()
    assert client.get("/login/provider").status_code == 404
    assert (
        b"organisation"
        not in client.get("/login?next=//evil.example", environ_overrides={"REMOTE_ADDR": "10.0.0.1"}).data
    )
