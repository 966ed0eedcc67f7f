"""An unfinished download: its bytes so far, and notes by which to tell that the server still has the same file."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Part:
    """What has arrived so far, and how to tell that the server still has the same file."""

    path: Path
    url: str
    validator: str = ""  # a strong ETag, or else Last-Modified
    total: int | None = None  # bytes
    notes: Path = field(init=False)

    def __post_init__(self) -> None:
        self.notes = self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def recall(self) -> None:
        """Take up the notes of an earlier run; what was fetched from elsewhere, or without notes, is dropped."""
        try:
            notes = json.loads(self.notes.read_text(encoding="utf-8"))
            same = notes["url"] == self.url
            self.validator, self.total = notes["validator"], notes["total"]
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            self.forget()

    def note(self, response: Any) -> None:
        """Remember which file the server sends, before its first byte is kept."""
        etag = response.headers.get("ETag", "")
        # If-Range compares strongly: a weak ETag never matches (RFC 9110 section 13.1.5).
        self.validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        self.total = number_of(response.headers.get("Content-Length"))
        notes = {"url": self.url, "validator": self.validator, "total": self.total}
        aside = self.notes.with_name(f"{self.notes.name}.new")
        aside.write_text(json.dumps(notes), encoding="utf-8")
        aside.replace(self.notes)

    def forget(self) -> None:
        """Start from nothing."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)
        self.validator, self.total = "", None


def number_of(text: str | None) -> int | None:
    """The count in a header, None where there is none."""
    return int(text) if text and text.isdigit() else None
