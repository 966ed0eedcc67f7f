"""What rules would do with the files of a folder: nothing is read, kept or sent."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from secondread.dicom.header import Header, header_in
from secondread.dicom.rules import Rules
from secondread.errors import CannotOpen


@dataclass(frozen=True)
class Verdict:
    """What would be done with one file. rule: '' for a file that is no DICOM object."""

    path: str
    then: str
    rule: str = ""
    task: str = ""
    unit: str = ""
    send_to: tuple[str, ...] = ()
    reason: str = ""
    header: Header = field(default_factory=Header)

    @property
    def kind(self) -> str:
        """Modality and part, for a table."""
        return " ".join(filter(None, (self.header.modality, *self.header.body_part[:1])))

    def as_json(self) -> dict[str, Any]:
        """What is shown with --json: no name, date or number of a person."""
        header = self.header
        return {
            "path": self.path,
            "then": self.then,
            "rule": self.rule or None,
            "task": self.task or None,
            "unit": self.unit or None,
            "send_to": list(self.send_to),
            "reason": self.reason or None,
            "modality": header.modality,
            "body_part": list(header.body_part),
            "view": list(header.view),
            "age": header.age,
            "frames": header.n_frames,
        }


def verdicts(folder: Path, rules: Rules) -> Iterator[Verdict]:
    """One for each file of the folder and those in it, or for the one file, by name. Raises CannotOpen."""
    if not folder.exists():
        raise CannotOpen(f"there is no '{folder}'; name a folder of DICOM files, or one of them")
    paths = [folder] if folder.is_file() else _files(folder)
    for path in paths:
        yield _verdict(path, str(path if folder.is_file() else path.relative_to(folder)), rules)


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _verdict(path: Path, name: str, rules: Rules) -> Verdict:
    try:
        ds = dcmread(path, stop_before_pixels=False, defer_size=4096)
    except InvalidDicomError:
        return Verdict(name, "skip", reason="not a DICOM file")
    except Exception:  # pydicom raises nearly anything for damaged bytes
        return Verdict(name, "skip", reason="damaged")
    header = header_in(ds)
    rule = rules.decide(header)
    is_read = rule.then == "read"
    return Verdict(
        name,
        rule.then,
        rule=rule.name,
        task=rule.task if is_read else "",
        unit=rule.unit if is_read else "",
        send_to=rules.destinations_of(rule) if is_read else (),
        reason=rule.reason,
        header=header,
    )
