"""Tells people outside what cannot wait: a clear positive, a queue that stands, results that no archive takes, a full
disk.

Once each, by a signed post (webhook) or by mail, tried again until it arrives. Where they go is set by who runs the
service and by nobody else; an alert holds the number of a reading, and nothing that identifies a person.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import String, cast, exists, func, literal, select
from sqlalchemy.exc import IntegrityError

from secondread.errors import UsageError
from secondread.service.alert_channels import Mail, NotSent, Webhook
from secondread.service.database import Database
from secondread.service.dicom_tables import (
    AlertRow,
    DicomCorrectionRow,
    DicomExportRow,
    DicomObjectRow,
    DicomPullRow,
)
from secondread.service.outgoing import Outgoing
from secondread.service.queue import database_time
from secondread.service.tables import BatchRow, ItemRow, ReadingRow

POSITIVE, QUEUE, DISK, RESULTS = "positive", "queue", "disk", "results"
CORRECTION, ARCHIVE = "correction", "archive"
_GIVE_UP = timedelta(days=1)  # older news help nobody
_LOOK_BACK = timedelta(days=1)  # positives of before are not told: neither when alerts are first set, nor after a pause
_MOST_AT_ONCE = 100  # of one look; what is left is found by the next one
_MEGABYTE = 10**6


@dataclass(frozen=True)
class Alert:
    """One thing to tell over one channel."""

    id: int
    what: str  # 'positive:17', 'queue:<item>', 'results:<day>' or 'disk:<day>'
    channel: str
    body: dict[str, Any]
    state: str
    attempts: int
    last_error: str
    created_at: datetime


@dataclass(frozen=True)
class AlertSettings:
    """What is told, and where."""

    webhook: Webhook | None = None
    mail: Mail | None = None
    score: int = 0
    queue_minutes: int = 30
    disk_bytes: int = 2000 * _MEGABYTE

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "AlertSettings":
        """From the settings by their keys. Raises UsageError for an address that cannot be."""
        url, to = str(settings["ALERT_WEBHOOK"]), str(settings["ALERT_MAIL_TO"])
        if settings["ALERT_SCORE"] > 100:
            raise UsageError(f"alert_score is {settings['ALERT_SCORE']}; give a score from 1 to 100, or 0 for none")
        return cls(
            webhook=_webhook(url, str(settings["ALERT_WEBHOOK_SECRET"])) if url else None,
            mail=_mail(settings, [one.strip() for one in to.split(",") if one.strip()]) if to.strip() else None,
            score=int(settings["ALERT_SCORE"]),
            queue_minutes=int(settings["ALERT_QUEUE_MINUTES"]),
            disk_bytes=int(settings["ALERT_DISK_MB"]) * _MEGABYTE,
        )

    @property
    def channels(self) -> dict[str, Webhook | Mail]:
        """Those that are set."""
        both: dict[str, Webhook | Mail | None] = {"webhook": self.webhook, "mail": self.mail}
        return {name: channel for name, channel in both.items() if channel is not None}


class Alerts(Outgoing[Alert]):
    """Looks for what is to be told, and tells it. Safe with any number of processes: each thing is told once."""

    def __init__(self, database: Database, folder: Path, settings: AlertSettings):
        """folder: of data, whose disk is looked at."""
        super().__init__(database, AlertRow, Alert, together=AlertRow.channel, give_up=_GIVE_UP)
        self._folder = folder
        self._settings = settings

    @property
    def are_wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        return bool(self._settings.channels)

    def step(self) -> int:
        """Look, and send what is due; gives how many alerts arrived. Raises DatabaseUnusable."""
        if not self.are_wanted:
            return 0
        self.look()
        return self.send_due()

    def look(self) -> int:
        """Note what is to be told and was not before; gives how many."""
        n = 0
        for what, body in [*self._disk(), *self._queue(), *self._node(), *self._positives()]:
            for channel in self._settings.channels:
                n += self._note(what, channel, body)
        return n

    def send_due(self) -> int:
        """Send what is due. Never raises for a receiver that is away."""
        n = 0
        while claimed := self.claim():
            arrived = sum(self._send(alert) for alert in claimed)
            n += arrived
            if not arrived:
                break
        return n

    def _send(self, alert: Alert) -> bool:
        channel = self._settings.channels.get(alert.channel)
        try:
            if channel is None:
                raise NotSent("this channel is not set any more", again=False)
            channel.send(alert.what, alert.body)
        except NotSent as error:
            if error.again:
                self.try_later(alert.id, str(error))
            else:
                self.give_up(alert.id, str(error))
            return False
        self.arrived(alert.id)
        return True

    def _note(self, what: str, channel: str, body: dict[str, Any]) -> bool:
        try:
            with self._database.begin() as session:
                if session.scalar(select(exists().where(AlertRow.what == what, AlertRow.channel == channel))):
                    return False
                session.add(AlertRow(what=what, channel=channel, body=body))
        except IntegrityError:  # another process saw the same at the same moment
            return False
        return True

    def _positives(self) -> Iterable[tuple[str, dict[str, Any]]]:
        if not self._settings.score:
            return []
        with self._database.reading() as session:
            told = exists().where(AlertRow.what == literal(f"{POSITIVE}:").concat(cast(ReadingRow.id, String)))
            rows = session.execute(
                select(ReadingRow.id, ReadingRow.task, ReadingRow.bundle, ReadingRow.operating_point)
                .add_columns(ReadingRow.probability, ReadingRow.created_at)
                .where(
                    ReadingRow.decision == "positive",
                    ReadingRow.sort_score >= (self._settings.score - 0.5) / 100,  # the score is rounded
                    ReadingRow.deleted_at.is_(None),
                    ReadingRow.created_at > database_time(session) - _LOOK_BACK,
                    ~told,
                )
                .order_by(ReadingRow.id)
                .limit(_MOST_AT_ONCE)
            ).all()
        return [
            (
                f"{POSITIVE}:{row.id}",
                {
                    "event": POSITIVE,
                    "reading": row.id,
                    "task": row.task,
                    "bundle": row.bundle,
                    "operating_point": row.operating_point,
                    "probability": row.probability,
                    "at": row.created_at.isoformat(),
                },
            )
            for row in rows
        ]

    def _queue(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """The image that has waited longest: told once, and again when it is another's turn to wait too long."""
        if not self._settings.queue_minutes:
            return []
        with self._database.reading() as session:
            moment = database_time(session)
            waiting = ItemRow.state == "queued"
            oldest = session.execute(
                select(ItemRow.id, BatchRow.created_at)
                .join(BatchRow, BatchRow.id == ItemRow.batch_id)
                .where(waiting, BatchRow.created_at < moment - timedelta(minutes=self._settings.queue_minutes))
                .order_by(BatchRow.created_at, ItemRow.id)
                .limit(1)
            ).first()
            last = session.scalar(select(func.max(ItemRow.finished_at)))
            n = session.scalar(select(func.count()).where(waiting)) or 0
        if oldest is None or (last and last > moment - timedelta(minutes=self._settings.queue_minutes)):
            return []  # long, but it moves
        body = {"event": QUEUE, "waiting": n, "since": oldest.created_at.isoformat(), "at": moment.isoformat()}
        return [(f"{QUEUE}:{oldest.id}", body)]

    def _node(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """What a DICOM node has to tell."""
        return [*self._objects(), *self._results(), *self._corrections(), *self._archives()]

    def _corrections(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Objects that came again as another patient's: each waits for somebody to decide."""
        with self._database.reading() as session:
            moment = database_time(session)
            rows = session.execute(
                select(DicomCorrectionRow.id, DicomCorrectionRow.received_at)
                .where(DicomCorrectionRow.state == "open", DicomCorrectionRow.received_at > moment - _LOOK_BACK)
                .order_by(DicomCorrectionRow.id)
                .limit(_MOST_AT_ONCE)
            ).all()
        return [
            (f"{CORRECTION}:{row.id}", {"event": CORRECTION, "correction": row.id, "at": row.received_at.isoformat()})
            for row in rows
        ]

    def _archives(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Archives that could not be asked for new images the last time: once a day while it lasts."""
        with self._database.reading() as session:
            moment = database_time(session)
            rows = session.execute(
                select(DicomPullRow.name, DicomPullRow.source, DicomPullRow.last_error)
                .where(DicomPullRow.last_error != "", DicomPullRow.last_at > moment - _LOOK_BACK)
                .order_by(DicomPullRow.name)
            ).all()
        return [
            (
                f"{ARCHIVE}:{row.name[:16]}:{moment:%Y-%m-%d}",
                {"event": ARCHIVE, "archive": row.source, "why": row.last_error, "at": moment.isoformat()},
            )
            for row in rows
        ]

    def _objects(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """As `_queue`, of what a DICOM node received: also where no process reads what one takes in."""
        if not self._settings.queue_minutes:
            return []
        with self._database.reading() as session:
            moment = database_time(session)
            late = moment - timedelta(minutes=self._settings.queue_minutes)
            waiting = DicomObjectRow.state.in_(("received", "waiting"))
            oldest = session.execute(
                select(DicomObjectRow.id, DicomObjectRow.received_at)
                .where(waiting, DicomObjectRow.received_at < late)
                .order_by(DicomObjectRow.received_at, DicomObjectRow.id)
                .limit(1)
            ).first()
            last = (
                select(ReadingRow.created_at)
                .join(DicomObjectRow, DicomObjectRow.reading_id == ReadingRow.id)
                .order_by(DicomObjectRow.reading_id.desc())
                .limit(1)
            )
            if oldest is None or (session.scalar(last) or late) > late:
                return []
            n = session.scalar(select(func.count()).select_from(DicomObjectRow).where(waiting)) or 0
        body = {"event": QUEUE, "waiting": n, "since": oldest.received_at.isoformat(), "at": moment.isoformat()}
        return [(f"{QUEUE}:dicom-{oldest.id}", body)]

    def _results(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Results that no archive has taken, late or refused for good: once a day while it lasts."""
        if not self._settings.queue_minutes:
            return []
        with self._database.reading() as session:
            moment = database_time(session)
            late = DicomExportRow.created_at < moment - timedelta(minutes=self._settings.queue_minutes)
            refused = DicomExportRow.created_at > moment - _LOOK_BACK
            stuck = ((DicomExportRow.state == "waiting") & late) | ((DicomExportRow.state == "failed") & refused)
            n = session.scalar(select(func.count()).select_from(DicomExportRow).where(stuck)) or 0
        body = {"event": RESULTS, "waiting": n, "at": moment.isoformat()}
        return [(f"{RESULTS}:{moment:%Y-%m-%d}", body)] if n else []

    def _disk(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Once a day while it lasts."""
        free = shutil.disk_usage(self._folder).free
        if free >= self._settings.disk_bytes:
            return []
        with self._database.reading() as session:
            moment = database_time(session)
        body = {"event": DISK, "free_mb": free // _MEGABYTE, "at": moment.isoformat()}
        return [(f"{DISK}:{moment:%Y-%m-%d}", body)]


def _webhook(url: str, secret: str) -> Webhook:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise UsageError(f"alert_webhook is '{url}'; give an address as https://hospital.example/alerts")
    if not secret:
        raise UsageError("alert_webhook_secret is empty: whoever gets a post could not tell that it is ours; set one")
    return Webhook(url, secret.encode())


def _mail(settings: Mapping[str, Any], to: list[str]) -> Mail:
    sender = str(settings["ALERT_MAIL_FROM"])
    for address in (*to, sender):
        if "@" not in address or not address.isprintable() or " " in address:
            raise UsageError(f"'{address}' is no address of mail; see the settings alert_mail_to and alert_mail_from")
    host, colon, port = str(settings["ALERT_SMTP"]).rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"alert_smtp is '{settings['ALERT_SMTP']}'; give a host and a port, as mail.example:587")
    user, password = str(settings["ALERT_SMTP_USER"]), str(settings["ALERT_SMTP_PASSWORD"])
    starttls = settings["ALERT_SMTP_TLS"] == "starttls"
    if user and not starttls:
        raise UsageError(
            "alert_smtp_user is set and alert_smtp_tls is 'off': a password would go over the wire as it is"
        )
    return Mail(host.strip("[]"), int(port), sender, tuple(to), starttls=starttls, user=user, password=password)
