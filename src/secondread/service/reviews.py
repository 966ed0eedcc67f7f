"""Second opinions: what qualified people say of a reading, how many are needed, and who settles a dispute."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from secondread.errors import Conflict, NotAllowed, NotThere, UnknownName, UsageError
from secondread.service.database import Database
from secondread.service.first_opinion import shown_at
from secondread.service.tables import ReadingRow, ReviewRow, record_of
from secondread.service.trail import Actor, may_review, record
from secondread.service.triage import DISPUTED, DONE, OPEN, SETTLED, WAITING, triage_of

VERDICTS = ("agree", "disagree", "unsure")
REVIEW, ADJUDICATION = "review", "adjudication"
_FINDING_OF = {"positive": 1, "negative": 0}
_LONGEST_NOTE = 4000


@dataclass(frozen=True)
class Review:
    """One opinion, as it was given. `current` is False where the same person gave a later one."""

    id: int
    reading_id: int
    reviewer: str
    kind: str  # 'review' or 'adjudication'
    verdict: str
    finding: int | None  # 1 disease, 0 none, None not said
    note: str
    saw_answer: bool
    decision_then: str
    probability_then: float | None
    supersedes: int | None
    made_at: datetime
    current: bool = True


class Reviews:
    """Opinions are only ever added: what someone said before and after stays.

    needed: how many people must review a reading; with 2 this is double reading. Once they are there and say the same,
    the reading is done; if they differ or one is unsure it is disputed, until a further person settles it.
    """

    def __init__(self, database: Database, *, needed: int = 1):
        self._database = database
        self.needed = needed

    def add(
        self,
        reading_id: int,
        *,
        verdict: str,
        finding: int | None = None,
        note: str = "",
        saw_answer: bool = True,
        actor: Actor,
        role: str,
    ) -> Review:
        """Note an opinion; an earlier one of the same person stays and counts no more.

        finding: 1 disease, 0 none. By default what the verdict says of the decision: needed where the decision is
        uncertain or the image was refused, and not to be given with 'unsure'. saw_answer: False for an opinion written
        down before the answer was shown; it is kept and counts in agreement, and the review is made once the answer was
        seen. It is refused where the answer was shown to them already, and so it is noted of its own accord where the
        answer is withheld from them.
        Raises NotThere, NotAllowed, UnknownName, UsageError or Conflict (the reading was settled).
        """
        _check(verdict, note, role)
        with self._database.begin() as session:
            row = _reading(session, reading_id)
            if row.review_state == SETTLED:
                raise Conflict("this reading was settled by adjudication; its review is closed")
            saw_answer = _saw(session, row, saw_answer, actor)
            said = _finding(verdict, finding, row.decision, saw_answer=saw_answer)
            found = _add(session, row, actor, REVIEW, verdict, said, note, saw_answer)
            self._conclude(session, row)
            told = {"review": found.id, "verdict": verdict, "finding": said, "saw_answer": saw_answer}
            record(session, actor, "review.made", f"reading:{row.id}", **told)
            return _review(found)

    def adjudicate(self, reading_id: int, *, finding: int, note: str = "", actor: Actor, role: str) -> Review:
        """Settle a disputed reading, by someone who did not review it. Raises as `add` does."""
        _check("agree", note, role)
        if finding not in (0, 1):
            raise UsageError("an adjudication says what is found: 1 for disease, 0 for none")
        with self._database.begin() as session:
            row = _reading(session, reading_id)
            if row.review_state != DISPUTED:
                raise Conflict("only a reading on which reviewers differ or are unsure can be settled")
            if any(review.reviewer == actor.name for review in _current(session, row.id)):
                raise NotAllowed("a dispute is settled by someone who has not reviewed this reading")
            answer = _FINDING_OF.get(row.decision)
            verdict = "unsure" if answer is None else ("agree" if answer == finding else "disagree")
            found = _add(session, row, actor, ADJUDICATION, verdict, finding, note, True)
            self._conclude(session, row)
            record(session, actor, "review.settled", f"reading:{row.id}", review=found.id, finding=finding)
            return _review(found)

    def of(self, reading_id: int) -> list[Review]:
        """Every opinion on a reading, the oldest first."""
        with self._database.reading() as session:
            rows = session.scalars(
                select(ReviewRow).where(ReviewRow.reading_id == reading_id).order_by(ReviewRow.id)
            ).all()
        replaced = {row.supersedes for row in rows}
        return [_review(row, current=row.id not in replaced) for row in rows]

    def _conclude(self, session: Session, row: ReadingRow) -> None:
        """Work out anew where the review stands, from the opinions that count."""
        session.flush()
        counted = [review for review in _current(session, row.id) if review.saw_answer]
        settled = [review for review in counted if review.kind == ADJUDICATION]
        reviews = [review for review in counted if review.kind == REVIEW]
        findings = {review.finding for review in reviews}
        row.n_reviews = len(reviews)
        if settled:
            row.review_state, row.finding = SETTLED, settled[-1].finding
        elif len(reviews) < self.needed:
            row.review_state, row.finding = (WAITING if reviews else OPEN), None
        elif len(findings) == 1 and None not in findings:
            row.review_state, row.finding = DONE, findings.pop()
        else:
            row.review_state, row.finding = DISPUTED, None
        row.triage = triage_of(decision=row.decision, probability=row.probability, review_state=row.review_state)


def _saw(session: Session, row: ReadingRow, claimed: bool, actor: Actor) -> bool:
    """Whether the answer was seen, by what is known. Raises Conflict where that is not what is claimed."""
    at = shown_at(session, row.id, actor.name)
    if not claimed and at is not None and row.decision:
        raise Conflict(
            f"the answer was shown to you on {at:%Y-%m-%d at %H:%M} UTC already: this cannot be an opinion from "
            "before; give it as one with the answer"
        )
    return claimed and not (actor.opinion_first and at is None and row.decision)


def _check(verdict: str, note: str, role: str) -> None:
    if not may_review(role):
        raise NotAllowed("only a reviewer or an administrator gives an opinion; ask for the role")
    if verdict not in VERDICTS:
        raise UnknownName.of("verdict", verdict, VERDICTS)
    if len(note) > _LONGEST_NOTE:
        raise UsageError(f"a note has at most {_LONGEST_NOTE} characters; this one has {len(note)}")


def _finding(verdict: str, finding: int | None, decision: str, *, saw_answer: bool) -> int | None:
    """What the reviewer found, made plain and checked against the verdict."""
    if finding not in (None, 0, 1):
        raise UsageError("a finding is 1 for disease or 0 for none")
    if verdict == "unsure":
        if finding is not None:
            raise UsageError("whoever is unsure gives no finding; agree or disagree instead")
        return None
    answer = _FINDING_OF.get(decision)
    if answer is None or not saw_answer:
        if finding is None:
            raise UsageError("say what you find (1 for disease, 0 for none): there is no answer to take it from")
        return finding
    meant = answer if verdict == "agree" else 1 - answer
    if finding is not None and finding != meant:
        raise UsageError(f"to {verdict} with '{decision}' means finding {meant}, not {finding}; change one of them")
    return meant


def _add(
    session: Session,
    row: ReadingRow,
    actor: Actor,
    kind: str,
    verdict: str,
    finding: int | None,
    note: str,
    saw_answer: bool,
) -> ReviewRow:
    before = [review for review in _current(session, row.id) if review.reviewer == actor.name and review.kind == kind]
    if before and before[-1].saw_answer and not saw_answer:
        raise Conflict("the answer was seen already; an opinion from before cannot be added now")
    found = ReviewRow(
        reading_id=row.id,
        reviewer=actor.name,
        kind=kind,
        verdict=verdict,
        finding=finding,
        note=note.replace("\0", ""),
        saw_answer=saw_answer,
        decision_then=row.decision,
        probability_then=row.probability,
        supersedes=before[-1].id if before else None,
    )
    session.add(found)
    session.flush()
    return found


def _reading(session: Session, reading_id: int) -> ReadingRow:
    # Locked: two reviewers at once must both count in what is concluded.
    row = session.get(ReadingRow, reading_id, with_for_update=True) if abs(reading_id) < 2**31 else None
    if row is None or row.deleted_at is not None:
        raise NotThere(f"there is no reading {reading_id}; it may have been deleted")
    return row


def _current(session: Session, reading_id: int) -> list[ReviewRow]:
    """The last opinion of each person of each kind."""
    rows = session.scalars(select(ReviewRow).where(ReviewRow.reading_id == reading_id).order_by(ReviewRow.id)).all()
    replaced = {row.supersedes for row in rows}
    return [row for row in rows if row.id not in replaced]


def _review(row: ReviewRow, *, current: bool = True) -> Review:
    return record_of(Review, row, current=current)
