"""The audit of labelled images: copies, leaks, unreadable files, and labels that can be told without reading."""

from secondread.audit.duplicates import Pair
from secondread.audit.findings import KINDS, Audit, Finding, audit
from secondread.audit.page import write_audit
from secondread.audit.shortcuts import Shortcut

__all__ = ["KINDS", "Audit", "Finding", "Pair", "Shortcut", "audit", "write_audit"]
