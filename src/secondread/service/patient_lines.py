"""The line of a report that says whose image it is: typed by people, taken from the file, or not there at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import String, cast, select

from secondread.errors import Conflict, NotThere, SecondReadError, UsageError
from secondread.images.identity import identity_of
from secondread.service.database import Database
from secondread.service.image_store import ImageStore
from secondread.service.tables import ImageRow, ReadingRow
from secondread.service.trail import Actor, record

OFF, TYPED, FILE = "off", "typed", "file"
MODES = (OFF, TYPED, FILE)
LONGEST = 64  # characters of a part


@dataclass(frozen=True)
class PatientLine:
    """Whose image it is; what is not known is empty."""

    patient: str = ""  # as the site calls them: a name, a number, or both
    accession: str = ""
    study_date: str = ""  # as 2026-03-01

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return any(asdict(self).values())


class PatientLines:
    """Kept with the image, so that every reading of it has the same, and erased with it by retention.

    mode: the setting `patient_line`. 'off': nothing is taken down and nothing shown. 'typed': what people typed.
    'file': what the kept DICOM file says, where the setting `deidentify` let it stay; nothing is kept beside the file.
    Raises UsageError for another.
    """

    def __init__(self, database: Database, images: ImageStore, mode: str = OFF):
        if mode not in MODES:
            raise UsageError(f"patient_line is '{mode}'; take one of {', '.join(MODES)}")
        self._database = database
        self._images = images
        self.mode = mode

    def of(self, image_sha256: str) -> PatientLine | None:
        """What is known of an image's patient; None where the setting is off. Noted by the caller, who shows it."""
        if self.mode == OFF:
            return None
        with self._database.reading() as session:
            row = session.execute(
                select(ImageRow.patient_line, ImageRow.erased_at).where(ImageRow.sha256 == image_sha256)
            ).one_or_none()
        if row is None or row.erased_at is not None:
            return PatientLine()
        if self.mode == TYPED:
            return PatientLine(**row.patient_line)
        try:
            return _of_file(identity_of(self._images.image(image_sha256)))
        except SecondReadError:  # erased meanwhile, or damaged, which the page says elsewhere
            return PatientLine()

    def write(self, reading_id: int, line: PatientLine, *, actor: Actor) -> PatientLine:
        """Keep what was typed for the image of this reading, in place of what was there; an empty line erases it.

        The trail says who did it and which parts have something, never what. Raises NotThere, UsageError for a part
        that is too long or a date that is none, Conflict where the setting is another or the image was erased.
        """
        if self.mode != TYPED:
            raise Conflict("this server takes down no patient line; the setting patient_line says whether it does")
        line = _checked(line)
        with self._database.begin() as session:
            reading = session.get(ReadingRow, reading_id) if abs(reading_id) < 2**31 else None
            if reading is None or reading.deleted_at is not None:
                raise NotThere(f"there is no reading {reading_id}; it may have been deleted")
            image = session.get_one(ImageRow, reading.image_sha256, with_for_update=True)
            if image.erased_at is not None:
                raise Conflict("retention has erased this image; nothing is kept of its patient any more")
            kept = {name: value for name, value in asdict(line).items() if value}
            image.patient_line = kept
            subject = f"image:{image.sha256}"
            record(session, actor, "patient_line.typed", subject, reading=reading.id, parts=sorted(kept))
        return line

    def erase_all(self, *, actor: Actor) -> int:
        """Forget every line that was ever typed, whatever the setting is now; the number of images that had one."""
        with self._database.begin() as session:
            typed = session.scalars(
                select(ImageRow).where(cast(ImageRow.patient_line, String) != "{}").with_for_update()
            ).all()
            for image in typed:
                image.patient_line = {}
            record(session, actor, "patient_lines.erased", "images", images=len(typed))
        return len(typed)


def _checked(line: PatientLine) -> PatientLine:
    parts = {name: " ".join(value.replace("\0", "").split()) for name, value in asdict(line).items()}
    for name, value in parts.items():
        if len(value) > LONGEST:
            raise UsageError(f"{name.replace('_', ' ')} is longer than {LONGEST} characters; shorten it")
    if parts["study_date"]:
        try:
            parts["study_date"] = date.fromisoformat(parts["study_date"]).isoformat()
        except ValueError as error:
            raise UsageError(f"'{parts['study_date'][:40]}' is no date; write it as 2026-03-01") from error
    return PatientLine(**parts)


def _of_file(found: Mapping[str, str]) -> PatientLine:
    name, number = found.get("PatientName", ""), found.get("PatientID", "")
    day = found.get("StudyDate", "")
    if len(day) == 8 and day.isdigit():  # DA of PS3.5: 20260301
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    patient = f"{name} ({number})" if name and number else name or number
    return PatientLine(patient, found.get("AccessionNumber", ""), day)
