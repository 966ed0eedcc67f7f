"""Two people whose objects came under one number of a study or a series: neither gets the other's result or name."""

from typing import Any

import pytest

pytest.importorskip("highdicom", reason="highdicom is not installed: the extra 'dicom' brings it")

from sqlalchemy import select

from secondread.dicom.results import make
from secondread.dicom.series import read_next
from secondread.errors import NotThere
from secondread.service import LOCAL, NODE, Service, Studies
from secondread.service.dicom_tables import DicomIdentityRow, DicomSeriesRow
from secondread.service.tables import ImageRow
from tests.dicom.answered import WHO, answer, answered, sent
from tests.dicom.slices import mr_slice, take
from tests.dicom.test_series import make_due, readings
from tests.several import bright_reader

OTHER = {"PatientID": "P-9", "PatientName": "Roe^Richard", "SOPInstanceUID": "1.2.3.4", "AccessionNumber": "ACC-9"}


def whose(service: Service, number: int) -> tuple[Any, ...]:
    """As a result of this reading says it."""
    ds = make(service, number, "sr", actor=NODE, identified=True)
    return ds.PatientID, ds.PatientName, ds.AccessionNumber, ds.StudyInstanceUID


def patient_of(service: Service, number: int) -> str:
    """The pseudonym under which an erasure finds the person of a reading."""
    sha256 = service.readings.get(number, actor=LOCAL).image_sha256
    with service.database.reading() as session:
        return session.get_one(ImageRow, sha256).patient


@pytest.mark.parametrize("other", [OTHER, OTHER | {"PatientID": ""}])
def test_of_two_people_under_one_study_each_result_is_its_own_persons(service: Service, other: dict[str, str]) -> None:
    first = answered(service, answer())
    second = answered(service, answer(), data=sent(**other))
    study = WHO["StudyInstanceUID"]
    assert whose(service, first) == (WHO["PatientID"], WHO["PatientName"], WHO["AccessionNumber"], study)
    assert whose(service, second) == (other["PatientID"], "Roe^Richard", "ACC-9", study)


def test_two_people_without_a_number_or_a_study_are_two(service: Service) -> None:
    first = answered(service, answer(), data=sent(PatientID=""))
    second = answered(service, answer(), data=sent(**OTHER | {"PatientID": ""}))
    assert whose(service, first)[:2] == ("", WHO["PatientName"])
    assert whose(service, second)[:2] == ("", "Roe^Richard")


def test_a_name_that_was_corrected_holds_for_what_came_before_it(service: Service) -> None:
    first = answered(service, answer())
    answered(service, answer(), data=sent(PatientName="Doe^Janet", SOPInstanceUID="1.2.3.4"))
    assert whose(service, first)[:2] == (WHO["PatientID"], "Doe^Janet")


def test_of_two_people_under_one_study_no_name_is_shown(service: Service) -> None:
    numbers = [answered(service, answer()), answered(service, answer(), data=sent(**OTHER))]
    told = Studies(service.database, service.identities, shown="name").of(numbers, actor=LOCAL)
    assert not any("Doe" in str(one) or "Roe" in str(one) for one in told.values())


def test_a_reading_of_another_under_the_same_study_is_no_view_of_it(service: Service) -> None:
    mine = answered(service, answer())
    again = answered(service, answer(), data=sent(SOPInstanceUID="1.2.3.5", InstanceNumber=2))
    answered(service, answer(), data=sent(**OTHER))
    around = service.studies.around(service.readings.get(mine, actor=LOCAL), actor=LOCAL)
    assert [one.id for one in around.views] == [mine, again]


def test_an_erased_persons_name_goes_where_the_study_is_anothers_too(service: Service) -> None:
    first = answered(service, answer())
    second = answered(service, answer(), data=sent(**OTHER))
    service.erasure.erase(patient=patient_of(service, second), actor=LOCAL)
    with service.database.reading() as session:
        assert session.scalars(select(DicomIdentityRow)).all() == []
    with pytest.raises(NotThere):
        whose(service, second)
    assert whose(service, first)[0] == WHO["PatientID"]


@pytest.mark.parametrize(
    ("facts", "why"),
    [({"PatientID": "HOSP-2"}, "several people"), ({"StudyInstanceUID": "1.2.3.99"}, "several studies")],
)
def test_slices_of_two_under_one_series_are_not_read_as_one(service: Service, facts: dict[str, str], why: str) -> None:
    take(service, [mr_slice(number, **(facts if number > 3 else {})) for number in range(1, 7)])
    make_due(service)
    desk = service.desk(lambda *_: bright_reader("brain-tumour/best"))
    assert read_next(service, desk, actor=NODE) is None
    with service.database.reading() as session:
        row = session.scalars(select(DicomSeriesRow)).one()
    assert row.state == "refused"
    assert why in row.reason
    assert readings(service) == []
    assert {one.state for one in service.dicom.latest()} == {"failed"}
