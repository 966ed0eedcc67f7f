"""To which patient, study and series readings belong, for lists and for the room; told as the site's setting allows.

The worklist is walked as ever; what is told here is looked up for the rows of one page, in two statements whatever
their number. Names are sealed (see identities): each look at them is a line of the trail.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import distinct, func, or_, select
from sqlalchemy.orm import Session

from secondread.errors import ExtraMissing, ServiceError
from secondread.service.database import Database
from secondread.service.dicom_tables import DicomObjectRow
from secondread.service.identities import IDENTIFY, Identities, Identity
from secondread.service.outcomes import StoredReading
from secondread.service.readings import show
from secondread.service.tables import ImageRow, ReadingRow
from secondread.service.trail import Actor, record

PSEUDONYM, NAME, OFF = "pseudonym", "name", "off"
_SHORT = 8  # characters of a pseudonym that tell people apart in a list
_MOST = 20  # readings beside one, of the study or of before
_RANK = {"positive": 3, "uncertain": 2, "negative": 1, "": 0}


@dataclass(frozen=True)
class Belongs:
    """Where a reading belongs; what is not known, or may not be told, is empty."""

    patient: str = ""  # a short pseudonym, or the name, as the setting says
    accession: str = ""
    study: str = ""  # pseudonym, the last digits
    series: str = ""  # modality, number and words of its description
    n_views: int = 1  # images of this study that were read
    study_uid: str = ""  # pseudonym: the same for a study that was uploaded and one that came by the node


@dataclass(frozen=True)
class Around:
    """What stands beside a reading: the other views of its study, and earlier readings of its patient."""

    belongs: Belongs
    views: tuple[StoredReading, ...] = ()  # of the study, with the reading itself, in the order of their making
    # The view that answers for the study: the most urgent one; None for one view, and where not all of them are here
    # or they were not all asked the same.
    answer: StoredReading | None = None
    priors: tuple[StoredReading, ...] = ()  # of the same pseudonymous patient, the latest first


class Studies:
    """Looks up. shown: PSEUDONYM, NAME or OFF, what of the patient is told."""

    def __init__(self, database: Database, identities: Identities, *, shown: str = PSEUDONYM):
        self._database = database
        self._identities = identities
        self._shown = shown

    def of(self, reading_ids: Sequence[int], *, actor: Actor) -> dict[int, Belongs]:
        """Of the readings of one page; those of which nothing is known are left out."""
        if self._shown == OFF or not reading_ids:
            return {}
        with self._database.reading() as session:
            found = _belongs(session, reading_ids)
        return self._named(found, actor)

    def around(self, reading: StoredReading, *, actor: Actor) -> Around:
        """Of one reading, for its room; which others were shown is noted in the trail. Answers as `show` lets them."""
        with self._database.begin() as session:
            found = _belongs(session, [reading.id])
            belongs = found.get(reading.id, Belongs())
            patient = session.scalar(select(ImageRow.patient).where(ImageRow.sha256 == reading.image_sha256)) or ""
            views = _views(session, reading, belongs.study_uid, patient)
            priors = _priors(session, patient, [*(one.id for one in views), reading.id], reading)
            if views or priors:
                told = sorted({one.id for one in (*views, *priors)} - {reading.id})
                record(session, actor, "study.seen", f"reading:{reading.id}", readings=told)
            views, priors = (tuple(show(session, rows, actor)) for rows in (views, priors))
        views = views if len(views) > 1 else ()
        answer = _answer(views) if len(views) == belongs.n_views else None
        [belongs] = self._named({reading.id: belongs}, actor).values() if self._shown != OFF else [Belongs()]
        return Around(belongs, views, answer, priors)

    def _named(self, found: dict[int, Belongs], actor: Actor) -> dict[int, Belongs]:
        """With names in place of pseudonyms, where the site shows them."""
        studies = {one.study_uid for one in found.values() if one.study_uid}
        if self._shown != NAME or not studies:
            return found
        allowed = replace(actor, scopes=frozenset({*actor.scopes, IDENTIFY}))
        try:
            known = self._identities.unseal_many(studies, actor=allowed, of_one_person=True)
        except (ExtraMissing, ServiceError):  # sealed with another key, or nothing here that could open it
            return found
        return {number: _with(one, known.get(one.study_uid)) for number, one in found.items()}


def together(rows: Sequence[StoredReading], belongs: dict[int, Belongs]) -> list[StoredReading]:
    """The rows of a page, those of one person's study next to the first of them; else in their order."""
    groups: dict[Any, list[StoredReading]] = {}
    for row in rows:
        of = belongs.get(row.id, Belongs())
        groups.setdefault((of.study_uid, of.patient) if of.study_uid else row.id, []).append(row)
    return [row for group in groups.values() for row in group]


def _belongs(session: Session, reading_ids: Sequence[int]) -> dict[int, Belongs]:
    of_images = (
        select(ReadingRow.id, ImageRow.patient, ImageRow.study)
        .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
        .where(ReadingRow.id.in_(reading_ids), or_(ImageRow.patient != "", ImageRow.study != ""))
    )
    known = {number: (study, patient) for number, patient, study in session.execute(of_images).all()}
    of_objects = (
        select(
            DicomObjectRow.reading_id,
            func.max(DicomObjectRow.modality),
            func.max(DicomObjectRow.series_number),
            func.max(DicomObjectRow.series_description),
        )
        .where(DicomObjectRow.reading_id.in_(reading_ids))
        .group_by(DicomObjectRow.reading_id)
    )
    rows = session.execute(of_objects).all()
    series = {number: _series(modality, at, words) for number, modality, at, words in rows}
    n_views = _n_views(session, {study for study, _ in known.values() if study})
    return {
        number: Belongs(
            patient=patient[:_SHORT],
            study=study[-_SHORT:],
            study_uid=study,
            series=series.get(number, ""),
            n_views=n_views.get((study, patient), 1),
        )
        for number, (study, patient) in known.items()
    }


def _series(modality: str, number: int | None, words: str) -> str:
    return " ".join(filter(None, [modality, "" if number is None else f"series {number}", words]))


def _n_views(session: Session, studies: Collection[str]) -> dict[tuple[str, str], int]:
    """By study and patient: the images that have a reading, however many each has."""
    if not studies:
        return {}
    counted = (
        select(ImageRow.study, ImageRow.patient, func.count(distinct(ImageRow.sha256)))
        .join(ReadingRow, ReadingRow.image_sha256 == ImageRow.sha256)
        .where(ImageRow.study.in_(studies), ReadingRow.deleted_at.is_(None))
        .group_by(ImageRow.study, ImageRow.patient)
    )
    return {(study, patient): n for study, patient, n in session.execute(counted).all()}


def _views(session: Session, reading: StoredReading, study: str, patient: str) -> tuple[StoredReading, ...]:
    """One reading of each image of the study: this one, and of each other the last, rather of the same task.

    Of the same person alone: the number of a study may have been given out twice.
    """
    if not study:
        return ()
    same_task_last = ReadingRow.task == reading.task, ReadingRow.id
    rank = func.row_number().over(
        partition_by=ReadingRow.image_sha256, order_by=[column.desc() for column in same_task_last]
    )
    ranked = (
        select(ReadingRow.id, rank.label("rank"))
        .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
        .where(
            ImageRow.study == study,
            ImageRow.patient == patient,
            ImageRow.sha256 != reading.image_sha256,
            ReadingRow.deleted_at.is_(None),
        )
        .subquery()
    )
    others = select(ReadingRow).join(ranked, ranked.c.id == ReadingRow.id).where(ranked.c.rank == 1)
    rows = session.scalars(others.order_by(ReadingRow.id).limit(_MOST - 1)).all()
    return tuple(sorted((reading, *map(StoredReading.of, rows)), key=lambda one: one.id))


def _priors(session: Session, patient: str, but: Sequence[int], reading: StoredReading) -> tuple[StoredReading, ...]:
    """Found by the patient's pseudonym, which an index has."""
    if not patient:
        return ()
    rows = (
        select(ReadingRow)
        .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
        .where(
            ImageRow.patient == patient,
            ReadingRow.id.not_in(but),
            ReadingRow.deleted_at.is_(None),
            ReadingRow.created_at <= reading.created_at,
        )
        .order_by(ReadingRow.created_at.desc(), ReadingRow.id.desc())
    )
    return tuple(StoredReading.of(row) for row in session.scalars(rows.limit(_MOST)))


def _answer(views: Sequence[StoredReading]) -> StoredReading | None:
    """The most urgent of them, and of equal ones the one with the highest score.

    None while one is withheld, where they answer different questions, and of no view.
    """
    if not views or any(one.hidden for one in views) or len({one.task for one in views if one.decision}) > 1:
        return None
    return max(views, key=lambda one: (_RANK[one.decision], one.probability or 0.0, -one.id))


def _with(one: Belongs, identity: Identity | None) -> Belongs:
    if identity is None:
        return one
    name = " ".join(identity.patient_name.partition("=")[0].replace("^", " ").split())
    told = f"{name} ({identity.patient_id})" if identity.patient_id else name
    return replace(one, patient=told or one.patient, accession=identity.accession_number)
