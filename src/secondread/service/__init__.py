"""What a reading room keeps: readings, opinions, accounts, the queue, the audit trail; in a database and a folder."""

from secondread.service.accounts import Accounts
from secondread.service.agreement import AgreementStatistics, AgreementTable, Judged
from secondread.service.answers import Answer, Answers
from secondread.service.archives import members
from secondread.service.backup import BackupFacts, back_up, restore
from secondread.service.boxes import Drawing, DrawnBox, DrawnBoxes, Mark, marks_of
from secondread.service.changes import Changes, Counting, Pair
from secondread.service.checkpoints import Checkpoint
from secondread.service.database import OF_REQUESTS, Database, wait_at_most
from secondread.service.desk import Answered, ReadingDesk
from secondread.service.dicom_corrections import Correction, Corrections, LeftResult
from secondread.service.dicom_exports import NODE, DicomExports, Export
from secondread.service.dicom_facts import Arrival, DicomObject, Facts
from secondread.service.dicom_objects import CONFLICT, NEW, OTHER, SAME, DicomObjects
from secondread.service.dicom_pulls import DicomPulls, Pull
from secondread.service.dicom_series import DicomSeries, Waiting
from secondread.service.drift import AGAINST, FIRST_DAYS, Drift, DriftTable, Sight, Window
from secondread.service.erasure import Erasable, Erasing, Erasure, Left, read_erasings
from secondread.service.exports import ReviewedExport, csv_text
from secondread.service.filters import Filter
from secondread.service.identities import IDENTIFY, Identities, Identity, Instance
from secondread.service.image_store import ImageStore
from secondread.service.intake import Bounds, Intake, Staged
from secondread.service.news import News, news_since, position_now
from secondread.service.object_storage import storage_of
from secondread.service.orders import Order, Orders
from secondread.service.outcomes import Draft, Outcome, StoredReading, heat_map_name
from secondread.service.patient_lines import PatientLine
from secondread.service.picture_cache import HEAT_MAP_PIXELS, THUMBNAIL_PIXELS
from secondread.service.points import SITE, OperatingPoints, SitePoint, operating_point_of
from secondread.service.prevalence import Local, Meaning, Prevalences, SitePrevalence
from secondread.service.queue import Queue
from secondread.service.readers import AnyReader, GetReader, Readers, readers_of
from secondread.service.readings import ReadingStore, check_shown
from secondread.service.repair import Finding, Repair
from secondread.service.report import (
    AnswerFacts,
    Measured,
    ReportFacts,
    answer_facts,
    bundle_of,
    regions_on,
    report_facts,
)
from secondread.service.retention import Erased, Retention
from secondread.service.reviews import VERDICTS, Review, Reviews
from secondread.service.service import Service
from secondread.service.sessions import DEVICE_LASTS, LONGEST_SESSION, Begun, LoginSession, Sessions
from secondread.service.setting_rows import SETTINGS, Setting
from secondread.service.settings import data_folder_of, settings_from
from secondread.service.stacks import Slice
from secondread.service.studies import Around, Belongs, Studies, together
from secondread.service.telemetry import Telemetry
from secondread.service.tokens import Token, Tokens
from secondread.service.trail import (
    LOCAL,
    ROLES,
    SCOPES,
    Actor,
    AuditTrail,
    Gap,
    Verified,
    may_review,
    scopes_of,
)
from secondread.service.triage import REVIEW_STATES, triage_of, triage_reason
from secondread.service.upgrades import ANSWERS, SHADOW, BundleChoice, Upgrades
from secondread.service.uploads import STATES, Batch, Claim, Item, NewItem, ReadingRequest
from secondread.service.users import LAYOUTS, Hanging, User
from secondread.service.worker import Worker, holding
from secondread.service.worklist import BY_TIME, ORDERS, Page, Worklist

__all__ = [
    "AGAINST",
    "ANSWERS",
    "BY_TIME",
    "CONFLICT",
    "DEVICE_LASTS",
    "FIRST_DAYS",
    "HEAT_MAP_PIXELS",
    "IDENTIFY",
    "LAYOUTS",
    "LOCAL",
    "LONGEST_SESSION",
    "NEW",
    "NODE",
    "OF_REQUESTS",
    "ORDERS",
    "OTHER",
    "REVIEW_STATES",
    "ROLES",
    "SAME",
    "SCOPES",
    "SETTINGS",
    "SHADOW",
    "SITE",
    "STATES",
    "THUMBNAIL_PIXELS",
    "VERDICTS",
    "Accounts",
    "Actor",
    "AgreementStatistics",
    "AgreementTable",
    "Answer",
    "AnswerFacts",
    "Answered",
    "Answers",
    "AnyReader",
    "Around",
    "Arrival",
    "AuditTrail",
    "BackupFacts",
    "Batch",
    "Begun",
    "Belongs",
    "Bounds",
    "BundleChoice",
    "Changes",
    "Checkpoint",
    "Claim",
    "Correction",
    "Corrections",
    "Counting",
    "Database",
    "DicomExports",
    "DicomObject",
    "DicomObjects",
    "DicomPulls",
    "DicomSeries",
    "Draft",
    "Drawing",
    "DrawnBox",
    "DrawnBoxes",
    "Drift",
    "DriftTable",
    "Erasable",
    "Erased",
    "Erasing",
    "Erasure",
    "Export",
    "Facts",
    "Filter",
    "Finding",
    "Gap",
    "GetReader",
    "Hanging",
    "Identities",
    "Identity",
    "ImageStore",
    "Instance",
    "Intake",
    "Item",
    "Judged",
    "Left",
    "LeftResult",
    "Local",
    "LoginSession",
    "Mark",
    "Meaning",
    "Measured",
    "NewItem",
    "News",
    "OperatingPoints",
    "Order",
    "Orders",
    "Outcome",
    "Page",
    "Pair",
    "PatientLine",
    "Prevalences",
    "Pull",
    "Queue",
    "Readers",
    "ReadingDesk",
    "ReadingRequest",
    "ReadingStore",
    "Repair",
    "ReportFacts",
    "Retention",
    "Review",
    "ReviewedExport",
    "Reviews",
    "Service",
    "Sessions",
    "Setting",
    "Sight",
    "SitePoint",
    "SitePrevalence",
    "Slice",
    "Staged",
    "StoredReading",
    "Studies",
    "Telemetry",
    "Token",
    "Tokens",
    "Upgrades",
    "User",
    "Verified",
    "Waiting",
    "Window",
    "Worker",
    "Worklist",
    "answer_facts",
    "back_up",
    "bundle_of",
    "check_shown",
    "csv_text",
    "data_folder_of",
    "heat_map_name",
    "holding",
    "marks_of",
    "may_review",
    "members",
    "news_since",
    "operating_point_of",
    "position_now",
    "read_erasings",
    "readers_of",
    "regions_on",
    "report_facts",
    "restore",
    "scopes_of",
    "settings_from",
    "storage_of",
    "together",
    "triage_of",
    "triage_reason",
    "wait_at_most",
]
