"""What a header says against the intended use is refused alike by command, Python, at once, queue and store."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from secondread.reading import AutoReader, Reader, load
from secondread.service import Outcome, ReadingRequest, Service
from secondread.testing.phantoms import bone_phantom, brain_phantom, chest_phantom, dicom_bytes
from tests.cli.test_cli import call
from tests.service.conftest import ANNA

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of words that are none of the standard's
DX, MR = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.4"
CHILD = "the file says that the patient is a child, and this task was not measured on children"


def file(film: np.ndarray, **elements: Any) -> bytes:
    """As devices write it, also with words that are none of the standard's, of which pydicom warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dicom_bytes(film, **elements)


def chest(**elements: Any) -> bytes:
    return file(chest_phantom(96, random_state=1), SOPClassUID=DX, **elements)


def limb(**elements: Any) -> bytes:
    film = bone_phantom(96, random_state=1)
    return file(film, SOPClassUID=DX, **{"BodyPartExamined": "HAND", **elements})


def brain(**elements: Any) -> bytes:
    slice_ = brain_phantom(96, random_state=1)
    return file(slice_, SOPClassUID=MR, **{"Modality": "MR", "BodyPartExamined": "BRAIN", **elements})


def region(code: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", "region"
    return Sequence([item])


REFUSED: dict[str, tuple[str, bytes, str, str]] = {  # task, file, code, a word of the sentence
    "MR of an abdomen": ("brain-tumour", brain(BodyPartExamined="ABDOMEN"), "wrong_part", "ABDOMEN"),
    "MR of a spine": ("brain-tumour", brain(BodyPartExamined="L SPINE"), "wrong_part", "lumbar spine"),
    "MR of a neck's spine": ("brain-tumour", brain(BodyPartExamined="CERVICAL SPINE"), "wrong_part", "CSPINE"),
    "MR of a knee": ("brain-tumour", brain(BodyPartExamined="Knee"), "wrong_part", "KNEE"),
    "MR of an abdomen by its code": (
        "brain-tumour",
        brain(BodyPartExamined="", AnatomicRegionSequence=region("818981001")),
        "wrong_part",
        "ABDOMEN",
    ),
    "X-ray of ribs": ("fracture", limb(BodyPartExamined="RIB"), "wrong_part", "RIB"),
    "X-ray of a skull": ("fracture", limb(BodyPartExamined="SKULL"), "wrong_part", "SKULL"),
    "X-ray of an abdomen": ("tuberculosis", chest(BodyPartExamined="ABDOMEN"), "wrong_part", "ABDOMEN"),
    "a chest that is a hand by its code": (
        "tuberculosis",
        chest(AnatomicRegionSequence=region("85562004")),
        "wrong_part",
        "HAND",
    ),
    "a lateral chest": ("tuberculosis", chest(ViewPosition="LL"), "outside_use", "frontal (PA or AP)"),
    "a lateral chest by its code": ("tuberculosis", chest(ViewCodeSequence=region("399198007")), "outside_use", "view"),
    "a chest on the side": ("tuberculosis", chest(ViewPosition="RLD"), "outside_use", "decubitus"),
    "rows to the front": ("tuberculosis", chest(PatientOrientation=["A", "F"]), "outside_use", "lateral"),
    "a child of 3": ("tuberculosis", chest(PatientAge="003Y"), "outside_use", "younger than 15 years"),
    "a child by birth and study": (
        "tuberculosis",
        chest(PatientBirthDate="20200615", StudyDate="20211001"),
        "outside_use",
        "younger than 15 years",
    ),
    "raw values of a chest": (
        "tuberculosis",
        chest(PresentationIntentType="FOR PROCESSING"),
        "outside_use",
        "FOR PRESENTATION",
    ),
    "raw values of a hand": ("fracture", limb(PresentationIntentType="FOR PROCESSING"), "outside_use", "detector"),
}
READ: dict[str, tuple[str, bytes, bool]] = {  # task, file, whether a child is warned of
    "a chest, header silent": ("tuberculosis", chest(BodyPartExamined=""), False),
    "a frontal chest of an adult": (
        "tuberculosis",
        chest(ViewPosition="PA", PatientAge="015Y", PresentationIntentType="FOR PRESENTATION"),
        False,
    ),
    "a chest in another language": ("tuberculosis", chest(BodyPartExamined="TORAX"), False),
    "a chest with its view": ("tuberculosis", chest(BodyPartExamined="Chest PA"), False),
    "a hand from the side": ("fracture", limb(ViewPosition="LL"), False),
    "a hand of a child": ("fracture", limb(PatientAge="007Y"), True),
    "a radius": ("fracture", limb(BodyPartExamined="RADIUS"), False),
    "a brain of a child": ("brain-tumour", brain(PatientAge="010M"), True),
    "a head and neck": ("brain-tumour", brain(BodyPartExamined="HEADNECK"), False),
}


@pytest.fixture(scope="module")
def readers() -> dict[str, Reader]:
    """Without the gate, which lets no phantom pass."""
    return {task: Reader.load(task, gate=False) for task in ("brain-tumour", "fracture", "tuberculosis")}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_the_reason_at_once_again_and_through_the_queue(
    service: Service, readers: dict[str, Reader], name: str
) -> None:
    task, data, code, word = REFUSED[name]
    reader, asked = readers[task], ReadingRequest(task)
    plain = reader.read(data).refusal
    assert plain is not None
    assert (plain.code, word in plain.message) == (code, True), plain.message
    desk = service.desk(lambda *_: reader)
    told = [_refusal(desk.answer(data, asked, name="film", actor=ANNA).outcome) for _ in range(2)]
    batch = service.intake.take([("film", data)], asked, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    (item,) = service.queue.items(batch)
    told.append(_refusal(service.readings.get(item.reading_id, actor=ANNA)))
    assert told == [(plain.code, plain.message)] * 3


@pytest.mark.parametrize("task", ["brain-tumour", "fracture", "tuberculosis"])
def test_the_command_says_the_same_when_it_is_told_the_task_and_when_it_finds_it(
    readers: dict[str, Reader], task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: data for name, (of, data, *_) in REFUSED.items() if of == task}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for asked in (task, "auto"):
        _, out, _ = call(capsys, "read", "--json", "--no-gate", "--task", asked, tmp_path)
        told = {Path(row["path"]).name: row["refusal"] for row in map(json.loads, out.splitlines())}
        assert set(told) == set(files)
        for name, refusal in told.items():
            plain = readers[task].read(files[name]).refusal
            assert plain is not None
            unknown = asked == "auto" and refusal["code"] == "task_unknown"
            assert unknown or refusal == {"code": plain.code, "message": plain.message}


@pytest.mark.parametrize("name", READ)
def test_where_the_header_is_silent_or_in_no_word_of_dicom_it_is_read(
    service: Service, readers: dict[str, Reader], name: str
) -> None:
    task, data, warned = READ[name]
    reader = readers[task]
    found = reader.read(data)
    assert found.refusal is None
    assert (CHILD in found.warnings) == warned
    stored = service.desk(lambda *_: reader).answer(data, ReadingRequest(task), name="film", actor=ANNA).outcome
    assert (stored.refusal_code, stored.probability) == ("", found.probability)
    assert (CHILD in stored.warnings) == warned


@pytest.mark.parametrize("name", ["MR of an abdomen", "a lateral chest", "a child of 3", "raw values of a hand"])
def test_auto_and_the_gate_do_not_read_it_either(name: str) -> None:
    reader = load("auto")
    assert isinstance(reader, AutoReader)
    _, data, code, _ = REFUSED[name]
    refusal = reader.read(data).refusal
    assert refusal is not None
    assert refusal.code in (code, "task_unknown")


def test_an_answer_stored_before_the_task_said_so_is_not_given_again(
    service: Service, readers: dict[str, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, asked = readers["brain-tumour"], ReadingRequest("brain-tumour")
    data = REFUSED["MR of an abdomen"][1]
    desk = service.desk(lambda *_: reader)
    for module in ("secondread.reading.reader", "secondread.service.desk"):
        monkeypatch.setattr(f"{module}.check_image", lambda *_: None)
    assert desk.answer(data, asked, name="film", actor=ANNA).outcome.decision
    monkeypatch.undo()
    assert desk.answer(data, asked, name="film", actor=ANNA).outcome.refusal_code == "wrong_part"
    batch = service.intake.take([("film", data)], asked, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    (item,) = service.queue.items(batch)
    assert service.readings.get(item.reading_id, actor=ANNA).refusal_code == "wrong_part"


def _refusal(outcome: Outcome) -> tuple[str, str]:
    return outcome.refusal_code, outcome.refusal_message
