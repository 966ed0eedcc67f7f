"""What a DICOM header says of part, view, age and purpose: in words, in codes, damaged, or not at all."""

import re
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from secondread.errors import ImageTooLarge
from secondread.images import Image, decode, deidentify
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of words that are none of the standard's
FILM = chest_phantom(48, random_state=0)
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


def coded(value: str, scheme: str = "SCT", meaning: str = "") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def anatomy(value: str) -> Sequence:
    """Functional groups of an enhanced object that say which region all frames show."""
    frame, shared = Dataset(), Dataset()
    frame.AnatomicRegionSequence = coded(value)
    shared.FrameAnatomySequence = Sequence([frame])
    return Sequence([shared])


def said(**elements: Any) -> Image:
    """As decoded; the same of the file as it is kept."""
    file = dicom_bytes(FILM, **{"BodyPartExamined": "", **elements})
    image, kept = decode(file), decode(deidentify(file, key=b"k" * 32).data)
    facts = [(one.parts, one.views, one.age, one.intent) for one in (image, kept)]
    assert facts[0] == facts[1], "what decides must survive de-identification"
    return image


PARTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a word": ({"BodyPartExamined": "CHEST"}, ("CHEST",)),
    "free text": ({"BodyPartExamined": "Chest PA"}, ("CHESTPA",)),
    "a code": ({"AnatomicRegionSequence": coded(codes.cid4031.Abdomen.value)}, ("ABDOMEN",)),
    "a code as it was before": ({"AnatomicRegionSequence": coded("T-D8500", "SRT")}, ("FOREARM",)),
    "word and code": ({"BodyPartExamined": "CHEST", "AnatomicRegionSequence": coded("39607008")}, ("CHEST", "LUNG")),
    "word and code alike": ({"BodyPartExamined": "HAND", "AnatomicRegionSequence": coded("85562004")}, ("HAND",)),
    "a code of all frames": ({"SharedFunctionalGroupsSequence": anatomy("12738006")}, ("BRAIN",)),
    "a code of another scheme": ({"AnatomicRegionSequence": coded("818981001", "99LOCAL")}, ()),
    "a code of no region": ({"AnatomicRegionSequence": coded("12345")}, ()),
    "an empty sequence": ({"AnatomicRegionSequence": Sequence()}, ()),
    "nothing": ({}, ()),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_part_of_the_body(name: str) -> None:
    elements, expected = PARTS[name]
    assert said(**elements).parts == expected


VIEWS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "PA": ({"ViewPosition": "PA"}, ("frontal",)),
    "AP in small letters": ({"ViewPosition": "ap"}, ("frontal",)),
    "AP lying": ({"ViewPosition": "AP SUPINE"}, ("frontal",)),
    "left lateral": ({"ViewPosition": "LL"}, ("lateral",)),
    "right lateral": ({"ViewPosition": "RL"}, ("lateral",)),
    "lateral in a word": ({"ViewPosition": "LATERAL"}, ("lateral",)),
    "lateral in short": ({"ViewPosition": "LLAT"}, ("lateral",)),
    "oblique": ({"ViewPosition": "LAO"}, ("oblique",)),
    "a lateral oblique": ({"ViewPosition": "RLO"}, ("oblique",)),
    "AP oblique": ({"ViewPosition": "AP OBLIQUE"}, ("oblique",)),
    "on the side": ({"ViewPosition": "LLD"}, ("decubitus",)),
    "on the side in words": ({"ViewPosition": "AP LLAT DECUB"}, ("decubitus",)),
    "lordotic": ({"ViewPosition": "AP LORDOTIC"}, ("axial",)),
    "two that contradict": ({"ViewPosition": "PA AND LAT"}, ()),
    "a word not known": ({"ViewPosition": "STANDING"}, ()),
    "a code": ({"ViewCodeSequence": coded("399173006")}, ("lateral",)),
    "a frontal code": ({"ViewCodeSequence": coded("272479007")}, ("frontal",)),
    "a code as it was before": ({"ViewCodeSequence": coded("R-10236", "SRT")}, ("lateral",)),
    "a code of one's own with its meaning": ({"ViewCodeSequence": coded("7", "99X", "left lateral")}, ("lateral",)),
    "word and code that differ": (
        {"ViewPosition": "PA", "ViewCodeSequence": coded("399067008")},
        ("frontal", "lateral"),
    ),
    "beside the body part": ({"BodyPartExamined": "CHEST LAT"}, ("lateral",)),
    "rows to the left, columns to the feet": ({"PatientOrientation": ["L", "F"]}, ("frontal",)),
    "rows to the front, columns to the feet": ({"PatientOrientation": ["A", "F"]}, ("lateral",)),
    "rows to the back": ({"PatientOrientation": ["P", "H"]}, ("lateral",)),
    "half turned": ({"PatientOrientation": ["AL", "F"]}, ()),
    "across the body": ({"PatientOrientation": ["L", "P"]}, ()),
    "a word goes before directions": ({"ViewPosition": "PA", "PatientOrientation": ["A", "F"]}, ("frontal",)),
    "nothing": ({}, ()),
}


@pytest.mark.parametrize("name", VIEWS)
def test_the_view(name: str) -> None:
    elements, expected = VIEWS[name]
    assert said(**elements).views == expected


def test_every_view_of_the_standard_for_radiographs_has_a_kind() -> None:
    """CID 4010, but for projections of the face, the feet and a specimen."""
    known = {"Tangential", "Submentovertical", "Verticosubmental", "TissueSpecimen", "OcclusalProjection"}
    radiographs = [name for name in codes.cid4010.dir() if not re.search("orbit|acanth|dors|plant", name.lower())]
    coded_views = {name: getattr(codes.cid4010, name) for name in radiographs}
    kinds = {
        name: said(ViewCodeSequence=coded(code.value)).views
        for name, code in coded_views.items()
        if code.scheme_designator == "SCT"
    }
    assert {name for name, views in kinds.items() if not views} <= known
    assert {"frontal", "lateral", "oblique", "axial"} == {view for views in kinds.values() for view in views}


AGES: dict[str, tuple[dict[str, Any], int | None]] = {
    "years": ({"PatientAge": "045Y"}, 45),
    "months": ({"PatientAge": "017M"}, 1),
    "weeks": ({"PatientAge": "060W"}, 1),
    "days": ({"PatientAge": "003D"}, 0),
    "without the leading zeros": ({"PatientAge": "3Y"}, 3),
    "very old": ({"PatientAge": "101Y"}, 90),
    "by birth and study": ({"PatientBirthDate": "20200615", "StudyDate": "20230614"}, 2),
    "by birth and acquisition": ({"PatientBirthDate": "20200615", "AcquisitionDate": "20230615"}, 3),
    "the age goes first": ({"PatientAge": "040Y", "PatientBirthDate": "20200101", "StudyDate": "20230101"}, 40),
    "born after the study": ({"PatientBirthDate": "20240101", "StudyDate": "20230101"}, None),
    "born before anyone": ({"PatientBirthDate": "18000101", "StudyDate": "20230101"}, None),
    "no birth": ({"StudyDate": "20230101"}, None),
    "no date at all": ({"PatientBirthDate": "20200615"}, None),
    "no age": ({"PatientAge": ""}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("name", AGES)
def test_the_age(name: str) -> None:
    elements, expected = AGES[name]
    assert said(**elements).age == expected


@pytest.mark.parametrize("age", ["about 3", "Y003", "1000Y", "3 years"])
def test_an_age_in_no_form_of_the_standard_says_nothing(age: str) -> None:
    file = dicom_bytes(FILM, PatientAge="003Y").replace(b"003Y", age.encode()[:4].ljust(4))
    assert decode(file).age in (None, 3 if age.startswith("3 ") else None)


def test_the_kept_file_holds_neither_birth_nor_dates_nor_an_old_age() -> None:
    file = dicom_bytes(FILM, PatientAge="101Y", PatientBirthDate="19220101", StudyDate="20230202")
    kept = deidentify(file, key=b"k" * 32).data
    assert not [secret for secret in (b"101Y", b"19220101", b"20230202") if secret in kept]
    assert b"090Y" in kept


INTENTS: dict[str, tuple[dict[str, Any], str]] = {
    "for people": ({"PresentationIntentType": "FOR PRESENTATION"}, "FOR PRESENTATION"),
    "raw": ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
    "raw in small letters": ({"PresentationIntentType": "For Processing"}, "FOR PROCESSING"),
    "raw by its class": ({"SOPClassUID": FOR_PROCESSING}, "FOR PROCESSING"),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize("name", INTENTS)
def test_what_it_is_meant_for(name: str) -> None:
    elements, expected = INTENTS[name]
    assert said(**elements).intent == expected


def test_other_formats_and_arrays_say_nothing() -> None:
    for image in (decode(encode(FILM, "PNG")), Image.from_array(FILM)):
        assert (image.parts, image.views, image.age, image.intent) == ((), (), None, "")


def test_a_sequence_without_end_is_not_read() -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", "x" * 60
    with pytest.raises(ImageTooLarge, match="AnatomicRegionSequence"):
        decode(dicom_bytes(FILM, AnatomicRegionSequence=Sequence([item] * 60_000)))
