"""Everything of the service behind one name, put together from its settings."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from secondread.images import Limits
from secondread.service.accounts import Accounts
from secondread.service.agreement import AgreementStatistics
from secondread.service.alerts import Alerts, AlertSettings
from secondread.service.answers import Answers
from secondread.service.boxes import DrawnBoxes
from secondread.service.checkpoints import CheckpointFile, CheckpointKeeper
from secondread.service.clock import zone_of
from secondread.service.database import Database
from secondread.service.desk import ReadingDesk
from secondread.service.dicom_corrections import Corrections
from secondread.service.dicom_exports import DicomExports
from secondread.service.dicom_objects import DicomObjects
from secondread.service.dicom_pulls import DicomPulls
from secondread.service.dicom_series import DicomSeries
from secondread.service.drift import Drift
from secondread.service.erasure import Erasure
from secondread.service.exports import ReviewedExport
from secondread.service.identities import Identities
from secondread.service.image_store import ImageStore
from secondread.service.intake import Bounds, Intake
from secondread.service.object_storage import storage_of
from secondread.service.old_pictures import take_over
from secondread.service.orders import Orders
from secondread.service.patient_lines import PatientLines
from secondread.service.picture_cache import PictureCache
from secondread.service.points import OperatingPoints
from secondread.service.prevalence import Prevalences
from secondread.service.private import close_to_others
from secondread.service.queue import Queue
from secondread.service.readers import GetReader
from secondread.service.readings import ReadingStore
from secondread.service.repair import Repair
from secondread.service.retention import Retention
from secondread.service.reviews import Reviews
from secondread.service.sessions import Sessions
from secondread.service.setting_rows import SETTINGS
from secondread.service.settings import data_folder_of
from secondread.service.shadow import Shadows, Trial
from secondread.service.studies import Studies
from secondread.service.subgroups import Subgroups
from secondread.service.tokens import Tokens
from secondread.service.trail import AuditTrail, appended
from secondread.service.upgrades import Upgrades
from secondread.service.worker import Worker
from secondread.service.worklist import Worklist


@dataclass(frozen=True, eq=False)
class Service:
    """The parts, each with its own module. Safe to share between threads; a process opens its own."""

    folder: Path
    database: Database
    images: ImageStore
    pictures: PictureCache
    readings: ReadingStore
    worklist: Worklist
    reviews: Reviews
    boxes: DrawnBoxes
    agreement: AgreementStatistics
    drift: Drift
    subgroups: Subgroups
    exports: ReviewedExport
    accounts: Accounts
    sessions: Sessions
    tokens: Tokens
    answers: Answers
    trail: AuditTrail
    checkpoints: CheckpointKeeper
    queue: Queue
    intake: Intake
    points: OperatingPoints
    prevalences: Prevalences
    upgrades: Upgrades
    shadows: Shadows
    retention: Retention
    erasure: Erasure
    identities: Identities
    dicom: DicomObjects
    dicom_exports: DicomExports
    dicom_pulls: DicomPulls
    corrections: Corrections
    orders: Orders
    alerts: Alerts
    dicom_series: DicomSeries
    studies: Studies
    repair: Repair
    patient_lines: PatientLines
    zone: tzinfo | None  # whose time reports show beside UTC; None: the machine's

    @classmethod
    def open(cls, settings: Mapping[str, Any] | None = None, *, upgrade: bool = True) -> "Service":
        """The service with these settings (by key, as DATA_FOLDER; what is missing is the default).

        upgrade: make the folders and bring the tables to this version; without it nothing is touched.
        Raises UsageError, ExtraMissing, ServiceError.
        """
        use = {row.key: row.default for row in SETTINGS} | dict(settings or {})
        zone = zone_of(str(use["TIME_ZONE"]))
        folder = data_folder_of(use)
        storage = storage_of(folder, str(use.get("IMAGES", "")), endpoint=str(use.get("S3_ENDPOINT", "")))
        database = Database.open(folder, str(use["DATABASE"]))
        images = ImageStore(folder, storage, key_file=str(use.get("SITE_KEY", "")))
        if upgrade:
            _upgrade(database, images)
        checkpoints = CheckpointFile.of(folder, str(use["TRAIL_CHECKPOINTS"]))
        trail = AuditTrail(database, checkpoints)
        keeper = CheckpointKeeper(checkpoints, end=trail.checkpoint, holds=trail.holds)
        database.after_commit = lambda session: keeper.noted(appended(session))
        if upgrade:
            keeper.start()
        max_file = int(use["MAX_FILE_MB"]) * 10**6
        limits = Limits(
            max_pixels=int(use["MAX_MEGAPIXELS"]) * 10**6, max_bytes=max_file, max_frames=int(use["MAX_FRAMES"])
        )
        bounds = Bounds(
            max_files=int(use["MAX_BATCH_FILES"]),
            max_bytes=int(use["MAX_BATCH_MB"]) * 10**6,
            max_file_bytes=max_file,
            max_ratio=int(use["MAX_ARCHIVE_RATIO"]),
        )
        pictures = PictureCache(images, max_bytes=int(use["PICTURES_MB"]) * 10**6, limits=limits)
        readings = ReadingStore(database, images, pictures)
        queue = Queue(database, readings, lease_seconds=float(use["LEASE_SECONDS"]))
        keep = use["DEIDENTIFY"] == "off"
        intake = Intake(database, images, queue, bounds=bounds, limits=limits, keep_identifiers=keep)
        identities = Identities(database, images)
        return cls(
            folder=folder,
            database=database,
            images=images,
            pictures=pictures,
            readings=readings,
            worklist=Worklist(database),
            reviews=Reviews(database, needed=int(use["REVIEWS_NEEDED"])),
            boxes=DrawnBoxes(database),
            agreement=AgreementStatistics(database),
            drift=Drift(database),
            subgroups=Subgroups(database),
            exports=ReviewedExport(database, images),
            accounts=Accounts(database, secret=lambda: images.secret("names")),
            sessions=Sessions(database, idle=timedelta(hours=int(use["SESSION_HOURS"]))),
            tokens=Tokens(database),
            answers=Answers(database, lambda: images.secret("answers")),
            trail=trail,
            checkpoints=keeper,
            queue=queue,
            intake=intake,
            points=OperatingPoints(database),
            prevalences=Prevalences(database),
            upgrades=(upgrades := Upgrades(database)),
            shadows=Shadows(database, upgrades, per_hour=int(use["SHADOW_PER_HOUR"])),
            retention=Retention(database, images),
            erasure=Erasure(database, images),
            identities=identities,
            dicom=DicomObjects(
                database,
                images,
                intake,
                readings,
                identities,
                lease_seconds=float(use["LEASE_SECONDS"]),
                quiet_seconds=float(use["DICOM_SERIES_SECONDS"]),
            ),
            dicom_exports=DicomExports(database),
            dicom_pulls=DicomPulls(database),
            corrections=Corrections(database, images, identities),
            orders=Orders(database, intake, identities),
            alerts=Alerts(database, folder, AlertSettings.of(use)),
            dicom_series=DicomSeries(database, images, readings, lease_seconds=float(use["LEASE_SECONDS"])),
            studies=Studies(database, identities, shown=str(use["WORKLIST_PATIENT"])),
            repair=Repair(database, images, trail),
            patient_lines=PatientLines(database, images, str(use["PATIENT_LINE"])),
            zone=zone,
        )

    def upgrade(self) -> None:
        """Make the folders, bring the tables to this version, and take over what earlier versions kept as files.

        Several processes may do so at once. Raises ServiceError.
        """
        _upgrade(self.database, self.images)

    @property
    def limits(self) -> Limits:
        """Sizes beyond which nothing is decoded."""
        return self.intake.limits

    def desk(self, readers: GetReader, *, turn: AbstractContextManager[Any] | None = None) -> ReadingDesk:
        """The one way from a file to its stored reading. turn: see ReadingDesk."""
        return ReadingDesk(self.intake, self.images, self.readings, self.points, readers, turn=turn)

    def worker(self, readers: GetReader, *, poll_seconds: float = 0.5) -> Worker:
        """A worker of the queue, and of the shadow while nothing waits; `run` in a thread or process of its own."""
        look = self.desk(readers).look
        return Worker(self.queue, look, poll_seconds=poll_seconds, idle=partial(self.shadows.step, look))

    def trial(self, readers: GetReader) -> Trial:
        """Another bundle on what is kept, without storing what it says."""
        return Trial(self.database, self.desk(readers).look)

    def close(self) -> None:
        """Write the last checkpoint of the trail, and give the database's connections back."""
        self.checkpoints.close()
        self.database.close()


def _upgrade(database: Database, images: ImageStore) -> None:
    images.prepare()
    close_to_others(images.folder)
    database.upgrade()
    take_over(database, images)
