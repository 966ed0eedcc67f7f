"""Opinions are kept, counted and settled; agreement is measured on them."""

import pytest

from secondread.errors import Conflict, NotAllowed, NotThere, UnknownName, UsageError
from secondread.service import Actor, Filter, Reviews, Service
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

BERT, CLEO = Actor("bert"), Actor("cleo")


def _reading(service: Service, number: int = 0, probability: float = 0.8, **more) -> int:
    sha = stage(service, image_bytes(number))
    return service.readings.add(draft(probability, **more), image_sha256=sha, name="a", actor=ANNA)[0].id


def _state(service: Service, reading: int) -> tuple[str, int | None, int]:
    found = service.readings.get(reading, actor=ANNA)
    return found.review_state, found.finding, int(found.triage)


def test_one_review_is_enough_by_default_and_a_later_one_counts_instead(service: Service) -> None:
    reading = _reading(service)
    first = service.reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
    assert _state(service, reading) == ("done", 1, 6)
    second = service.reviews.add(reading, verdict="disagree", note="a rib", actor=BERT, role="reviewer")
    assert _state(service, reading) == ("done", 0, 6)
    assert [(review.id, review.current) for review in service.reviews.of(reading)] == [
        (first.id, False),
        (second.id, True),
    ]
    assert second.supersedes == first.id
    assert service.worklist.count(Filter(reviewer="bert", reviewed=True)) == 1


def test_double_reading_waits_for_two_and_a_dispute_for_a_third(service: Service) -> None:
    reviews, reading = Reviews(service.database, needed=2), _reading(service)
    reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
    assert _state(service, reading) == ("waiting", None, 2)
    assert "another is needed" in service.readings.get(reading, actor=ANNA).reason
    reviews.add(reading, verdict="disagree", actor=CLEO, role="reviewer")
    assert _state(service, reading) == ("disputed", None, 1)
    with pytest.raises(NotAllowed, match="has not reviewed"):
        reviews.adjudicate(reading, finding=1, actor=CLEO, role="administrator")
    reviews.adjudicate(reading, finding=0, note="clear", actor=ANNA, role="administrator")
    assert _state(service, reading) == ("settled", 0, 6)
    with pytest.raises(Conflict, match="settled"):
        reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")


def test_who_is_unsure_asks_for_another(service: Service) -> None:
    reading = _reading(service)
    service.reviews.add(reading, verdict="unsure", actor=BERT, role="reviewer")
    assert _state(service, reading) == ("disputed", None, 1)


def test_an_opinion_from_before_the_answer_is_kept_and_does_not_count(service: Service) -> None:
    reading = _reading(service)
    service.reviews.add(reading, verdict="agree", finding=0, saw_answer=False, actor=BERT, role="reviewer")
    assert _state(service, reading)[0] == "open"
    service.reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
    before, after = service.reviews.of(reading)
    assert (before.saw_answer, before.finding, after.finding) == (False, 0, 1)
    with pytest.raises(Conflict):
        service.reviews.add(reading, verdict="agree", finding=0, saw_answer=False, actor=BERT, role="reviewer")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"verdict": "agree", "role": "reader"}, NotAllowed),
        ({"verdict": "maybe"}, UnknownName),
        ({"verdict": "agree", "finding": 0}, UsageError),
        ({"verdict": "unsure", "finding": 1}, UsageError),
        ({"verdict": "agree", "finding": 7}, UsageError),
        ({"verdict": "agree", "note": "x" * 5000}, UsageError),
        ({"verdict": "agree", "reading_id": 99}, NotThere),
        ({"verdict": "agree", "reading_id": 2**40}, NotThere),
    ],
)
def test_an_opinion_that_makes_no_sense_is_refused(service: Service, more: dict, error: type[Exception]) -> None:
    arguments = {"reading_id": _reading(service), "role": "reviewer", "actor": BERT} | more
    with pytest.raises(error):
        service.reviews.add(arguments.pop("reading_id"), **arguments)


def test_where_there_is_no_yes_or_no_the_reviewer_says_what_is_found(service: Service) -> None:
    reading = _reading(service, probability=0.4, low=0.2)
    with pytest.raises(UsageError, match="say what you find"):
        service.reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
    service.reviews.add(reading, verdict="agree", finding=1, actor=BERT, role="reviewer")
    assert _state(service, reading)[1] == 1


def test_the_table_compares_reader_and_reviewers_and_reviewers_with_each_other(service: Service) -> None:
    reviews = Reviews(service.database, needed=2)
    for number in range(6):
        reading = _reading(service, number, probability=0.8 if number < 3 else 0.2)
        reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
        reviews.add(reading, verdict="disagree" if number == 0 else "agree", actor=CLEO, role="reviewer")
    table = service.agreement.table()
    assert (table.concluded.n, table.concluded.raw) == (5, 1.0)
    assert table.by_reviewer["bert"].kappa == 1.0
    assert table.by_reviewer["cleo"].first_only == 1
    assert table.between["bert", "cleo"].n == 6
    assert service.agreement.table(Filter(task="fracture")).concluded.n == 0


def test_opinions_from_before_the_answer_are_counted_apart_and_each_task_on_its_own(service: Service) -> None:
    for number in range(12):
        probability = 0.8 if number < 6 else 0.2
        reading = _reading(service, number, probability, task="fracture" if number == 11 else "tuberculosis")
        service.reviews.add(reading, verdict="agree", finding=number % 2, saw_answer=False, actor=BERT, role="reviewer")
        service.reviews.add(reading, verdict="agree", finding=1, saw_answer=False, actor=CLEO, role="reviewer")
        service.reviews.add(reading, verdict="agree", actor=BERT, role="reviewer")
    tasks = service.agreement.table().tasks
    assert list(tasks) == ["fracture", "tuberculosis"]
    found = tasks["tuberculosis"]
    assert (found.blind.by_reviewer["bert"].n, found.after.by_reviewer["bert"].n) == (11, 11)
    assert found.after.by_reviewer["bert"].raw == 1.0, "who sees the answer goes along with it"
    assert found.blind.by_reviewer["bert"].raw == pytest.approx(6 / 11)
    assert found.blind.between["bert", "cleo"].n == 11
    assert found.after.between == {}
    assert found.blind.by_reviewer["cleo"].kappa == 0
    assert tasks["fracture"].blind.by_reviewer["bert"].too_few
