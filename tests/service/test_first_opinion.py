"""Opinion first: an answer that was not shown cannot have swayed anyone, and the store knows to whom it was shown."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from secondread.errors import Conflict, NotAllowed, UsageError
from secondread.service import Actor, Filter, ReadingDesk, ReadingRequest, Service, StoredReading, report_facts
from secondread.service.tables import ShownRow
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage
from tests.several import bright_reader, raster_of

BERT = Actor("bert", opinion_first=True)
QUEUE = Actor("clinic", "worker", scopes=frozenset({"read", "write"}))
TELLING = (
    "probability", "decision", "decision_text", "operating_point", "threshold", "low", "high", "heat_map", "warnings",
    "finding", "score", "band",
)  # fmt: skip


def _reading(service: Service, number: int = 0, probability: float = 0.8) -> int:
    sha = stage(service, image_bytes(number))
    return service.readings.add(draft(probability), image_sha256=sha, name="a", actor=QUEUE)[0].id


def _tells(reading: StoredReading) -> list[str]:
    return [name for name in TELLING if getattr(reading, name)]


def test_the_answer_is_withheld_until_the_opinion_is_given_and_the_opinion_counts_as_blind(service: Service) -> None:
    one = _reading(service)
    hidden = service.readings.get(one, actor=BERT)
    assert (hidden.hidden, _tells(hidden)) == (True, [])
    assert "comes first" in hidden.reason
    row = hidden.to_dict()
    assert (row["hidden"], row["decision"], row["refusal"]) == (True, None, None)
    assert row["facts"]["width"] == 16, "of the image all is told"
    with pytest.raises(NotAllowed, match="comes first"):
        service.readings.heat_map(one, actor=BERT)
    with pytest.raises(NotAllowed, match="comes first"):
        report_facts(service, one, actor=BERT)
    assert [found.hidden for found in service.worklist.page(order="newest", actor=BERT).rows] == [True]
    assert [found.hidden for found in service.worklist.export(actor=BERT)] == [True]
    with pytest.raises(UsageError, match="say what you find"):
        service.reviews.add(one, verdict="agree", actor=BERT, role="reviewer")
    given = service.reviews.add(one, verdict="agree", finding=0, actor=BERT, role="reviewer")
    assert given.saw_answer is False, "the store knows that it was not shown, whatever is claimed"
    assert not service.readings.get(one, actor=BERT).hidden
    seen = service.reviews.add(one, verdict="agree", actor=BERT, role="reviewer")
    assert (seen.saw_answer, seen.finding) == (True, 1)
    told = [line for line in service.trail.lines() if line["action"] == "review.made"]
    assert [json.loads(line["detail"])["saw_answer"] for line in told] == [False, True]
    assert json.loads(next(service.trail.lines(action="reading.seen"))["detail"]) == {"answer": "withheld"}


@pytest.mark.parametrize("how", ["get", "page", "export", "heat_map"])
def test_an_answer_that_was_shown_makes_no_opinion_a_first_one(service: Service, how: str) -> None:
    one, open_eyed = _reading(service), replace(BERT, opinion_first=False)
    if how == "get":
        service.readings.get(one, actor=open_eyed)
    elif how == "page":
        service.worklist.page(actor=open_eyed)
    elif how == "export":
        list(service.worklist.export(actor=open_eyed))
    else:
        service.readings.heat_map(one, actor=open_eyed)
    assert not service.readings.get(one, actor=BERT).hidden, "to hide what was seen would be a pretence"
    with pytest.raises(Conflict, match="was shown to you on"):
        service.reviews.add(one, verdict="agree", finding=1, saw_answer=False, actor=BERT, role="reviewer")


def test_whoever_sends_an_image_and_gets_its_answer_has_seen_it(service: Service) -> None:
    sha = stage(service, image_bytes(1))
    made = service.readings.add(draft(), image_sha256=sha, name="a", actor=BERT)[0]
    assert not service.readings.get(made.id, actor=BERT).hidden


def test_looking_at_the_image_alone_shows_no_answer(service: Service) -> None:
    one = _reading(service)
    service.readings.get(one, actor=ANNA, answer=False)
    service.readings.image(one, actor=ANNA)
    service.readings.thumbnails([one], actor=ANNA)
    assert service.reviews.add(one, verdict="agree", finding=1, saw_answer=False, actor=ANNA, role="reviewer")
    with service.database.reading() as session:
        assert session.scalars(select(ShownRow)).all() == []


@pytest.mark.parametrize("asked", [{"order": "triage"}, {"order": "highest"}, {"only": Filter(decision="positive")}])
def test_no_order_and_no_filter_tells_what_is_withheld(service: Service, asked: dict) -> None:
    _reading(service)
    asked = {"order": "newest"} | asked
    with pytest.raises(UsageError, match="your own opinion comes first"):
        service.worklist.page(**asked, actor=BERT)
    with pytest.raises(UsageError, match="your own opinion comes first"):
        service.worklist.export(**asked, actor=BERT)


def test_what_needs_no_opinion_is_shown(service: Service) -> None:
    sha = stage(service, image_bytes(3))
    refused = service.readings.add(draft(refusal="blank"), image_sha256=sha, name="a", actor=QUEUE)[0].id
    done = _reading(service, 4)
    service.reviews.add(done, verdict="agree", actor=ANNA, role="reviewer")
    reader = replace(BERT, name="dora", scopes=frozenset({"read", "write"}))
    waiting = _reading(service, 5)
    assert not service.readings.get(refused, actor=BERT).hidden
    assert not service.readings.get(done, actor=BERT).hidden
    assert not service.readings.get(waiting, actor=reader).hidden, "whose opinion does not count owes none"
    with service.database.reading() as session:
        assert {row.person for row in session.scalars(select(ShownRow))} == {"bert"}


def test_of_a_file_of_several_frames_no_frame_is_told(service: Service) -> None:
    frames = tuple(
        {"frame": at, "probability": 0.1 * at, "score": 10 * at, "decision": "negative", "refusal": None}
        for at in (1, 2, 3)
    )
    sha = stage(service, image_bytes(6))
    facts = {"width": 16, "height": 16, "frame": 2, "n_frames": 3}
    read = replace(draft(0.3), frame=2, frames=frames, facts=facts)
    made = service.readings.add(read, image_sha256=sha, name="a", actor=QUEUE)[0]
    hidden = service.readings.get(made.id, actor=BERT)
    assert [one["frame"] for one in hidden.frames] == [1, 2, 3]
    assert {one["score"] for one in hidden.frames} == {None}
    assert (hidden.frame, hidden.facts["frame"]) == (0, 0)


def _pages(service: Service) -> tuple[str, list[bytes]]:
    """A file of three pages in the store, and the small picture of each."""
    sha = stage(service, raster_of(np.stack([np.full((16, 16), level, np.uint8) for level in (30, 90, 200)]), "TIFF"))
    return sha, [service.pictures.thumbnail(sha, frame) for frame in range(3)]


def test_the_small_picture_tells_no_frame_before_the_opinion(service: Service) -> None:
    sha, small = _pages(service)
    frames = tuple(
        {"frame": at, "probability": 0.1 * at, "score": 10 * at, "decision": "negative", "refusal": None}
        for at in (1, 2, 3)
    )
    made = service.readings.add(replace(draft(0.3), frame=2, frames=frames), image_sha256=sha, name="a", actor=QUEUE)[0]
    assert service.readings.thumbnails([made.id], actor=BERT) == {made.id: small[0]}
    service.reviews.add(made.id, verdict="agree", finding=0, actor=BERT, role="reviewer")
    assert service.readings.thumbnails([made.id], actor=BERT) == {made.id: small[2]}


def test_of_one_page_that_was_asked_for_that_page_is_shown(service: Service) -> None:
    """An opinion on another page than the one that was read would be worse than none."""
    sha, small = _pages(service)
    facts = {"width": 16, "height": 16, "frame": 1, "n_frames": 3}
    made = service.readings.add(draft(0.3, frame=1, facts=facts), image_sha256=sha, name="a", actor=QUEUE)[0]
    hidden = service.readings.get(made.id, actor=BERT)
    assert (hidden.hidden, hidden.frame, hidden.facts["frame"]) == (True, 1, 1)
    assert service.readings.thumbnails([made.id], actor=BERT) == {made.id: small[1]}


@pytest.fixture
def both(service: Service) -> tuple[str, int, int, ReadingDesk]:
    """A slice that was read as positive, and for the question that follows; neither was shown to anybody."""
    sha = stage(service, image_bytes(7))
    found = {"task": "brain-tumour", "bundle": "brain-tumour/stub@aaaa", "bundle_sha256": "a" * 64}
    first = service.readings.add(draft(0.9, **found), image_sha256=sha, name="a", actor=QUEUE)[0].id
    after = {"task": "tumour-malignancy", "bundle": "tumour-malignancy/stub@cccc", "bundle_sha256": "c" * 64}
    second = service.readings.add(draft(0.7, **after), image_sha256=sha, name="a", actor=QUEUE)[0].id
    reader = bright_reader("tumour-malignancy/best")
    return sha, first, second, service.desk(lambda *_: reader)


def test_a_question_that_follows_tells_nothing_of_the_first_answer_before_the_opinion(
    service: Service, both: tuple[str, int, int, ReadingDesk]
) -> None:
    _, first, second, desk = both
    assert service.readings.get(second, actor=BERT).hidden, "that it was asked says that the first answer was no 'no'"
    found = desk.answer(image_bytes(7), ReadingRequest("tumour-malignancy"), actor=BERT)
    assert (found.outcome.refusal_code, found.stored, found.outcome.probability) == ("opinion_first", None, None)
    with pytest.raises(NotAllowed, match="comes first"):
        service.readings.heat_map(second, actor=BERT)
    assert desk.answer(image_bytes(7), ReadingRequest("tumour-malignancy"), actor=ANNA).stored is not None
    service.reviews.add(first, verdict="agree", finding=1, actor=BERT, role="reviewer")
    assert desk.answer(image_bytes(7), ReadingRequest("tumour-malignancy"), actor=BERT).outcome.refusal_code != (
        "opinion_first"
    )
    service.reviews.add(second, verdict="agree", finding=1, actor=BERT, role="reviewer")
    assert not service.readings.get(second, actor=BERT).hidden


def test_that_a_question_was_not_asked_is_withheld_too(service: Service) -> None:
    sha = stage(service, image_bytes(8))
    found = {"task": "brain-tumour", "bundle_sha256": "a" * 64}
    first = service.readings.add(draft(0.1, **found), image_sha256=sha, name="a", actor=QUEUE)[0].id
    told = replace(draft(refusal="not_asked"), task="tumour-malignancy")
    second = service.readings.add(told, image_sha256=sha, name="a", actor=QUEUE)[0].id
    hidden = service.readings.get(second, actor=BERT)
    assert (hidden.hidden, hidden.refusal_code, hidden.refusal_message) == (True, "", "")
    service.reviews.add(first, verdict="agree", finding=0, actor=BERT, role="reviewer")
    assert service.readings.get(second, actor=BERT).refusal_code == "not_asked"
