"""What a reading room keeps: readings, opinions, accounts, the queue, the audit trail; in a database and a folder."""

from secondread.service._accounts import Accounts, Token, User
from secondread.service._actor import LOCAL, SYSTEM, Actor
from secondread.service._agreement import Agreement, AgreementStatistics, AgreementTable, agreement
from secondread.service._answers import Answer, Answers
from secondread.service._archive import Bounds
from secondread.service._backup import BackupFacts, back_up, restore
from secondread.service._database import Database
from secondread.service._draft import Draft, decided_at, draft_of
from secondread.service._drift import Drift, Rate, Reference, ScoreDrift, Window, score_drift
from secondread.service._exports import ReviewedExport
from secondread.service._image_store import ImageStore, heat_map_name
from secondread.service._intake import Intake
from secondread.service._queue import Queue
from secondread.service._readings import ReadingStore, StoredReading
from secondread.service._report import reading_pdf
from secondread.service._report_facts import Measured, ReportFacts, bundle_of, report_facts
from secondread.service._retention import Erased, Retention
from secondread.service._reviews import VERDICTS, Review, Reviews
from secondread.service._roles import ROLES, SCOPES, may_review, scopes_of
from secondread.service._service import Service
from secondread.service._settings import SETTINGS, Setting, data_folder_of, settings_from
from secondread.service._site_points import OperatingPoints, SitePoint, operating_point_of
from secondread.service._trail import AuditTrail, Checkpoint
from secondread.service._triage import REVIEW_STATES, triage_of, triage_reason
from secondread.service._upload import STATES, Asked, Batch, Claim, Item, NewItem
from secondread.service._worker import ReadingDesk, Worker
from secondread.service._worklist import ORDERS, Filter, Page, Worklist

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
    "reading_pdf",
    "report_facts",
    "restore",
    "scopes_of",
    "score_drift",
    "settings_from",
    "triage_of",
    "triage_reason",
]
