"""Parts by sex, band of age and device: of whom a header says so, without rates where few were reviewed."""

from pydicom.dataset import Dataset

from secondread.evidence.whom import header_facts
from secondread.images.subject import AGE_BAND, SEX, of_whom
from secondread.reading import load_bundle
from secondread.service import Service
from secondread.service.tables import ImageRow, ReadingRow
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

BUNDLE = load_bundle("tuberculosis/paper")


def test_a_header_says_sex_and_a_band_of_age_and_no_more():
    ds = Dataset()
    assert of_whom(ds) == ()
    ds.PatientSex, ds.PatientAge, ds.PatientID = "F", "047Y", "12345"
    assert dict(of_whom(ds)) == {SEX: "F", AGE_BAND: "40–59"}
    ds.PatientSex, ds.PatientAge = "UNKNOWN", "102Y"
    assert dict(of_whom(ds)) == {AGE_BAND: "75 and over"}
    ds.PatientAge = "011M"
    assert dict(of_whom(ds)) == {AGE_BAND: "under 18"}


def test_silent_headers_are_in_no_part_and_what_all_share_is_no_part():
    headers = [{SEX: "F", "Manufacturer": "A"}, {SEX: "M", "Manufacturer": "A"}, {}]
    assert header_facts(headers) == {"sex": ["female", "male", ""]}
    many = header_facts([{"Manufacturer": f"maker {at % 20}"} for at in range(400)])
    assert len(set(many["device"])) == 13
    assert "other devices" in many["device"]


def test_parts_hold_every_image_once_and_rates_only_where_enough_were_reviewed(service: Service) -> None:
    for number in range(90):
        sha256 = stage(service, image_bytes(number))
        ill = number % 2
        said = draft(0.9 if ill or number % 10 == 0 else 0.1, bundle=BUNDLE.id, bundle_sha256=BUNDLE.sha256)
        stored, _ = service.readings.add(said, image_sha256=sha256, name=f"{number}.dcm", actor=ANNA)
        with service.database.begin() as session:
            session.get_one(ReadingRow, stored.id).finding = ill
            session.get_one(ImageRow, sha256).header = {SEX: "F" if number < 80 else "M"} if number < 88 else {}
    parts = {part.value: part for part in service.subgroups.table(BUNDLE)}
    assert {name: part.n for name, part in parts.items()} == {"female": 80, "male": 8}
    women, men = parts["female"], parts["male"]
    assert (women.n_reviewed, women.n_positive, women.few) == (80, 40, False)
    assert women.sensitivity.value == 1.0
    assert women.specificity.value == 0.8
    assert women.specificity.low < 0.8 < women.specificity.high
    assert (men.few, men.sensitivity.value) == (True, None)
    assert service.subgroups.table(load_bundle("tuberculosis/best")) == []
