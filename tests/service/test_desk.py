"""One reading desk: an image read at once, through the queue and by the command is the same reading."""

import io
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from sqlalchemy import delete, func, select

from secondread.errors import NotAllowed, NotThere, UnknownName
from secondread.images import Limits
from secondread.reading import Reader
from secondread.service import Outcome, ReadingRequest, Service, StoredReading
from secondread.service.tables import ImageRow, ItemRow, ReadingRow, ShownRow
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.cli.test_cli import call
from tests.images.variants import dicom, relabelled
from tests.service.conftest import ANNA

FILM = chest_phantom((150, 128), random_state=3, lesion=True)
ASKED = ReadingRequest("tuberculosis", "paper", source="ward 1")
MAKER = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "M 1", "PatientName": "Doe^Jane", "Modality": "DX"}


def _turned() -> bytes:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    return encode(FILM, "JPEG", exif=exif)


FILES = {
    "PNG": encode(FILM, "PNG"),
    "PNG of 16 bits": encode(FILM.astype(np.uint16) * 257, "PNG"),
    "JPEG": encode(FILM, "JPEG"),
    "JPEG turned by its EXIF": _turned(),
    "TIFF": encode(FILM, "TIFF"),
    "DICOM": dicom_bytes(FILM, SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1", **MAKER),
    "DICOM with text burned in": dicom_bytes(FILM, BurnedInAnnotation="YES", **MAKER),
    "DICOM captured": dicom_bytes(FILM, ConversionType="WSD", Manufacturer="SIEMENS"),
    "DICOM, implicit called explicit": relabelled(dicom(FILM, syntax=ImplicitVRLittleEndian), ExplicitVRLittleEndian),
    "DICOM, uncompressed called JPEG": relabelled(dicom(FILM), JPEGBaseline8Bit),
    "DICOM without a sign": dicom(FILM, PixelRepresentation=None),
    "DICOM of several frames": dicom_bytes(np.stack([FILM, FILM[::-1]]), multi_frame=True, **MAKER),
}


@pytest.fixture(scope="module")
def reader() -> Reader:
    """A small shipped bundle, without the gate, which lets no phantom pass."""
    return Reader.load("tuberculosis/paper", gate=False)


def _came_out(reading: StoredReading) -> dict[str, object]:
    """Everything but when, and how long it took."""
    kept = {"name", "source", "image_sha256", "has_thumbnail", "heat_map", "triage"} | {f.name for f in fields(Outcome)}
    return {name: value for name, value in asdict(reading).items() if name in kept - {"elapsed"}}


def _forget(service: Service) -> None:
    with service.database.begin() as session:
        for table in (ItemRow, ShownRow, ReadingRow, ImageRow):
            session.execute(delete(table))


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of headers that are wrong
@pytest.mark.parametrize("kind", FILES)
def test_at_once_through_the_queue_and_by_the_command_it_is_the_same_reading(
    service: Service, reader: Reader, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = FILES[kind]
    at_once = service.desk(lambda *_: reader).answer(data, ASKED, name="film", actor=ANNA).stored
    assert at_once is not None
    _forget(service)
    batch = service.intake.take([("film", data)], ASKED, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    (item,) = service.queue.items(batch)
    assert item.state == "done"
    queued = service.readings.get(item.reading_id, actor=ANNA)
    assert _came_out(queued) == _came_out(at_once)

    (tmp_path / "film").write_bytes(data)
    _, out, _ = call(
        capsys, "read", "--json", "--no-gate", "--task", "tuberculosis", "--bundle", "paper", tmp_path / "film"
    )
    told = json.loads(out)
    shown = at_once.contract(path=told["path"], heatmap=None)
    kept_as_sent = list(service.intake.staged(at_once.image_sha256).notes) if kind == "TIFF" else []
    told = {name: told[name] for name in shown}  # what the answer means at this place stands beside it
    assert shown == told | {"warnings": told["warnings"] + kept_as_sent}  # the command keeps nothing
    image = reader.read(data, keep_image=True).image
    assert image is not None
    assert at_once.facts["header"] == dict(image.header)
    assert at_once.facts["notes"] == list(image.notes)


def test_what_a_dicom_file_says_of_text_and_of_its_maker_is_kept_without_its_names(
    service: Service, reader: Reader
) -> None:
    data = FILES["DICOM with text burned in"]
    batch = service.intake.take([("film", data)], ASKED, actor=ANNA)
    service.worker(lambda *_: reader).run_until_empty()
    found = service.readings.get(service.queue.items(batch)[0].reading_id, actor=ANNA)
    assert [text for text in found.warnings if "burned into the picture" in text]
    assert len(set(found.warnings)) == len(found.warnings)
    assert (found.facts["header"]["Manufacturer"], found.facts["header"]["Manufacturer's Model Name"]) == (
        "SIEMENS",
        "M 1",
    )
    assert b"SIEMENS" not in service.images.image(found.image_sha256)
    assert "Doe" not in json.dumps(found.to_dict())


@pytest.mark.parametrize("kind", ["note", "cut short", "too large"])
def test_what_cannot_be_kept_is_refused_alike_and_leaves_nothing(
    service: Service, reader: Reader, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {"note": b"no image", "cut short": FILES["DICOM"][:300], "too large": FILES["PNG"]}[kind]
    most = {"too large": Limits(max_bytes=100)}
    service.intake.limits = most.get(kind, service.intake.limits)
    found = service.desk(lambda *_: reader).answer(io.BytesIO(data), ASKED, name="film", actor=ANNA)
    assert found.stored is None
    (item,) = service.queue.items(service.intake.take([("film", data)], ASKED, actor=ANNA))
    assert (item.state, item.code, item.message) == (
        "refused",
        found.outcome.refusal_code,
        found.outcome.refusal_message,
    )
    if kind != "too large":
        (tmp_path / "film").write_bytes(data)
        _, out, _ = call(capsys, "read", "--json", "--task", "tuberculosis", tmp_path / "film")
        assert json.loads(out)["refusal"]["code"] == item.code
    assert service.worklist.count() == 0
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ImageRow)) == 0


def test_a_second_time_it_is_answered_from_the_store_but_a_refusal_is_looked_at_again(
    service: Service, reader: Reader
) -> None:
    desk = service.desk(lambda *_: reader)
    first = desk.answer(FILES["PNG"], ASKED, actor=ANNA)
    again = desk.answer(FILES["PNG"], ASKED, actor=ANNA)
    assert (first.from_store, again.from_store, again.stored) == (False, True, first.stored)
    blank = encode(np.zeros((64, 64), np.uint8), "PNG")
    refused = [desk.answer(blank, ASKED, actor=ANNA) for _ in range(2)]
    assert [(one.from_store, one.outcome.refusal_code) for one in refused] == [(False, "blank")] * 2
    with service.database.begin() as session:  # as another version, or other settings, would have said
        row = session.scalars(select(ReadingRow).where(ReadingRow.refusal_code == "blank")).one()
        row.refusal_code = "wrong_kind"
    assert desk.answer(blank, ASKED, actor=ANNA).outcome.refusal_code == "blank"


def test_images_and_the_pictures_made_of_them_are_the_owners_alone(service: Service, reader: Reader) -> None:
    service.desk(lambda *_: reader).answer(FILES["PNG"], ASKED, actor=ANNA)
    stored = service.worklist.page(actor=ANNA).rows[0]
    service.readings.thumbnails([stored.id], actor=ANNA)
    service.readings.heat_map(stored.id, actor=ANNA)
    kept = [path for kind in ("images", "pictures") for path in (service.folder / kind).glob("*/*")]
    assert len(kept) == 3
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_a_wrong_name_is_told_before_anything_is_taken_in(service: Service, reader: Reader) -> None:
    with pytest.raises(UnknownName):
        service.desk(lambda *_: reader).check(replace(ASKED, operating_point="nope"))


def test_another_bundle_reads_what_is_kept_and_not_what_was_erased(service: Service, reader: Reader) -> None:
    desk = service.desk(lambda *_: reader)
    first = desk.answer(FILES["DICOM"], ASKED, name="film", actor=ANNA).stored
    assert first is not None
    other = desk.read_again(first, replace(ASKED, operating_point="screening"), actor=ANNA)
    assert (other.image_sha256, other.name, other.facts) == (first.image_sha256, "film", first.facts)
    service.images.forget(first.image_sha256)
    with pytest.raises(NotThere):
        desk.read_again(first, ASKED, actor=ANNA)


def test_a_question_that_follows_a_yes_tells_no_answer_that_is_withheld(service: Service, reader: Reader) -> None:
    first = service.desk(lambda *_: reader).answer(FILES["DICOM"], ASKED, name="film", actor=ANNA).stored
    assert first is not None
    withheld = replace(first.withheld(), task="brain-tumour")
    desk = service.desk(lambda *_: Reader.load("tumour-malignancy", gate=False))
    with pytest.raises(NotAllowed, match="opinion"):
        desk.read_again(withheld, ReadingRequest("tumour-malignancy"), actor=ANNA)
