"""A round of asking an archive for new images: day by day from the mark on, each object once, within bounds.

What is here already is not fetched again, whoever brought it; so is what was erased here. An object is taken in as one
that was sent: by the same rules, with the same answer. Killed at any moment, the next round goes on where this one was.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from secondread.dicom.archive import Archive, NodeArchive
from secondread.dicom.arrivals import Arrivals, Sender
from secondread.dicom.destinations import Destination
from secondread.dicom.pull_filter import PullFilter
from secondread.dicom.storing import OUT_OF_RESOURCES, Stored, stored
from secondread.dicom.tls import archive_authorities, sending_tls
from secondread.dicom.web_archive import WebArchive
from secondread.dicomweb import Credentials, DicomWeb
from secondread.errors import Busy, CannotOpen, Conflict, SecondReadError, UsageError
from secondread.service import Actor, Pull, Service

_PATIENCE = 600.0  # seconds that a round waits for objects to be read, before it ends to be gone on with
_LOOK_EVERY = 1.0
_LOG = logging.getLogger("secondread.dicom")


@dataclass
class Round:
    """What a round came to. counts: 'studies', 'known', and objects as Stored.counted, 'moved' or 'missing'."""

    source: str
    since: date
    until: date
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def fetched(self) -> int:
        """Objects that are here now and were not before."""
        return self.counts["stored"] + self.counts["moved"]


class Puller:
    """Asks one archive. Not for several threads; safe beside other processes, of which one at a time asks."""

    def __init__(
        self,
        service: Service,
        arrivals: Arrivals,
        archive: Archive,
        place: Destination,
        only: PullFilter,
        *,
        days: int,
        waiting: int,
        on_kept: Callable[[], None] = lambda: None,
        stopping: threading.Event | None = None,
    ):
        """days: before the mark that are asked about again. waiting: objects unread beyond which none is fetched."""
        self._service = service
        self._arrivals = arrivals
        self._archive = archive
        self._place = place
        self._only = only
        self._days = timedelta(days=days)
        self._waiting = waiting
        self._on_kept = on_kept
        self._stopping = stopping or threading.Event()
        self._sender = Sender(archive.name[:16], "", place.host or "")
        self._actor = Actor(f"pull:{archive.name}"[:100], "dicom", place.host)

    def round(self, *, since: date | None = None, until: date | None = None) -> Round:
        """Ask once, to the end or until `stopping`. since: default: some days before the mark; until: default: today.

        Raises Conflict while another process asks the same, CannotOpen where the archive cannot be used, Busy where
        nobody reads what is here, and what hinders every object: ServiceError, CannotWrite. What was taken in stays.
        """
        pulls, source = self._service.dicom_pulls, str(self._place)
        pull = pulls.begin(source, str(self._only))
        if pull is None:
            raise Conflict(f"{source} is being asked by another process already; it goes on with it")
        today = datetime.now(self._service.zone).date()
        found = Round(source, since or (pull.mark or today) - self._days, until or today)
        error = ""
        try:
            self._days_of(found, pull)
        except SecondReadError as problem:
            error = str(problem)
            raise
        except BaseException:
            error = "the round was broken off"
            raise
        finally:
            self._archive.close()
            pulls.end(pull, error)
            if error or any(found.counts[one] for one in found.counts if one not in ("studies", "known")):
                told = {"error": error} if error else {}
                span = {"since": f"{found.since}", "until": f"{found.until}"}
                subject = f"archive:{source}"
                self._service.trail.record(self._actor, "dicom.pulled", subject, **span, **+found.counts, **told)
        return found

    def _days_of(self, found: Round, pull: Pull) -> None:
        day = found.since
        while day <= found.until and not self._stopping.is_set():
            whole = all(
                self._study(study, found, pull)
                for query in self._only.study_queries(day)
                for study in self._archive.studies(query)
            )
            if whole and not self._stopping.is_set():
                self._held(pull, mark=day)
            day += timedelta(days=1)

    def _study(self, study: str, found: Round, pull: Pull) -> bool:
        """Whether it was gone through to its end."""
        found.counts["studies"] += 1
        for series in self._archive.series(study, dict(self._only.series)):
            if self._stopping.is_set():
                return False
            if self._only.takes(series):
                self._series(study, series["SeriesInstanceUID"], found, pull)
        return True

    def _series(self, study: str, series: str, found: Round, pull: Pull) -> None:
        service, listed = self._service, self._archive.instances(study, series)
        stand_ins = {uid: service.intake.stand_in(uid) for uid in listed}
        known = service.dicom.known(list(stand_ins.values()))
        wanted = {uid: kind for uid, kind in listed.items() if stand_ins[uid] not in known}
        found.counts["known"] += len(listed) - len(wanted)
        if not wanted:
            return
        self._wait_for_room(pull)
        trouble: list[Stored] = []

        def take(data: bytes) -> Stored:
            one = stored(lambda: self._arrivals.take(data, self._sender, actor=self._actor))
            if one.status == OUT_OF_RESOURCES:
                trouble.append(one)
            self._on_kept()
            return one

        counts = self._archive.fetch(study, series, wanted, take)
        found.counts += counts
        service.dicom.note_sent([service.intake.stand_in(series)])
        self._held(pull, fetched=counts["stored"] + counts["moved"])
        if trouble:
            raise Busy("objects cannot be kept now; they are asked for again", retry_after=_PATIENCE)
        if counts["moved"] and not service.dicom.known([stand_ins[uid] for uid in wanted]):
            raise CannotOpen(
                f"{self._place} says that it has sent objects on, and none came here: is `secondread dicom listen` "
                "running on the address and port that are entered there?"
            )

    def _held(self, pull: Pull, **told: Any) -> None:
        if not self._service.dicom_pulls.note(pull, **told):
            raise Conflict(f"{self._place} is asked by another process by now, which goes on with it")

    def _wait_for_room(self, pull: Pull) -> None:
        """So many may wait to be read and no more: an archive of years is not poured in at once."""
        end, last = time.monotonic() + _PATIENCE, None
        while not self._stopping.is_set():
            counts = self._service.dicom.counts()
            now = counts["received"] + counts["waiting"]
            if now < self._waiting:
                return
            if last is None or now < last:
                last, end = now, time.monotonic() + _PATIENCE
            if time.monotonic() > end:
                raise Busy(
                    f"{now} objects wait to be read and none is; no more are fetched until they are", retry_after=60.0
                )
            self._held(pull)
            self._stopping.wait(_LOOK_EVERY)


def archive_of(place: Destination, settings: Mapping[str, Any]) -> Archive:
    """What speaks with this place, as the settings say. Raises UsageError."""
    if not place.is_web:
        by_move = settings["DICOM_PULL_BY"] == "move"
        return NodeArchive(place, own_aet=str(settings["DICOM_AET"]), tls=sending_tls(settings), by_move=by_move)
    server = DicomWeb(place.url, credentials=Credentials.of(settings), authorities=archive_authorities(settings))
    return WebArchive(server, most=int(settings["MAX_FILE_MB"]) * 10**6)


def pull_settings(settings: Mapping[str, Any]) -> tuple[list[Destination], PullFilter]:
    """Which archives are asked, and for what. Raises UsageError."""
    texts = [one.strip() for one in str(settings["DICOM_PULL_FROM"]).split(",") if one.strip()]
    try:
        only = PullFilter.parse(str(settings["DICOM_PULL_FILTER"]))
    except UsageError as error:
        raise UsageError(f"dicom_pull_filter: {error}") from error
    return [Destination.parse(text) for text in texts], only


def puller_of(
    service: Service, arrivals: Arrivals, place: Destination, only: PullFilter, settings: Mapping[str, Any], **more: Any
) -> Puller:
    """Asks this place as the settings say. more: on_kept, stopping."""
    days, waiting = int(settings["DICOM_PULL_DAYS"]), int(settings["DICOM_PULL_WAITING"])
    return Puller(service, arrivals, archive_of(place, settings), place, only, days=days, waiting=waiting, **more)
