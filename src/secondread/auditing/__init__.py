"""The audit of labelled images: copies, leaks, unreadable files, and labels that can be told without reading."""

from secondread.auditing.duplicates import Pair
from secondread.auditing.findings import KINDS, Audit, Finding, audit
from secondread.auditing.page import write_audit
from secondread.auditing.shortcuts import Shortcut

__all__ = ["KINDS", "Audit", "Finding", "Pair", "Shortcut", "audit", "write_audit"]
