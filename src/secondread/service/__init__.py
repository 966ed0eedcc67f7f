"""What a reading room keeps: readings, opinions, accounts, the queue, the audit trail; in a database and a folder."""

from secondread.service.accounts import Accounts, Token, User
from secondread.service.agreement import AgreementStatistics, AgreementTable, Judged
from secondread.service.answers import Answer, Answers
from secondread.service.backup import BackupFacts, back_up, restore
from secondread.service.database import Database
from secondread.service.desk import HEAT_MAP_PIXELS, THUMBNAIL_PIXELS, Answered, ReadingDesk
from secondread.service.drift import AGAINST, FIRST_DAYS, Drift, DriftTable, Sight, Window
from secondread.service.exports import ReviewedExport, csv_text
from secondread.service.image_store import ImageStore, heat_map_name
from secondread.service.intake import Bounds, Intake, Staged
from secondread.service.patient_lines import PatientLine
from secondread.service.points import SITE, OperatingPoints, SitePoint, operating_point_of
from secondread.service.prevalence import Local, Meaning, Prevalences, SitePrevalence
from secondread.service.queue import STATES, Batch, Claim, Item, NewItem, Queue, ReadingRequest
from secondread.service.readers import AnyReader, GetReader, Readers, readers_of
from secondread.service.readings import Draft, Outcome, ReadingStore, StoredReading, check_shown
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
from secondread.service.settings import SETTINGS, Setting, data_folder_of, settings_from
from secondread.service.trail import (
    LOCAL,
    ROLES,
    SCOPES,
    Actor,
    AuditTrail,
    Checkpoint,
    may_review,
    scopes_of,
)
from secondread.service.triage import REVIEW_STATES, triage_of, triage_reason
from secondread.service.worker import Worker
from secondread.service.worklist import BY_TIME, ORDERS, Filter, Page, Worklist

__all__ = [
    "AGAINST",
    "BY_TIME",
    "FIRST_DAYS",
    "HEAT_MAP_PIXELS",
    "LOCAL",
    "ORDERS",
    "REVIEW_STATES",
    "ROLES",
    "SCOPES",
    "SETTINGS",
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
    "AuditTrail",
    "BackupFacts",
    "Batch",
    "Bounds",
    "Checkpoint",
    "Claim",
    "Database",
    "Draft",
    "Drift",
    "DriftTable",
    "Erased",
    "Filter",
    "GetReader",
    "ImageStore",
    "Intake",
    "Item",
    "Judged",
    "Local",
    "Meaning",
    "Measured",
    "NewItem",
    "OperatingPoints",
    "Outcome",
    "Page",
    "PatientLine",
    "Prevalences",
    "Queue",
    "Readers",
    "ReadingDesk",
    "ReadingRequest",
    "ReadingStore",
    "ReportFacts",
    "Retention",
    "Review",
    "ReviewedExport",
    "Reviews",
    "Service",
    "Setting",
    "Sight",
    "SitePoint",
    "SitePrevalence",
    "Staged",
    "StoredReading",
    "Token",
    "User",
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
    "may_review",
    "operating_point_of",
    "readers_of",
    "regions_on",
    "report_facts",
    "restore",
    "scopes_of",
    "settings_from",
    "triage_of",
    "triage_reason",
]
