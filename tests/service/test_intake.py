"""Uploads within bounds, de-identified, staged before they are queued."""

import io
import zipfile

import pytest

from secondread.errors import UploadRefused
from secondread.service import Bounds, Intake, ReadingRequest, Service
from secondread.service.intake import members
from secondread.service.tables import ImageRow
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.service.conftest import ANNA
from tests.service.stubs import image_bytes

ASKED = ReadingRequest("auto")


def make_zip(*files: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return target.getvalue()


def _states(service: Service, batch: int) -> dict[str, tuple[str, str]]:
    return {item.name: (item.state, item.code) for item in service.queue.items(batch)}


def test_files_folders_and_archives_become_items_and_what_is_no_image_says_so(service: Service) -> None:
    packed = make_zip(("ward/2.png", image_bytes(2)), ("__MACOSX/._2.png", b"x"), ("notes.txt", b"not an image"))
    files = [("1.png", image_bytes(1)), ("folder/report.pdf", b"%PDF-1.4"), ("all.zip", packed)]
    batch = service.intake.take(files, ASKED, actor=ANNA)
    assert _states(service, batch) == {
        "1.png": ("queued", ""),
        "folder/report.pdf": ("refused", "unsupported"),
        "ward/2.png": ("queued", ""),
        "notes.txt": ("refused", "not_an_image"),
    }


def test_a_dicom_file_reaches_the_store_without_its_names_and_the_trail_never_sees_them(service: Service) -> None:
    data = dicom_bytes(chest_phantom(64, random_state=0), PatientName="Doe^Jane", PatientID="4711-PID")
    batch = service.intake.take([("Doe Jane.dcm", data)], ASKED, actor=ANNA)
    claim = service.queue.claim()
    assert claim is not None
    assert claim.batch == batch
    kept = service.images.image(claim.image_sha256)
    assert b"Doe" not in kept
    assert b"4711-PID" not in kept
    with service.database.reading() as session:
        facts = session.get(ImageRow, claim.image_sha256)
    assert facts.deidentified
    assert facts.patient
    assert "does not say whether text" in facts.warnings[0]
    assert "Doe" not in str(list(service.trail.lines()))


def test_identifiers_stay_where_the_site_wants_them(service: Service) -> None:
    data = dicom_bytes(chest_phantom(64, random_state=0), PatientName="Doe^Jane")
    intake = Intake(service.database, service.images, service.queue, keep_identifiers=True)
    assert service.images.image(intake.stage(data, actor=ANNA).sha256) == data


def test_a_damaged_dicom_file_is_not_kept(service: Service) -> None:
    data = dicom_bytes(chest_phantom(64, random_state=0), PatientName="Doe^Jane")[:400]
    batch = service.intake.take([("a.dcm", data)], ASKED, actor=ANNA)
    assert _states(service, batch)["a.dcm"][0] == "refused"
    assert not list((service.folder / "images").glob("*/*"))


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([("../up.png", b"x")], "archive_path"),
        ([("/root.png", b"x")], "archive_path"),
        ([("c:\\win.png", b"x")], "archive_path"),
        ([("a/..\\..\\b.png", b"x")], "archive_path"),
        ([("inner.zip", make_zip(("a.png", b"x")))], "archive_nested"),
        ([("bomb.png", b"\0" * 3_000_000)], "swells_too_much"),
        ([("large.png", bytes(range(256)) * 8000)], "too_large"),
    ],
)
def test_a_member_outside_the_bounds_is_refused_by_itself(files: list[tuple[str, bytes]], code: str) -> None:
    bounds = Bounds(max_file_bytes=4_000_000 if code != "too_large" else 1_000_000)
    found = list(members(io.BytesIO(make_zip(*files, ("good.png", b"good"))), bounds))
    assert isinstance(found[0][1], UploadRefused)
    assert found[0][1].code == code
    assert found[1] == ("good.png", b"good")


@pytest.mark.parametrize(
    ("data", "bounds", "code"),
    [
        (make_zip(*((f"{n}.png", b"x") for n in range(5))), Bounds(max_files=4), "too_many_files"),
        (make_zip(("a", b"x" * 600), ("b", b"y" * 600)), Bounds(max_bytes=1000), "upload_too_large"),
        (make_zip(("a", b"x"))[:40], Bounds(), "archive_damaged"),
        (b"PK\x03\x04 and no more", Bounds(), "archive_damaged"),
    ],
    # an archive holds the time it was made: as a test's name, it would differ between two workers
    ids=["many-files", "large-whole", "cut-short", "no-directory"],
)
def test_an_archive_outside_the_bounds_is_refused_as_a_whole(data: bytes, bounds: Bounds, code: str) -> None:
    with pytest.raises(UploadRefused) as caught:
        list(members(io.BytesIO(data), bounds))
    assert caught.value.code == code


def test_an_encrypted_archive_is_refused_clearly() -> None:
    data = bytearray(make_zip(("a.png", b"secret"), compression=zipfile.ZIP_STORED))
    data[6] |= 1  # general purpose bit 0, in the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    with pytest.raises(UploadRefused, match="without a password"):
        list(members(io.BytesIO(data), Bounds()))


def test_an_archive_that_lies_about_sizes_gives_no_more_than_it_said() -> None:
    data = bytearray(make_zip(("a.png", b"x" * 2_000_000)))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    found = list(members(io.BytesIO(data), Bounds(max_file_bytes=1000)))
    assert isinstance(found[0][1], UploadRefused) or len(found[0][1]) <= 1000


def test_an_upload_that_is_empty_or_too_large_queues_nothing(service: Service) -> None:
    intake = Intake(service.database, service.images, service.queue, bounds=Bounds(max_files=2, max_bytes=10_000))
    for files in ([], [("a", image_bytes(n)) for n in range(3)], [("a", b"x" * 20_000)]):
        with pytest.raises(UploadRefused):
            intake.take(files, ASKED, actor=ANNA)
    assert service.queue.batches() == []
