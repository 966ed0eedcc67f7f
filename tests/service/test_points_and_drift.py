"""A site's thresholds are bound to one bundle; drift is told from another share of the diseased."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from secondread.errors import Conflict, UnknownName, UsageError
from secondread.images import decode
from secondread.reading import Bundle, Reader, load_bundle
from secondread.service import Draft, ReadingRequest, Service, Window, answer_facts, operating_point_of
from secondread.service.points import OperatingPoints
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.stats.drift import Reference, Scores, score_drift
from secondread.stats.interval import Interval
from secondread.testing.phantoms import chest_phantom, encode
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

BUNDLE = load_bundle("tuberculosis/paper")


def _retrained() -> Bundle:
    """The same name with another hash."""
    return replace(BUNDLE, record=MappingProxyType({**BUNDLE.record, "sha256": "f" * 64}))


def test_a_choice_decides_until_it_is_taken_back_and_all_are_kept(service: Service) -> None:
    assert service.points.active(BUNDLE) is None
    first = service.points.choose(BUNDLE, threshold=0.3, prevalence=0.02, note="screening here", actor=ANNA)
    second = service.points.choose(BUNDLE, threshold=0.4, low=0.2, high=0.4, actor=ANNA)
    point = service.points.active_point(BUNDLE)
    assert point is not None
    assert (point.name, point.threshold, point.low) == (second.name, 0.4, 0.2)
    assert (point.sensitivity.n or 0) > 10
    back = service.points.revert(BUNDLE, actor=ANNA)
    assert back is not None
    assert back.id == first.id
    assert service.points.revert(BUNDLE, actor=ANNA) is None
    assert [found.id for found in service.points.history(BUNDLE)] == [second.id, first.id]
    with pytest.raises(Conflict):
        service.points.revert(BUNDLE, actor=ANNA)
    actions = [line["action"] for line in service.trail.lines()]
    assert actions == ["point.chosen"] * 2 + ["point.reverted"] * 2


def test_undoing_a_choice_does_not_bring_back_what_was_undone_before_it(service: Service) -> None:
    points = service.points
    first = points.choose(BUNDLE, threshold=0.3, actor=ANNA)
    points.revert(BUNDLE, actor=ANNA)
    points.choose(BUNDLE, threshold=0.4, actor=ANNA)
    assert points.revert(BUNDLE, actor=ANNA) is None, f"{first.name} was undone; none decided before the second"
    kept = points.choose(BUNDLE, threshold=0.5, actor=ANNA)
    points.choose(BUNDLE, threshold=0.6, actor=ANNA)
    points.revert(BUNDLE, actor=ANNA)
    points.choose(BUNDLE, threshold=0.7, actor=ANNA)
    back = points.revert(BUNDLE, actor=ANNA)
    assert back is not None
    assert back.id == kept.id


def test_a_choice_of_another_process_is_shown_at_once(service: Service) -> None:
    another = OperatingPoints(service.database)
    assert service.points.active(BUNDLE) is None
    chosen = another.choose(BUNDLE, threshold=0.3, actor=ANNA)
    assert service.points.active(BUNDLE) == chosen
    assert service.points.history(BUNDLE) == [chosen]
    another.revert(BUNDLE, actor=ANNA)
    assert service.points.active(BUNDLE) is None


def test_a_choice_does_not_hold_for_a_bundle_of_another_hash(service: Service) -> None:
    made = service.points.choose(BUNDLE, threshold=0.3, actor=ANNA)
    other = _retrained()
    assert service.points.active(other) is None
    left = service.points.left_behind(other)
    assert left is not None
    assert left.id == made.id
    with pytest.raises(Conflict, match="choose one for it"):
        operating_point_of(made, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.0},
        {"threshold": -0.1},
        {"threshold": 0.5, "low": 0.2},
        {"threshold": 0.5, "low": 0.6, "high": 0.5},
        {"threshold": 0.5, "prevalence": 2.0},
        {"threshold": 0.5, "split": "nowhere"},
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(service: Service, wrong: dict) -> None:
    with pytest.raises(UsageError):
        service.points.choose(BUNDLE, actor=ANNA, **wrong)


def test_a_real_reader_reads_at_the_sites_point_and_answers_again_from_the_store(service: Service) -> None:
    reader = Reader.load("tuberculosis/paper", gate=False)
    worker = service.worker(lambda task, bundle: reader)
    data = encode(chest_phantom(128, random_state=3), "PNG")
    asked = ReadingRequest("tuberculosis")
    first = service.intake.take([("film.png", data)], asked, actor=ANNA)
    worker.run_until_empty()
    (item,) = service.queue.items(first)
    reading = service.readings.get(item.reading_id, actor=ANNA)
    assert reading.probability == reader.read(data).probability
    assert decode(service.readings.heat_map(reading.id, actor=ANNA)).width == 128
    service.points.choose(BUNDLE, threshold=0.999999, actor=ANNA)
    second = service.intake.take([("film.png", data)], asked, actor=ANNA)
    third = service.intake.take([("film.png", data)], asked, actor=ANNA)
    worker.run_until_empty()
    at_site, again = (service.queue.items(batch)[0].reading_id for batch in (second, third))
    found = service.readings.get(at_site, actor=ANNA)
    assert (found.decision, found.operating_point) == ("negative", "site-1")
    assert at_site == again != reading.id
    assert len(list(service.trail.lines(action="reading.made"))) == 2
    assert len(list(service.trail.lines(action="reading.answered_from_store"))) == 1


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(0)
    return Reference(Scores.of(rng.beta(5, 2, 200)), Scores.of(rng.beta(2, 5, 400)), Interval(None))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 1.0])
def test_another_share_of_the_diseased_is_no_drift(reference: Reference, share: float) -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(40):
        sick = rng.random(500) < share
        scores = np.where(sick, rng.beta(5, 2, 500), rng.beta(2, 5, 500))
        found = score_drift(Scores.of(scores), reference, level=0.05)
        alarms += found.alarm
        assert found.share == pytest.approx(share, abs=0.2)
    assert alarms == 0


def test_scores_that_no_share_explains_raise_the_alarm(reference: Reference) -> None:
    rng = np.random.default_rng(2)
    for scores in (np.full(300, 0.5), rng.random(600) * 0.05, rng.beta(60, 60, 400)):
        assert score_drift(Scores.of(scores), reference, level=0.05).alarm
    assert score_drift(Scores.of([]), reference, level=0.05).distance is None


MOMENT = now()


def _add(service: Service, number: int, one: Draft, *, days: float, point: str) -> int:
    """A reading of the bundle at that point, so many days before."""
    image = stage(service, image_bytes(number))
    one = replace(one, bundle=BUNDLE.id, bundle_sha256=BUNDLE.sha256, operating_point=point)
    found, _ = service.readings.add(one, image_sha256=image, name="a", actor=ANNA)
    with service.database.begin() as session:
        moved = update(ReadingRow).where(ReadingRow.id == found.id)
        session.execute(moved.values(created_at=MOMENT - timedelta(days=days)))
    return found.id


def _miss(service: Service, numbers: range, *, point: str) -> None:
    """Diseased images that were called negative, and reviewed."""
    for number in numbers:
        missed = _add(service, number, draft(0.01), days=3, point=point)
        service.reviews.add(missed, verdict="disagree", finding=1, actor=ANNA, role="reviewer")


def _windows(service: Service, **more: Any) -> list[Window]:
    return service.drift.table(BUNDLE, **({"days": 7, "until": MOMENT} | more)).windows


def test_windows_tell_refusals_and_agreement_that_leave_the_evidence(service: Service) -> None:
    evidence = BUNDLE.evidence
    assert evidence is not None
    scores = [row[2] for row in evidence["predictions"]["test"] if row[2] is not None][::3]  # of every hospital
    point = BUNDLE.operating_point()
    for number, score in enumerate(scores[:40]):
        _add(service, number, draft(score, threshold=point.threshold), days=10, point=point.name)
    for number in range(60, 90):
        _add(service, number, draft(refusal="unlike_training"), days=3, point=point.name)
    _miss(service, range(100, 130), point=point.name)
    calm, alarmed = _windows(service, n_windows=2)
    assert (calm.n, calm.alarms) == (40, ())
    assert calm.sensitivity.seen_below is None, "nobody reviewed anything"
    assert set(alarmed.alarms) >= {"refusals", "sensitivity"}
    assert alarmed.sensitivity.since == 1
    with pytest.raises(UsageError, match="no evidence"):
        _windows(service, split="nowhere")
    with pytest.raises(UnknownName, match="evidence, start"):
        _windows(service, against="nothing")


def test_drift_follows_the_point_that_decides(service: Service) -> None:
    chosen = service.points.choose(BUNDLE, threshold=0.3, actor=ANNA)
    _miss(service, range(20), point=chosen.name)
    table = service.drift.table(BUNDLE, days=7, n_windows=1, until=MOMENT)
    (window,) = table.windows
    assert (window.sensitivity.hits, window.sensitivity.n) == (0, 20)
    assert "sensitivity" in window.alarms
    assert window.sensitivity.evidence_value == pytest.approx(chosen.measured["sensitivity"]["value"], abs=1e-6)
    assert (table.sensitivity.n, table.sensitivity.held_against) == (20, window.sensitivity.evidence_value)
    assert table.specificity.seen_below is None, "no healthy image was reviewed: too few to say"
    service.points.revert(BUNDLE, actor=ANNA)
    (window,) = _windows(service, n_windows=1)
    assert window.sensitivity.n == 0


def _review(service: Service, numbers: range, *, days: float, found: int, point: str) -> None:
    """Diseased images, the first `found` of which were called positive; reviewed."""
    for at, number in enumerate(numbers):
        positive = at < found
        one = _add(service, number, draft(0.9 if positive else 0.01), days=days, point=point)
        service.reviews.add(one, verdict="agree" if positive else "disagree", finding=1, actor=ANNA, role="reviewer")


def test_a_place_that_began_lower_than_the_evidence_is_held_against_its_own_first_weeks(service: Service) -> None:
    point = service.points.choose(BUNDLE, threshold=0.02, actor=ANNA).name
    _review(service, range(60), days=60, found=36, point=point)
    _review(service, range(100, 140), days=10, found=24, point=point)
    _review(service, range(200, 240), days=3, found=2, point=point)
    calm, fallen = _windows(service, n_windows=2, against="start")
    assert calm.sensitivity.evidence_value == pytest.approx(0.6)
    assert (calm.sensitivity.alarm, fallen.sensitivity.alarm) == (False, True)
    assert "sensitivity" in _windows(service, n_windows=2)[0].alarms, "beside the evidence it is off from the start"
    assert len(_windows(service, n_windows=20, against="start")) == 4, "the first 28 days are no windows of their own"


def test_films_of_one_patient_are_one_in_drift_and_in_agreement(service: Service) -> None:
    _miss(service, range(30), point=BUNDLE.operating_point().name)
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(patient="one person"))
    (window,) = _windows(service, n_windows=1)
    assert (window.sensitivity.n, window.sensitivity.n_groups) == (30, 1)
    assert not window.sensitivity.alarm
    concluded = service.agreement.table().tasks["tuberculosis"].concluded
    assert (concluded.n, concluded.n_groups, concluded.too_few) == (30, 1, True)


def test_windows_stand_still_while_one_looks(service: Service) -> None:
    """Each is the same whenever one looks, the last one is still going on and its scores raise no alarm yet."""
    for number in range(150):
        _add(service, number, draft(0.5), days=0, point=BUNDLE.operating_point().name)
    last = service.drift.table(BUNDLE, days=7, n_windows=2).windows[-1]
    assert last.since.weekday() == last.until.weekday() == 0
    assert last.since <= MOMENT < last.until
    assert "scores" not in last.alarms
    assert "scores" in _windows(service, n_windows=1, until=MOMENT + timedelta(seconds=1))[0].alarms


def test_a_choice_is_measured_on_the_images_reviewed_here_or_says_that_it_looked(service: Service) -> None:
    point = BUNDLE.operating_point().name
    with pytest.raises(UsageError, match="0 diseased and 0 healthy images"):
        service.points.choose(BUNDLE, threshold=0.3, split="site", actor=ANNA)
    _review(service, range(12), days=3, found=9, point=point)
    for number in range(100, 115):
        one = _add(service, number, draft(0.1), days=3, point=point)
        service.reviews.add(one, verdict="agree", actor=ANNA, role="reviewer")
    looked = service.points.choose(BUNDLE, threshold=0.3, actor=ANNA)
    assert (looked.measured_on, looked.independent) == ("test", False)
    here = service.points.choose(BUNDLE, threshold=0.3, split="site", actor=ANNA)
    assert (here.measured_on, here.independent) == ("site", True)
    assert here.measured["sensitivity"]["value"] == 0.75
    assert here.measured["specificity"]["n"] == 15
    active = service.points.active_point(BUNDLE)
    assert active is not None
    assert active.data == "27 images reviewed at this site"
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(patient="one person"))
    again = service.points.choose(BUNDLE, threshold=0.3, split="site", actor=ANNA)
    assert again.measured["sensitivity"]["n_groups"] == 1


def test_the_answer_of_a_chosen_threshold_says_that_its_evidence_was_looked_at(service: Service) -> None:
    point = service.points.choose(BUNDLE, threshold=0.3, actor=ANNA)
    asked = replace(draft(0.9), bundle=BUNDLE.id, bundle_sha256=BUNDLE.sha256, threshold=0.3)
    own, chosen = (
        answer_facts(service, replace(asked, operating_point=name)).limits
        for name in (BUNDLE.operating_point().name, point.name)
    )
    assert chosen[1:] == own
    assert "too good" in chosen[0]
