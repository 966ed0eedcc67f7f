"""The two ways an alert leaves: a post that is signed, and a mail that is encrypted on its way."""

import hashlib
import hmac
import http.client
import json
import smtplib
import ssl
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 10.0  # for each step of a receiver
_MOST_ANSWER = 64_000  # bytes of an answer that are read
_SENTENCES = {
    "positive": "Reading {reading} ({task}) is positive, probability {probability:.2f}. Look at it in the worklist.",
    "queue": "Images wait to be read and none is: {waiting}, the oldest since {since}.",
    "results": "Results do not reach the archive: {waiting}. `secondread dicom sent` says which and why.",
    "correction": "An object came again under its number as another patient's or study's (correction {correction}). "
    "The first one stays until you decide: `secondread dicom corrections`.",
    "archive": "{archive} could not be asked for new images: {why}.",
    "disk": "The disk of the data folder is nearly full: {free_mb} MB are free.",
}


class NotSent(Exception):
    """An alert did not arrive. again: whether it may later."""

    def __init__(self, sentence: str, *, again: bool):
        super().__init__(sentence)
        self.again = again


@dataclass(frozen=True)
class Webhook:
    """Posts JSON. The header Secondread-Signature is 't=<seconds>,v1=<hex>': HMAC-SHA256 of '<seconds>.<body>'.

    Nothing is followed, neither a redirection nor a proxy of the environment: a post goes to the address that was set.
    """

    url: str
    secret: bytes = field(repr=False)

    def send(self, what: str, body: dict[str, Any]) -> None:
        """Post it. Raises NotSent."""
        data = json.dumps({"id": what, **body}, sort_keys=True).encode()
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Content-Type": "application/json", "Secondread-Signature": signature(self.secret, data)}
        try:
            connection.request("POST", path, data, headers)
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotSent(f"the webhook does not answer ({type(error).__name__})", again=True) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            lasting = 300 <= answer.status < 500 and answer.status not in (401, 403, 404, 408, 429)
            raise NotSent(f"the webhook answered with status {answer.status}", again=not lasting)


def signature(secret: bytes, data: bytes, *, at: int | None = None) -> str:
    """What the header says of a body. at: seconds since 1970; None: now."""
    moment = int(time.time()) if at is None else at
    digest = hmac.new(secret, f"{moment}.".encode() + data, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@dataclass(frozen=True)
class Mail:
    """Sends plain text. With starttls nothing is said before the connection is encrypted, the server's name checked."""

    host: str
    port: int
    sender: str
    to: tuple[str, ...]
    starttls: bool = True
    user: str = ""
    password: str = field(default="", repr=False)

    def send(self, what: str, body: dict[str, Any]) -> None:
        """Mail it. Raises NotSent."""
        try:
            with smtplib.SMTP(self.host, self.port, timeout=_SECONDS) as server:
                if self.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(self._message(what, body))
        except smtplib.SMTPRecipientsRefused as error:
            raise NotSent("the mail server takes none of the addresses", again=False) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(f"the mail server does not take it ({type(error).__name__})", again=True) from error

    def _message(self, what: str, body: dict[str, Any]) -> EmailMessage:
        sentence = _SENTENCES[body["event"]].format(**body)
        message = EmailMessage()
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Subject"] = f"secondread: {body['event']}"
        message["Date"] = formatdate()
        # Of one alert always the same: mail that comes twice is shown once.
        message["Message-ID"] = (
            f"<{what.replace(':', '.')}.{hashlib.sha256(str(body).encode()).hexdigest()[:16]}@secondread>"
        )
        message.set_content(f"{sentence}\n\nsecondread assists a qualified reader; it is no medical device.\n")
        return message
