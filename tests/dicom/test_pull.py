"""A round of asking an archive: each object once, through kills and late arrivals; bounded; a line in the trail."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from pydicom.dataset import Dataset

from secondread.dicom.archive import NodeArchive, Take
from secondread.dicom.arrivals import arrivals_of
from secondread.dicom.destinations import Destination
from secondread.dicom.pull import Puller, pull_settings
from secondread.dicom.pull_filter import PullFilter
from secondread.dicom.rules import load_rules
from secondread.errors import Busy, CannotOpen, Conflict, UsageError
from secondread.service import LOCAL, Service
from tests.dicom.scu import radiograph
from tests.dicom.slices import bytes_of
from tests.dicom.test_keeping import person_of

PLACE = Destination("PACS", "127.0.0.1", 104)
TODAY = date(2026, 3, 10)


@pytest.fixture(params=[""])
def database_url(request: pytest.FixtureRequest) -> str:
    """What an archive is asked is the same with every database; test_corrections has both."""
    return str(request.param)


class Kept:
    """An archive in memory. broken: raised when an object of it is fetched."""

    name = "PACS"

    def __init__(self, *objects: Dataset):
        self.objects = list(objects)
        self.given: list[str] = []
        self.asked: list[str] = []
        self.broken: dict[str, BaseException] = {}
        self.closed = 0

    def studies(self, query: dict[str, str]) -> Iterator[str]:
        """By date and modality."""
        self.asked.append(query["StudyDate"])
        fit = [one for one in self.objects if one.StudyDate == query["StudyDate"]]
        fit = [one for one in fit if query.get("ModalitiesInStudy") in (None, one.Modality)]
        yield from dict.fromkeys(str(one.StudyInstanceUID) for one in fit)

    def series(self, study: str, query: dict[str, str]) -> Iterator[dict[str, str]]:
        """All of it."""
        found = {str(one.SeriesInstanceUID): one.Modality for one in self.objects if one.StudyInstanceUID == study}
        for uid, modality in found.items():
            yield {"SeriesInstanceUID": uid, "Modality": modality}

    def instances(self, study: str, series: str) -> dict[str, str]:
        """All of it."""
        return {str(one.SOPInstanceUID): "" for one in self.objects if one.SeriesInstanceUID == series}

    def fetch(self, study: str, series: str, instances: dict[str, str], take: Take) -> Counter[str]:
        """One after the other."""
        counts: Counter[str] = Counter()
        for uid in instances:
            if uid in self.broken:
                raise self.broken.pop(uid)
            self.given.append(uid)
            counts[take(bytes_of(next(one for one in self.objects if one.SOPInstanceUID == uid))).counted] += 1
        return counts

    def close(self) -> None:
        """Noted."""
        self.closed += 1


def film(number: int, day: int = 10, **facts: Any) -> Dataset:
    own = {
        "StudyInstanceUID": f"1.2.3.{number}",
        "SeriesInstanceUID": f"1.2.4.{number}",
        "StudyDate": f"202603{day:02}",
    }
    return radiograph(number, size=(64, 64), **(own | facts))


def puller(service: Service, archive: Kept, only: str = "", *, waiting: int = 100, days: int = 2) -> Puller:
    arrivals = arrivals_of(service, load_rules())
    return Puller(service, arrivals, archive, PLACE, PullFilter.parse(only), days=days, waiting=waiting)


def mark(service: Service) -> date | None:
    [one] = service.dicom_pulls.all()
    return one.mark


def test_every_object_comes_once_and_what_came_late_too(service: Service) -> None:
    archive = Kept(*(film(number, day=number) for number in (6, 8, 9, 10)))
    found = puller(service, archive).round(since=date(2026, 3, 5), until=TODAY)
    assert (found.fetched, found.counts["studies"], mark(service)) == (4, 4, TODAY)
    archive.objects += [film(20, day=9), film(21, day=7)]  # the second is too late: before the days that are looked at
    archive.asked.clear()
    again = puller(service, archive).round(until=TODAY)
    assert (again.fetched, again.counts["known"]) == (1, 3)
    assert archive.asked == ["20260308", "20260309", "20260310"]
    assert len(set(archive.given)) == len(archive.given) == 5
    assert [one.fetched for one in service.dicom_pulls.all()] == [5]
    assert archive.closed == 2


def test_a_round_that_was_killed_is_gone_on_with_where_it_was(service: Service) -> None:
    archive = Kept(*(film(number, day=day) for number, day in enumerate((6, 7, 7, 8))))
    archive.broken[archive.objects[2].SOPInstanceUID] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        puller(service, archive).round(since=date(2026, 3, 6), until=TODAY)
    assert mark(service) == date(2026, 3, 6)
    found = puller(service, archive, days=0).round(until=TODAY)
    assert (found.since, found.fetched, mark(service)) == (date(2026, 3, 6), 2, TODAY)
    assert len(set(archive.given)) == len(archive.given) == 4


def test_of_two_processes_one_asks(service: Service) -> None:
    held = service.dicom_pulls.begin(str(PLACE), "")
    assert held is not None
    with pytest.raises(Conflict, match="another process"):
        puller(service, Kept(film(1))).round(since=TODAY, until=TODAY)
    service.dicom_pulls.end(held)
    assert puller(service, Kept(film(1))).round(since=TODAY, until=TODAY).fetched == 1
    assert not service.dicom_pulls.note(held, mark=TODAY)  # who was held for dead moves no mark any more


def test_what_is_not_asked_for_is_not_fetched_and_rules_decide_of_the_rest(service: Service) -> None:
    archive = Kept(film(1), film(2, Modality="CT"), film(3, Manufacturer="secondread"))
    found = puller(service, archive, "Modality=CR").round(since=TODAY, until=TODAY)
    assert (found.fetched, found.counts["ignored"]) == (1, 1)
    assert len(archive.given) == 2
    assert puller(service, archive, "Modality=CR").round(since=TODAY, until=TODAY).counts["known"] == 2  # nor again


def test_what_was_erased_here_is_not_fetched_again(service: Service) -> None:
    archive = Kept(film(1))
    puller(service, archive).round(since=TODAY, until=TODAY)
    [row] = service.dicom.latest()
    service.erasure.erase(patient=person_of(service, row.study_uid), actor=LOCAL)
    assert puller(service, archive).round(since=TODAY, until=TODAY).fetched == 0
    assert len(archive.given) == 1


def test_no_more_are_fetched_while_too_many_wait(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondread.dicom.pull._PATIENCE", 0.0)
    monkeypatch.setattr("secondread.dicom.pull._LOOK_EVERY", 0.0)
    archive = Kept(*(film(number) for number in range(5)))
    with pytest.raises(Busy, match="wait to be read"):
        puller(service, archive, waiting=2).round(since=TODAY, until=TODAY)
    assert len(archive.given) == 2
    assert mark(service) is None
    [one] = service.dicom_pulls.all()
    assert "wait to be read" in one.last_error


def test_a_round_is_a_line_of_the_trail_that_names_nobody(service: Service) -> None:
    archive = Kept(film(1), film(2))
    puller(service, archive).round(since=TODAY, until=TODAY)
    puller(service, archive).round(since=TODAY, until=TODAY)  # nothing new: no line
    archive.broken[archive.objects[0].SOPInstanceUID] = CannotOpen("PACS does not answer")
    archive.objects.append(film(3))
    archive.broken[archive.objects[2].SOPInstanceUID] = CannotOpen("PACS does not answer")
    with pytest.raises(CannotOpen):
        puller(service, archive).round(since=TODAY, until=TODAY)
    lines = list(service.trail.lines(action="dicom.pulled"))
    assert [json.loads(line["detail"]).get("stored", 0) for line in lines] == [2, 0]
    assert json.loads(lines[1]["detail"])["error"] == "PACS does not answer"
    assert {line["subject"] for line in lines} == {f"archive:{PLACE}"}
    assert not any(word in str(lines) for word in ("Okonkwo", "HOSP", "ACC-", "1.2.3."))


# pynetdicom lets go of a socket that could not be connected without closing it
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_does_not_answer_is_said_with_what_to_look_at(service: Service) -> None:
    archive = NodeArchive(Destination("PACS", "127.0.0.1", 1), own_aet="SECONDREAD")
    with pytest.raises(CannotOpen, match="does not answer; look at address, port and AE title"):
        list(archive.studies({"StudyDate": "20260310"}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Modality", "KEYWORD=VALUE"),
        ("StudyDate=20260101", "--since"),
        ("Modalty=CR", "no keyword"),
        ("Modality=", "KEYWORD=VALUE"),
    ],
)
def test_a_filter_that_is_none_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        pull_settings({"DICOM_PULL_FROM": "PACS@127.0.0.1:104", "DICOM_PULL_FILTER": text})


def test_a_filter_asks_of_study_or_series_and_for_each_modality() -> None:
    only = PullFilter.parse("Modality=CR,dx & StudyDescription=*THORAX*&BodyPartExamined=CHEST")
    assert [one["ModalitiesInStudy"] for one in only.study_queries(TODAY)] == ["CR", "DX"]
    assert all(one["StudyDescription"] == "*THORAX*" for one in only.study_queries(TODAY))
    assert dict(only.series) == {"BodyPartExamined": "CHEST"}
    assert PullFilter.parse(str(only)) == only
    assert only.takes({"Modality": "DX"})
    assert only.takes({})
    assert not only.takes({"Modality": "CT"})
    assert PullFilter.parse("").study_queries(TODAY) == [{"StudyDate": "20260310"}]
