"""API tokens: made by a person for a program, shown once, never able to do more than their account."""

from typing import Any

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range
from flask import Response, jsonify

from secondread.errors import NotAllowed, UsageError
from secondread.service import SCOPES, Token
from secondread.web.auth import current_actor, current_identity, may, require
from secondread.web.context import service
from secondread.web.document import created
from secondread.web.filters import LARGEST_ID
from secondread.web.idempotency import KeyHeader, once
from secondread.web.schemas import Text, said

tokens = APIBlueprint("tokens", __name__, url_prefix="/api/v1", tag="tokens")


class TokensQuery(Schema):
    """Whose tokens."""

    user = Text(load_default=None, metadata=said("an account's name; needs the scope admin unless it is one's own"))


class TokenIn(Schema):
    """A new token."""

    name = Text(required=True, validate=Length(min=1, max=100), metadata=said("what it is for"))
    scopes = List(Text(validate=OneOf(SCOPES)), required=True, validate=Length(min=1, max=4))
    days = Integer(
        load_default=90, allow_none=True, validate=Range(1, 3650), metadata=said("until it expires; null: never")
    )
    user = Text(load_default=None, allow_none=True, metadata=said("for another's account; needs the scope admin"))


class TokenRow(Schema):
    """What is known of a token."""

    id = Integer(required=True)
    user = String(required=True)
    name = String(required=True)
    start = String(required=True, metadata=said("its first characters"))
    scopes = List(String(), required=True)
    created_at = String(required=True, metadata={"format": "date-time"})
    expires_at = String(required=True, allow_none=True, metadata={"format": "date-time"})
    last_used_at = String(required=True, allow_none=True, metadata={"format": "date-time"})
    revoked = Boolean(required=True)


class TokenOut(TokenRow):
    """What is known of a token."""


class NewTokenOut(TokenRow):
    """A new token, shown this once."""

    token = String(required=True)


class TokensOut(Schema):
    """Tokens."""

    tokens = List(Nested(TokenRow), required=True)


@tokens.get("/tokens")
@require("read")
@tokens.input(TokensQuery, location="query")
@tokens.output(TokensOut)
@tokens.doc(operation_id="listTokens", summary="List tokens")
def list_tokens(query_data: dict[str, Any]) -> Response:
    """Answer with one's own tokens; administrators see everyone's, or those of one account."""
    user = query_data["user"] or None
    own = current_identity().user
    if not may("admin") and (own is None or (user or own.name) != own.name):
        raise NotAllowed("the tokens of others are for administrators")
    if not may("admin") and own is not None:
        user = own.name
    return jsonify(tokens=[_token(token) for token in service().accounts.tokens(user)])


@tokens.post("/tokens")
@require("read")
@tokens.input(TokenIn)
@tokens.input(KeyHeader, location="headers")
@tokens.output(NewTokenOut, status_code=201)
@tokens.doc(operation_id="addToken", summary="Make a token")
@once(secret=True)
def add_token(json_data: dict[str, Any]) -> Response:
    """Make a token. It is shown this once; only its hash is kept. A token cannot make another one."""
    found = current_identity()
    if found.by == "token":
        raise NotAllowed("a token cannot make another one; log in with name and password")
    owner = json_data["user"] or (found.user.name if found.user else None)
    if owner is None:
        raise UsageError("a token belongs to an account; name it in 'user'")
    if (found.user is None or owner != found.user.name) and not may("admin"):
        raise NotAllowed("tokens for others are made by administrators")
    secret, token = service().accounts.add_token(
        owner, name=json_data["name"], scopes=json_data["scopes"], days=json_data["days"], actor=current_actor()
    )
    return created(_token(token) | {"token": secret}, at="/api/v1/tokens")


@tokens.delete("/tokens/<int:token_id>")
@require("read")
@tokens.output(TokenOut)
@tokens.doc(operation_id="revokeToken", summary="Revoke a token")
def revoke_token(token_id: int) -> Response:
    """End a token for good: one's own, or as an administrator anyone's."""
    found = current_identity()
    if found.by == "token" and not may("admin"):
        raise NotAllowed("a token cannot revoke another one; log in with name and password")
    own = found.user
    owner = None if may("admin") else (own.name if own else "")
    token = service().accounts.revoke_token(min(token_id, LARGEST_ID), actor=current_actor(), owner=owner)
    return jsonify(_token(token))


def _token(token: Token) -> dict[str, Any]:
    def moment(name: str) -> str | None:
        found = getattr(token, name)
        return None if found is None else found.isoformat()

    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "start": token.start,
        "scopes": list(token.scopes),
        "created_at": moment("created_at"),
        "expires_at": moment("expires_at"),
        "last_used_at": moment("last_used_at"),
        "revoked": token.revoked_at is not None,
    }
