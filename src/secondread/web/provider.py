"""Sign-in through an OpenID Connect provider, where one is set; Authlib speaks with it."""

from typing import Any

from apiflask import APIFlask
from flask import current_app

from secondread.errors import ExtraMissing, LoginRefused, NotThere, UsageError

_KEY = "secondread.provider"
_SETTINGS = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")


def register(app: APIFlask) -> None:
    """Prepare it; the provider itself is asked at the first sign-in. Raises UsageError, ExtraMissing."""
    issuer, client_id, secret = (str(app.config[name]) for name in _SETTINGS)
    if not issuer:
        return
    if not client_id or not secret:
        raise UsageError("oidc_issuer needs oidc_client_id and oidc_client_secret beside it; set them too")
    try:
        from authlib.integrations.flask_client import OAuth
    except ModuleNotFoundError as error:
        raise ExtraMissing.of("sign-in through a provider", "oidc") from error
    app.extensions[_KEY] = OAuth(app).register(
        "provider",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid", "code_challenge_method": "S256"},
    )


def there_is_one() -> bool:
    """Whether people may sign in that way here."""
    return _KEY in current_app.extensions


def way_there(back: str) -> Any:
    """The redirect to the provider. back: the address it leads back to. Raises NotThere, LoginRefused."""
    try:
        return _client().authorize_redirect(back)
    except (OSError, ValueError) as error:
        raise _away(error) from error


def subject_of_answer() -> str:
    """'issuer subject' of whom the provider vouches for. Raises NotThere, LoginRefused."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    try:
        claims = _client().authorize_access_token()["userinfo"]
        return f"{claims['iss']} {claims['sub']}"
    except (AuthlibBaseError, JoseError, KeyError, TypeError) as error:
        current_app.logger.warning("a sign-in through the provider failed: %s", error)
        raise LoginRefused("the sign-in did not succeed, or took too long; try again") from error
    except (OSError, ValueError) as error:
        raise _away(error) from error


def _client() -> Any:
    if not there_is_one():
        raise NotThere("no sign-in provider is set here; log in with name and password")
    return current_app.extensions[_KEY]


def _away(error: Exception) -> LoginRefused:
    current_app.logger.error("the sign-in provider cannot be used: %s", error)
    return LoginRefused("the sign-in provider cannot be reached now; try again later, or use name and password")
