"""The structured report: what stands in it, whose it is, and that it is always the same."""

from io import BytesIO
from typing import Any

import highdicom
import pytest
from highdicom.sr import ComprehensiveSR
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage

from secondread.dicom.results import identifying, make, make_file
from secondread.dicom.series import read_next
from secondread.errors import Conflict, NotAllowed, NotThere
from secondread.service import LOCAL, NODE, Actor, Service
from tests.dicom.answered import BOXES, WHO, answer, answered, sent
from tests.dicom.slices import mr_slice, take
from tests.dicom.test_series import make_due
from tests.service.stubs import draft, image_bytes, stage
from tests.several import bright_reader

NAMES = [  # character set of the scanner's file, name
    ("ISO_IR 100", "Müller^Jörg"),
    ("ISO_IR 192", "Okonkwo^Adaézé=奥孔科^阿黛泽"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("ISO_IR 144", "Люкceмбypг"),
    ("ISO_IR 126", "Διονυσιος"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 166", "นามสกุล^ชื่อ"),
]


def _again(ds: Dataset) -> Dataset:
    """As whoever receives it reads it."""
    target = BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return dcmread(BytesIO(target.getvalue()))


def items(ds: Dataset) -> list[tuple[str, Any]]:
    """(concept, value) of every content item, from top to bottom."""
    found = []
    for item in ds.get("ContentSequence", ()):
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        value: Any = item.get("TextValue") or item.get("UID")
        if "ConceptCodeSequence" in item:
            code = item.ConceptCodeSequence[0]
            value = (code.CodeValue, code.CodingSchemeDesignator)
        elif "MeasuredValueSequence" in item:
            value = float(item.MeasuredValueSequence[0].NumericValue)
        elif "ReferencedSOPSequence" in item:
            value = item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        found += [(name, value), *items(item)]
    return found


def test_it_says_what_was_answered_by_what_and_of_which_image(service: Service) -> None:
    number = answered(service, answer(0.87, warnings=("the film is turned",)))
    ds = _again(make(service, number, "sr", actor=NODE, identified=True))
    said = items(ds)
    assert ds.SOPClassUID == ComprehensiveSRStorage
    assert dict(said)["Finding"] == ("154283005", "SCT")
    assert dict(said)["Probability"] == pytest.approx(0.87)
    assert dict(said)["Threshold of the operating point"] == 0.5
    assert dict(said)["Decision at the operating point"] == ("10828004", "SCT")
    assert dict(said)["CAD Operating Point"] == ("screening", "99SECONDREAD")
    assert dict(said)["Algorithm Name"] == "tuberculosis/stub"
    assert dict(said)["Algorithm Version"] == "bbbbbbbb"
    assert ("Algorithm Parameters", f"bundle_sha256={'b' * 64}") in said
    assert ("Source of Measurement", WHO["SOPInstanceUID"]) in said
    assert ("Comment", "the film is turned") in said
    assert any("no medical device" in str(value) for name, value in said if name == "Comment")
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


@pytest.mark.parametrize(
    ("probability", "low", "code"),
    [(0.9, None, "10828004"), (0.1, None, "260385009"), (0.4, 0.3, "42425007")],
)
def test_each_decision_has_its_code(service: Service, probability: float, low: float | None, code: str) -> None:
    number = answered(service, answer(probability, low=low))
    assert dict(items(make(service, number, "sr", actor=NODE, identified=True)))["Decision at the operating point"] == (
        code,
        "SCT",
    )


def test_a_refusal_is_a_result_too(service: Service) -> None:
    number = answered(service, answer(refusal="too_small"))
    said = items(_again(make(service, number, "sr", actor=NODE, identified=True)))
    assert dict(said)["Outcome of the reading"] == ("too_small", "99SECONDREAD")
    assert ("Comment", "it cannot be read") in said
    assert not {"Probability", "Finding", "Decision at the operating point"} & {name for name, _ in said}


def test_it_belongs_to_the_study_patient_and_order_that_were_sent_in_a_series_of_its_own(service: Service) -> None:
    number = answered(service, answer())
    for kind in ("sr", "capture"):
        ds = _again(make(service, number, kind, actor=NODE, identified=True))
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyID", "StudyDate"):
            assert getattr(ds, keyword) == WHO[keyword]
        assert ds.SeriesInstanceUID != WHO["SeriesInstanceUID"]
        assert ds.Manufacturer == "secondread"


def test_boxes_are_closed_lines_on_the_image(service: Service) -> None:
    ds = _again(make(service, answered(service, answer(findings=BOXES)), "sr", actor=NODE, identified=True))
    groups = ComprehensiveSR.from_dataset(ds).content.get_planar_roi_measurement_groups()
    assert len(groups) == len(BOXES)
    for group, found in zip(groups, BOXES, strict=True):
        x, y, width, height = found["box"]
        right, bottom = x + width, y + height
        assert group.roi.graphic_type == highdicom.sr.GraphicTypeValues.POLYLINE
        assert group.roi.value.tolist() == [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
        [probability] = group.get_measurements()
        assert probability.value == pytest.approx(found["score"])
        source = group.roi.ContentSequence[0].ReferencedSOPSequence[0]
        assert source.ReferencedSOPInstanceUID == WHO["SOPInstanceUID"]


def test_of_a_series_the_slice_is_named_that_the_answer_came_from(service: Service) -> None:
    desk = service.desk(lambda *_: bright_reader("brain-tumour/best"))
    slices = [mr_slice(number, suspicious=number == 5) for number in range(1, 9)]
    take(service, slices)
    make_due(service)
    number = read_next(service, desk, actor=NODE)
    assert number is not None
    for kind, actor, true in (("sr", NODE, True), ("capture", NODE, True), ("sr", LOCAL, False)):
        ds = _again(make(service, number, kind, actor=actor, identified=true))
        assert (ds.StudyInstanceUID == slices[0].StudyInstanceUID) is true
        if kind == "sr" and true:
            assert ("Source of Measurement", slices[4].SOPInstanceUID) in items(ds)
            [study] = ds.CurrentRequestedProcedureEvidenceSequence
            referred = {one.ReferencedSOPInstanceUID for one in study.ReferencedSeriesSequence[0].ReferencedSOPSequence}
            assert referred <= {one.SOPInstanceUID for one in slices}
        elif kind == "capture":
            assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == slices[4].SOPInstanceUID


@pytest.mark.parametrize("kind", ["sr", "capture"])
def test_made_again_it_is_the_same_byte_for_byte(service: Service, kind: str) -> None:
    number = answered(service, answer())
    once, twice = (make_file(service, number, kind, actor=identifying(LOCAL), identified=True) for _ in range(2))
    assert once == twice


def test_another_bundle_point_image_or_kind_has_another_uid(service: Service) -> None:
    first = answered(service, answer())
    others = [
        answered(service, answer(threshold=0.3), data=sent(SOPInstanceUID="1.2.3.1")),
        answered(service, answer(bundle_sha256="c" * 64), data=sent(SOPInstanceUID="1.2.3.2")),
        answered(service, answer(refusal="blank"), data=sent(SOPInstanceUID="1.2.3.3")),
    ]
    made = [
        make(service, number, kind, actor=NODE, identified=True)
        for number in (first, *others)
        for kind in ("sr", "capture")
    ]
    assert len({ds.SOPInstanceUID for ds in made}) == len(made)
    assert len({ds.SeriesInstanceUID for ds in made}) == len(made)


@pytest.mark.parametrize(("character_set", "name"), NAMES, ids=lambda value: str(value)[:24])
def test_names_survive_in_every_writing(service: Service, character_set: Any, name: str) -> None:
    number = answered(service, answer(), data=sent(SpecificCharacterSet=character_set, PatientName=name))
    for kind in ("sr", "capture"):
        ds = _again(make(service, number, kind, actor=NODE, identified=True))
        assert str(ds.PatientName) == name


def test_without_the_right_to_it_nothing_tells_whose_it_is(service: Service) -> None:
    number = answered(service, answer())
    reader = Actor("anna", scopes=frozenset({"read"}))
    for kind in ("sr", "capture"):
        data = make_file(service, number, kind, actor=reader)
        for word in ("Jane", "P-123", "ACC-1", WHO["StudyInstanceUID"], WHO["SOPInstanceUID"]):
            assert word.encode() not in data
        with pytest.raises(NotAllowed):
            make(service, number, kind, actor=reader, identified=True)


def test_a_value_that_a_scanner_wrote_wrongly_is_left_out(service: Service) -> None:
    number = answered(service, answer(), data=sent(PatientSex="X", StudyDate="", StudyTime=""))
    ds = _again(make(service, number, "sr", actor=NODE, identified=True))
    assert (ds.PatientSex, ds.StudyDate, ds.StudyTime) == ("", "", "")


def test_of_an_upload_nothing_is_written_as_if_it_were_known_whose_it_is(service: Service) -> None:
    kept, _ = service.readings.add(answer(), image_sha256=stage(service, sent()), name="a.dcm", actor=LOCAL)
    assert make(service, kept.id, "sr", actor=NODE, identified=False).PatientID != WHO["PatientID"]
    with pytest.raises(Conflict, match="whose reading"):
        make(service, kept.id, "sr", actor=NODE, identified=True)


def test_what_is_no_dicom_object_is_refused_by_name(service: Service) -> None:
    kept, _ = service.readings.add(draft(), image_sha256=stage(service, image_bytes(0)), name="a.png", actor=LOCAL)
    with pytest.raises(Conflict, match="PNG"):
        make(service, kept.id, "sr", actor=LOCAL, identified=False)


def test_a_kind_that_is_not_there_is_refused(service: Service) -> None:
    with pytest.raises(NotThere):
        make(service, answered(service, answer(refusal="blank")), "gsps", actor=NODE, identified=True)
