"""What a reading room keeps: readings, opinions, accounts, the queue, the audit trail; in a database and a folder."""

from secondread.service.accounts import Accounts, Token, User
from secondread.service.agreement import Agreement, AgreementStatistics, AgreementTable, agreement
from secondread.service.answers import Answer, Answers
from secondread.service.archive import Bounds
from secondread.service.backup import BackupFacts, back_up, restore
from secondread.service.chain import LOCAL, SYSTEM, Actor
from secondread.service.database import Database
from secondread.service.desk import Draft, decided_at, draft_of
from secondread.service.drift import Drift, Rate, Reference, ScoreDrift, Window, score_drift
from secondread.service.exports import ReviewedExport
from secondread.service.image_store import ImageStore, heat_map_name
from secondread.service.intake import Intake
from secondread.service.points import OperatingPoints, SitePoint, operating_point_of
from secondread.service.queue import STATES, Asked, Batch, Claim, Item, NewItem, Queue
from secondread.service.readings import REVIEW_STATES, ReadingStore, StoredReading, triage_of, triage_reason
from secondread.service.report import Measured, ReportFacts, bundle_of, report_facts
from secondread.service.retention import Erased, Retention
from secondread.service.reviews import VERDICTS, Review, Reviews
from secondread.service.roles import ROLES, SCOPES, may_review, scopes_of
from secondread.service.service import Service
from secondread.service.settings import SETTINGS, Setting, data_folder_of, settings_from
from secondread.service.trail import AuditTrail, Checkpoint
from secondread.service.worker import ReadingDesk, Worker
from secondread.service.worklist import ORDERS, Filter, Page, Worklist

__all__ = [
    "LOCAL",
    "ORDERS",
    "REVIEW_STATES",
    "ROLES",
    "SCOPES",
    "SETTINGS",
    "STATES",
    "SYSTEM",
    "VERDICTS",
    "Accounts",
    "Actor",
    "Agreement",
    "AgreementStatistics",
    "AgreementTable",
    "Answer",
    "Answers",
    "Asked",
    "AuditTrail",
    "BackupFacts",
    "Batch",
    "Bounds",
    "Checkpoint",
    "Claim",
    "Database",
    "Draft",
    "Drift",
    "Erased",
    "Filter",
    "ImageStore",
    "Intake",
    "Item",
    "Measured",
    "NewItem",
    "OperatingPoints",
    "Page",
    "Queue",
    "Rate",
    "ReadingDesk",
    "ReadingStore",
    "Reference",
    "ReportFacts",
    "Retention",
    "Review",
    "ReviewedExport",
    "Reviews",
    "ScoreDrift",
    "Service",
    "Setting",
    "SitePoint",
    "StoredReading",
    "Token",
    "User",
    "Window",
    "Worker",
    "Worklist",
    "agreement",
    "back_up",
    "bundle_of",
    "data_folder_of",
    "decided_at",
    "draft_of",
    "heat_map_name",
    "may_review",
    "operating_point_of",
    "report_facts",
    "restore",
    "scopes_of",
    "score_drift",
    "settings_from",
    "triage_of",
    "triage_reason",
]
