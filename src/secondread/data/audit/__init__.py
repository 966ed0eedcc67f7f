"""The audit of labelled images: copies, leaks, unreadable files, and labels that can be told without reading."""

from secondread.data.audit._audit import Audit, audit
from secondread.data.audit._duplicates import Pair
from secondread.data.audit._findings import KINDS, Finding
from secondread.data.audit._page import write_audit
from secondread.data.audit._shortcuts import Shortcut

__all__ = ["KINDS", "Audit", "Finding", "Pair", "Shortcut", "audit", "write_audit"]
