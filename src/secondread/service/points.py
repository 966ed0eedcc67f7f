"""A site's own operating points: a threshold chosen here for one bundle, recorded, reversible, bound to its hash."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.errors import Conflict, UsageError
from secondread.evidence.evidence import Prediction, Scored
from secondread.evidence.measured import measured_predictions
from secondread.reading import Bundle, OperatingPoint
from secondread.service.database import Database
from secondread.service.shortly import Shortly
from secondread.service.tables import ImageRow, PointRow, ReadingRow, now, record_of
from secondread.service.trail import Actor, record
from secondread.stats.operating_points import measure_operating_point
from secondread.stats.thresholds import check_prevalence

SITE = "site"  # in place of a split: the images that were reviewed here
LEAST = 10  # images of each class among them


@dataclass(frozen=True)
class SitePoint:
    """A choice that was made; `ended_at` is None for the one that decides now."""

    id: int
    task: str
    bundle: str
    bundle_sha256: str
    threshold: float
    low: float | None
    high: float | None
    prevalence: float | None
    measured: dict[str, Any]  # as an operating point in a bundle's record: sensitivity, specificity, n, data, …
    note: str
    chosen_by: str
    chosen_at: datetime
    ended_at: datetime | None
    ended_by: str

    @property
    def name(self) -> str:
        """As readings name it."""
        return f"site-{self.id}"

    @property
    def measured_on(self) -> str:
        """A split of the bundle's evidence, or 'site': the images that were reviewed here."""
        return str(self.measured.get("split") or self.measured["data"].partition(" ")[0])

    @property
    def independent(self) -> bool:
        """Whether the choice did not look at the images that it was measured on. On a split that it looked at, a test
        split too, the measured rates are too good by an amount that nobody knows.
        """
        return self.measured_on == SITE


class OperatingPoints:
    """One active point at most for each bundle; without one, the bundle's own default decides.

    What `active_point` and `named` say is remembered for a second (see shortly): for what is read here a choice made by
    this process holds at once, one made by another within that time. `active` and `history` look each time: whoever
    has just chosen may be answered by another process.
    """

    def __init__(self, database: Database):
        self._database = database
        self._active: Shortly[OperatingPoint | None] = Shortly()
        self._named: Shortly[SitePoint | None] = Shortly()

    def choose(
        self,
        bundle: Bundle,
        *,
        threshold: float,
        low: float | None = None,
        high: float | None = None,
        prevalence: float | None = None,
        note: str = "",
        split: str = "test",
        actor: Actor,
    ) -> SitePoint:
        """Make a threshold (positive above it) the one that decides from now on; an earlier choice ends.

        low, high: an uncertain band, high being the threshold. Its sensitivity and specificity are measured on the
        predictions of that split in the bundle's evidence, which the choice looked at; or, with split 'site', on the
        images that were reviewed here, at least ten of each class. Raises UsageError.
        """
        _check(threshold, low, high, prevalence)
        if split == SITE:
            scored = self._reviewed_here(bundle)
            data = f"{len(scored.y_true)} images reviewed at this site"
        else:
            scored, data = Scored.of(measured_predictions(bundle, split)), f"{split} of the bundle's evidence"
        measured = _measured(bundle, threshold, low, scored, data, actor) | {"split": split}
        with self._changing() as session:
            moment = now()
            self._end(session, bundle, actor, moment)
            row = PointRow(
                task=bundle.task.name,
                bundle=bundle.id,
                bundle_sha256=bundle.sha256,
                threshold=threshold,
                low=low,
                high=high,
                prevalence=prevalence,
                measured=measured,
                note=note.replace("\0", "")[:2000],
                chosen_by=actor.name,
                chosen_at=moment,
            )
            session.add(row)
            session.flush()
            record(session, actor, "point.chosen", f"bundle:{bundle.id}", point=row.id, threshold=threshold, low=low)
            return _site_point(row)

    def revert(self, bundle: Bundle, *, actor: Actor) -> SitePoint | None:
        """Undo the last choice: what decided before it does so again, a choice or the bundle's default (None).

        Raises Conflict.
        """
        with self._changing() as session:
            ended = self._end(session, bundle, actor, now())
            if ended is None:
                raise Conflict(f"{bundle.id} has no operating point of this site; its own default decides")
            before = session.scalar(  # the one that this choice ended, not one that was undone before it
                select(PointRow).where(
                    PointRow.bundle_sha256 == ended.bundle_sha256,
                    PointRow.id < ended.id,
                    PointRow.ended_at == ended.chosen_at,
                )
            )
            if before is not None:
                before.ended_at, before.ended_by = None, ""
            back_to = before.id if before is not None else None
            record(session, actor, "point.reverted", f"bundle:{bundle.id}", point=ended.id, back_to=back_to)
            session.flush()
            return _site_point(before) if before is not None else None

    def active(self, bundle: Bundle) -> SitePoint | None:
        """The choice that decides for this very bundle now."""
        with self._database.reading() as session:
            row = _active(session, bundle.sha256)
            return _site_point(row) if row is not None else None

    def active_point(self, bundle: Bundle) -> OperatingPoint | None:
        """As `active`, in the form that readers decide with."""

        def look() -> OperatingPoint | None:
            found = self.active(bundle)
            return None if found is None else operating_point_of(found, bundle)

        return self._active.get(bundle.sha256, look)

    def history(self, bundle: Bundle) -> list[SitePoint]:
        """Every choice for bundles of this name, the newest first; also those for earlier trainings of it."""
        name = bundle.id.partition("@")[0]
        of_it = select(PointRow).where(PointRow.bundle.startswith(f"{name}@", autoescape=True))
        with self._database.reading() as session:
            return [_site_point(row) for row in session.scalars(of_it.order_by(PointRow.id.desc()))]

    def named(self, name: str) -> SitePoint | None:
        """The choice that readings call so; None where it is no site's."""
        number = name.removeprefix("site-")
        if number == name or not number.isascii() or not number.isdigit() or len(number) > 9:
            return None

        def look() -> SitePoint | None:
            with self._database.reading() as session:
                row = session.get(PointRow, int(number))
                return None if row is None else _site_point(row)

        return self._named.get(number, look)

    def left_behind(self, bundle: Bundle) -> SitePoint | None:
        """The choice for an earlier training of this bundle that does not hold for this one, to say so on its page."""
        sha256 = bundle.sha256
        if self.active(bundle) is not None:
            return None
        open_ones = (point for point in self.history(bundle) if point.ended_at is None)
        return next((point for point in open_ones if point.bundle_sha256 != sha256), None)

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        """A transaction, after which nothing that was remembered of before counts any more."""
        try:
            with self._database.begin() as session:
                yield session
        finally:
            self._active.forget()
            self._named.forget()

    def _reviewed_here(self, bundle: Bundle) -> Scored:
        """What the bundle said of each image whose finding was concluded here; one of several frames is left out."""
        statement = (
            select(
                ReadingRow.image_sha256, ReadingRow.probability, ReadingRow.finding, ReadingRow.frames, ImageRow.patient
            )
            .join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
            .where(
                ReadingRow.bundle_sha256 == bundle.sha256,
                ReadingRow.probability.is_not(None),
                ReadingRow.finding.is_not(None),
                ReadingRow.deleted_at.is_(None),
            )
            .order_by(ReadingRow.id)
        )
        with self._database.reading() as session:
            rows = {row.image_sha256: row for row in session.execute(statement) if not row.frames}
        scored = Scored.of(
            Prediction("", row.finding, "", row.patient or image, row.probability) for image, row in rows.items()
        )
        n, n_positive = len(scored.y_true), int(scored.y_true.sum())
        if min(n_positive, n - n_positive) < LEAST:
            raise UsageError(
                f"{n_positive} diseased and {n - n_positive} healthy images of this bundle were reviewed here; "
                f"measuring takes {LEAST} of each: review more, or measure on a split of the evidence"
            )
        return scored

    def _end(self, session: Session, bundle: Bundle, actor: Actor, moment: datetime) -> PointRow | None:
        row = _active(session, bundle.sha256, lock=True)
        if row is not None:
            row.ended_at, row.ended_by = moment, actor.name
            session.flush()
        return row


def operating_point_of(point: SitePoint, bundle: Bundle) -> OperatingPoint:
    """A site's choice in the form that readers decide with. Raises Conflict for a bundle it was not made for."""
    if point.bundle_sha256 != bundle.sha256:
        raise Conflict(
            f"operating point {point.name} was chosen for {point.bundle}, not for {bundle.id}; choose one for it"
        )
    measured = {key: value for key, value in point.measured.items() if key != "split"}
    return OperatingPoint.from_record(point.name, {**measured, "low": point.low, "high": point.high})


def _check(threshold: float, low: float | None, high: float | None, prevalence: float | None) -> None:
    if not 0 <= threshold < 1:
        raise UsageError(f"a threshold lies from 0 to below 1; {threshold:g} does not")
    if (low is None) != (high is None):
        raise UsageError("an uncertain band has two ends: give both low and high, or neither")
    if low is not None and high is not None and not (0 <= low < high and high == threshold):
        raise UsageError("an uncertain band ends at the threshold and begins below it")
    check_prevalence(prevalence)


def _measured(
    bundle: Bundle, threshold: float, low: float | None, scored: Scored, data: str, actor: Actor
) -> dict[str, Any]:
    common: dict[str, Any] = {
        "groups": scored.groups,
        "chosen_by": f"the site ({actor.name})",
        "data": data,
        "date": now().date().isoformat(),
        "weights_sha256": bundle.model.sha256,
    }
    found = measure_operating_point(scored.y_true, scored.probabilities, threshold=threshold, **common)
    if low is not None:  # as with 'triage': the diseased must not be called negative, the healthy not positive
        below = measure_operating_point(scored.y_true, scored.probabilities, threshold=low, **common)
        found["sensitivity"] = below["sensitivity"]
    return found


def _active(session: Session, sha256: str, *, lock: bool = False) -> PointRow | None:
    statement = select(PointRow).where(PointRow.bundle_sha256 == sha256, PointRow.ended_at.is_(None))
    return session.scalar(statement.with_for_update() if lock else statement)


def _site_point(row: PointRow) -> SitePoint:
    return record_of(SitePoint, row)
