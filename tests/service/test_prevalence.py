"""How common disease is here, and what an answer means at it."""

from dataclasses import replace

import pytest

from secondread.errors import Conflict, UnknownName, UsageError
from secondread.reading import load_bundle
from secondread.service import Draft, Service
from secondread.stats.prevalence import at_prevalence
from tests.service.conftest import ANNA
from tests.service.stubs import draft

BUNDLE = load_bundle("tuberculosis/best")
POINT = BUNDLE.operating_point()


def _answer(probability: float, **more: object) -> Draft:
    own = {"bundle": BUNDLE.id, "bundle_sha256": BUNDLE.sha256, "threshold": POINT.threshold, "low": POINT.low}
    decision = "positive" if probability > POINT.threshold else "negative"
    return replace(draft(probability), decision=decision, **(own | more))


def test_what_is_set_counts_until_it_is_taken_back_and_all_is_kept(service: Service) -> None:
    assert service.prevalences.active("tuberculosis") is None
    service.prevalences.choose("tuberculosis", prevalence=0.02, note="screening", actor=ANNA)
    service.prevalences.choose("tuberculosis", prevalence=0.05, actor=ANNA)
    assert service.prevalences.counting() == {"tuberculosis": 0.05}
    assert [one.prevalence for one in service.prevalences.history("tuberculosis")] == [0.05, 0.02]
    service.prevalences.clear("tuberculosis", actor=ANNA)
    assert service.prevalences.counting() == {}
    with pytest.raises(Conflict, match="no prevalence is set"):
        service.prevalences.clear("tuberculosis", actor=ANNA)
    actions = [line["action"] for line in service.trail.lines()]
    assert actions == ["prevalence.chosen"] * 2 + ["prevalence.cleared"]


def test_what_is_no_share_or_no_task_is_refused(service: Service) -> None:
    with pytest.raises(UsageError, match="is no share"):
        service.prevalences.choose("tuberculosis", prevalence=2.0, actor=ANNA)
    with pytest.raises(UnknownName):
        service.prevalences.choose("scurvy", prevalence=0.2, actor=ANNA)


def test_an_answer_means_less_where_disease_is_rarer(service: Service) -> None:
    assert service.prevalences.meaning_of(_answer(0.82)).local is None, "nobody has said how common it is here"
    service.prevalences.choose("tuberculosis", prevalence=0.02, actor=ANNA)
    local = service.prevalences.meaning_of(_answer(0.82)).local
    assert local is not None
    share = (POINT.sensitivity.n or 0) / ((POINT.sensitivity.n or 0) + (POINT.specificity.n or 0))
    assert local.prevalence == 0.02
    assert local.probability == pytest.approx(at_prevalence(0.82, calibrated_at=share, prevalence=0.02), abs=1e-6)
    assert local.probability < 0.2


def test_a_likelihood_ratio_is_that_of_the_test_split_at_this_point(service: Service) -> None:
    evidence = BUNDLE.evidence
    assert evidence is not None
    (row,) = [row for row in evidence["results"]["test"]["thresholds"]["rows"] if row["threshold"] == POINT.threshold]
    for probability, key in ((0.9, "lr_positive"), (0.01, "lr_negative")):
        found = service.prevalences.meaning_of(_answer(probability)).to_dict()
        assert found["likelihood_ratio"] == pytest.approx(row[key]["value"], abs=1e-3)
        measured = found["likelihood_ratio_measured"]
        assert measured["low"] == pytest.approx(row[key]["low"], abs=0.01)
        assert measured["n_positive"] + measured["n_negative"] == evidence["results"]["test"]["n"]


@pytest.mark.parametrize(
    "answer",
    [
        draft(refusal="blank"),
        draft(0.8),  # of a bundle that is not here
        _answer(0.8, bundle_sha256="f" * 64),  # of an earlier training
        _answer(0.8, frames=({"frame": 1, "score": 80, "decision": "positive", "refusal": None},)),
    ],
)
def test_where_nothing_was_measured_nothing_is_said(service: Service, answer: Draft) -> None:
    service.prevalences.choose("tuberculosis", prevalence=0.02, actor=ANNA)
    assert service.prevalences.meaning_of(answer).to_dict() == {
        "likelihood_ratio": None,
        "likelihood_ratio_measured": None,
        "local": None,
    }
