"""One person erased everywhere, with proof; uploads grow old too; a restored backup is told who was erased."""

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from secondread.errors import Conflict, DataInvalid, NotThere, UsageError
from secondread.files import write_bytes
from secondread.service import Answer, PatientLine, ReadingRequest, Service, back_up, read_erasings, restore
from secondread.service.image_store import ERASURES, ImageStore
from secondread.service.outcomes import heat_map_name
from secondread.service.patient_lines import PatientLines
from secondread.service.tables import AnswerRow, BatchRow, ImageRow, ItemRow, ReadingRow, ReviewRow, iso, now
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage, worker_of

SECRET = "Canary-Doe"


def film(person: str, number: int) -> bytes:
    return dicom_bytes(chest_phantom(48, random_state=number), PatientID=person, PatientName=f"{SECRET}^{person}")


def read_all_over(service: Service, person: str = "4711") -> list[int]:
    """A person of two films and an upload, with everything that can name them; their readings."""
    ids = []
    for number in range(2):
        sha = stage(service, film(person, number))
        reading, _ = service.readings.add(
            draft(0.9, facts={"width": 48, "height": 48, "notes": [SECRET], "header": {"Grid": SECRET}}),
            image_sha256=sha, name=f"{SECRET} {number}.dcm", source=f"{SECRET} ward", actor=ANNA,
        )  # fmt: skip
        service.reviews.add(reading.id, verdict="agree", note=f"{SECRET} again", actor=ANNA, role="reviewer")
        of_before = service.folder / "heatmaps" / sha[:2] / f"{heat_map_name(sha, 'c' * 64)}.png"
        write_bytes(of_before, SECRET.encode(), private=True)  # of a bundle that went, by an earlier version
        service.pictures.shown(sha, 0, longest_side=64)  # as the viewer drew it
        ids.append(reading.id)
    files = [(f"{SECRET}.dcm", film(person, 0)), (f"{SECRET}.txt", b"no image")]
    service.intake.take(files, ReadingRequest("tuberculosis", source=f"{SECRET} upload"), actor=ANNA)
    worker_of(service, lambda data: draft(0.9)).run_until_empty()
    service.answers.begin("key", b"asked")
    service.answers.end("key", Answer(201, "application/json", json.dumps({"reading_id": ids[0], "note": SECRET})))
    PatientLines(service.database, service.images, "typed").write(ids[0], _line(), actor=ANNA)
    service.exports.scores(bundle="tuberculosis/stub@bbbbbbbb", actor=ANNA)
    return ids


def _line() -> PatientLine:
    return PatientLine(patient=f"{SECRET}, Jane")


def bytes_kept(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def rows_kept(service: Service) -> str:
    with service.database.reading() as session:
        connection = session.connection()
        names = ("images", "readings", "reviews", "batches", "items", "answers", "exported_images", "trail")
        return str([connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in names])


def test_one_person_goes_everywhere_and_what_was_measured_stays(service: Service) -> None:
    other = stage(service, film("another", 7))
    ids = read_all_over(service)
    with service.database.reading() as session:
        patient = session.scalar(select(ImageRow.patient).join(ReadingRow).where(ReadingRow.id == ids[0])) or ""
    assert SECRET in rows_kept(service)
    found = service.erasure.look(reading=ids[1], actor=ANNA)
    assert (found.patient, len(found.images), found.readings, found.items) == (patient, 2, tuple(ids), 1)
    assert [one.what for one in found.left] == ["scores.exported"]
    done = service.erasure.erase(patient=patient[:16].upper(), key=found.key, actor=ANNA)
    assert done.images == found.images
    assert SECRET not in rows_kept(service)
    kept = bytes_kept(service.folder)  # the database's file and its log among them
    assert SECRET.encode() not in kept
    assert patient.encode() not in kept
    for sha256 in found.images:
        assert not list(service.folder.glob(f"*/*/{sha256}*"))
    assert not list(service.folder.glob("pictures/*/*"))
    assert service.images.image(other)
    reading = service.readings.get(ids[0], actor=ANNA)
    assert (reading.name, reading.source, reading.probability, reading.finding) == ("", "", 0.9, 1)
    assert reading.facts == {"width": 48, "height": 48}
    assert [review.verdict for review in service.reviews.of(ids[0])] == ["agree"]
    (proof,) = service.trail.lines(action="person.erased")
    told = json.loads(proof["detail"])
    assert (proof["actor"], told["images"], told["readings"], len(told["left_before"])) == ("anna", 2, 2, 1)
    assert {line["subject"] for line in service.trail.lines(action="image.erased")} == {
        f"image:{sha256}" for sha256 in found.images
    }
    assert patient not in str(list(service.trail.lines()))
    service.trail.verify()
    for again in ({"patient": patient}, {"reading": ids[0]}):
        with pytest.raises(NotThere):
            service.erasure.erase(**again, actor=ANNA)


def test_an_image_without_a_pseudonym_goes_by_itself_and_comes_back_when_it_is_sent_again(service: Service) -> None:
    ids = []
    for number in range(2):
        sha = stage(service, image_bytes(number))
        ids.append(service.readings.add(draft(0.9), image_sha256=sha, name="n.png", actor=ANNA)[0].id)
    found = service.erasure.erase(reading=ids[0], actor=ANNA)
    assert (found.patient, found.readings) == ("", (ids[0],))
    assert service.readings.image(ids[1], actor=ANNA)
    sha = stage(service, image_bytes(0))
    again, new = service.readings.add(draft(0.9), image_sha256=sha, name="new.png", actor=ANNA)
    assert (again.id, new, again.name, again.facts["format"]) == (ids[0], False, "new.png", "PNG")


def test_what_changed_since_it_was_looked_at_is_not_erased(service: Service) -> None:
    ids = read_all_over(service)
    key = service.erasure.look(reading=ids[0], actor=ANNA).key
    stage(service, film("4711", 5))
    with pytest.raises(Conflict, match="look again"):
        service.erasure.erase(reading=ids[0], key=key, actor=ANNA)
    assert SECRET in rows_kept(service)


def test_what_waits_is_taken_out_of_the_queue_and_what_is_being_read_is_waited_for(service: Service) -> None:
    batch = service.intake.take([(f"{SECRET}.dcm", film("4711", 0))], ReadingRequest("tuberculosis"), actor=ANNA)
    sha = stage(service, film("4711", 1))
    reading, _ = service.readings.add(draft(0.9), image_sha256=sha, name="n", actor=ANNA)
    claim = service.queue.claim()
    assert claim is not None
    with pytest.raises(Conflict, match="being read"):
        service.erasure.erase(reading=reading.id, actor=ANNA)
    service.queue.give_back(claim)
    assert service.erasure.erase(reading=reading.id, actor=ANNA).waiting == 1
    assert [(item.state, item.name, item.code) for item in service.queue.items(batch)] == [("cancelled", "", "erased")]
    assert service.queue.claim() is None


def test_no_picture_of_an_image_that_was_erased_while_it_was_read_is_kept(service: Service) -> None:
    sha = stage(service, image_bytes(0))
    first, _ = service.readings.add(draft(0.9), image_sha256=sha, name="n", actor=ANNA)
    service.erasure.erase(reading=first.id, actor=ANNA)
    with pytest.raises(NotThere, match="erased while"):
        service.readings.add(draft(0.9, operating_point="other"), image_sha256=sha, name=SECRET, actor=ANNA)
    assert not list(service.folder.glob(f"*/*/{sha}*"))
    assert SECRET not in rows_kept(service)


def test_a_killed_erasure_is_ended_by_the_next(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = read_all_over(service)
    forget, calls = ImageStore.forget, []

    def killed(store: ImageStore, sha256: str, **how: bool) -> int:
        calls.append(sha256)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forget(store, sha256, **how)

    monkeypatch.setattr(ImageStore, "forget", killed)
    with pytest.raises(KeyboardInterrupt):
        service.erasure.erase(reading=ids[0], actor=ANNA)
    assert not list(service.trail.lines(action="image.erased"))  # it claims nothing that a crash prevented
    assert len(service.erasure.erase(reading=ids[0], actor=ANNA).images) == 2
    assert SECRET not in rows_kept(service)


def test_what_a_kill_left_of_writing_an_image_or_a_picture_goes_too(service: Service) -> None:
    sha = stage(service, image_bytes(0))
    reading, _ = service.readings.add(draft(0.9), image_sha256=sha, name="n", actor=ANNA)
    left = [service.folder / kind / sha[:2] / f".{sha}.99-ab.new" for kind in ("images", "pictures")]
    for path in left:
        write_bytes(path, b"half of it", private=True)
        os.utime(path, (0, 0))
    being_written = left[0].with_name(f".{sha}.100-cd.new")  # the same image comes in again
    write_bytes(being_written, b"whole soon", private=True)
    service.erasure.erase(reading=reading.id, actor=ANNA)
    assert [path.exists() for path in (*left, being_written)] == [False, False, True]


@pytest.mark.parametrize("who", [{}, {"patient": "a" * 32, "reading": 1}, {"patient": "Doe"}, {"patient": "%" * 16}])
def test_only_a_pseudonym_or_a_number_says_who(service: Service, who: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        service.erasure.look(**who, actor=ANNA)  # type: ignore[arg-type]


def test_images_under_the_same_patient_line_are_pointed_to(service: Service) -> None:
    lines = PatientLines(service.database, service.images, "typed")
    ids = []
    for number in range(3):
        sha = stage(service, image_bytes(number))
        ids.append(service.readings.add(draft(0.9), image_sha256=sha, name="n", actor=ANNA)[0].id)
    for one in ids[:2]:
        lines.write(one, _line(), actor=ANNA)
    assert service.erasure.look(reading=ids[0], actor=ANNA).alike == (ids[1],)


def test_what_came_in_after_an_erasure_is_not_erased_by_it_again(service: Service) -> None:
    first = stage(service, film("4711", 0))
    reading, _ = service.readings.add(draft(0.9), image_sha256=first, name="n", actor=ANNA)
    service.erasure.erase(reading=reading.id, actor=ANNA)
    erasings = read_erasings(service.folder / ERASURES)
    for number in (0, 1):  # the person comes again, with the same image and another
        stage(service, film("4711", number))
    assert service.erasure.repeat(erasings, actor=ANNA) == 0
    assert service.images.exists(first)
    later = [replace(one, at=iso(now())) for one in erasings]
    assert service.erasure.repeat(later, actor=ANNA) == 2


def test_a_restored_backup_is_told_who_was_erased_since(service: Service, tmp_path: Path, request) -> None:
    ids = read_all_over(service)
    out = tmp_path / "one.tar.gz"
    back_up(service.database, service.images, out, actor=ANNA)
    service.erasure.erase(reading=ids[0], actor=ANNA)
    erasings = read_erasings(service.folder / ERASURES)
    assert SECRET not in (service.folder / ERASURES).read_text()
    url = "" if service.database.is_sqlite else request.getfixturevalue("empty_postgresql")
    facts = restore(out, tmp_path / "restored", url=url, erasings=erasings, actor=ANNA)
    assert facts.erased == 2
    again = Service.open({"DATA_FOLDER": str(tmp_path / "restored"), "DATABASE": url})
    try:
        assert SECRET not in rows_kept(again)
        assert SECRET.encode() not in bytes_kept(tmp_path / "restored")
        assert len(list(again.trail.lines(action="person.erased"))) == 1
        again.trail.verify()
        assert read_erasings(again.folder / ERASURES) == erasings
    finally:
        again.close()


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "no",
        '{"at": "x", "person": "", "images": []}',
        '{"at": "2026-01-01", "person": "Doe", "images": []}',
    ],
)
def test_a_list_of_erasures_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "list").write_text(line)
    with pytest.raises(DataInvalid, match="line 1"):
        read_erasings(tmp_path / "list")


def test_uploads_grow_old_too_and_names_of_refused_files_go(service: Service) -> None:
    asked = ReadingRequest("tuberculosis", source=f"{SECRET} ward")
    files = [(f"{SECRET}.txt", b"no image"), (f"{SECRET}.png", image_bytes(0))]
    old = service.intake.take(files, asked, actor=ANNA, idempotency_key=SECRET)
    waiting = service.intake.take([(f"{SECRET} waits.png", image_bytes(1))], asked, actor=ANNA)
    service.queue.cancel(old, actor=ANNA)
    young = service.intake.take([(f"{SECRET} young.txt", b"no image")], ReadingRequest("auto"), actor=ANNA)
    with service.database.begin() as session:
        for batch in (old, waiting):
            session.execute(update(BatchRow).where(BatchRow.id == batch).values(created_at=now() - timedelta(days=31)))
    assert service.retention.items_due(30) == 2
    found = service.retention.apply(30, actor=ANNA)
    assert (found.images, found.items, found.batches) == (0, 2, 1)
    assert [(item.name, item.message) for item in service.queue.items(old)] == [("", ""), ("", "")]
    assert service.queue.batch(old).asked.source == ""
    assert service.queue.items(waiting)[0].name == f"{SECRET} waits.png"
    assert service.queue.items(young)[0].name == f"{SECRET} young.txt"
    assert SECRET not in str(list(service.trail.lines()))
    (proof,) = service.trail.lines(action="uploads.emptied")
    assert json.loads(proof["detail"])["items"] == 2
    assert service.retention.apply(30, actor=ANNA).items == 0
    service.retention.apply(30, actor=ANNA)
    assert len(list(service.trail.lines(action="uploads.emptied"))) == 1


def test_retention_leaves_no_picture_of_another_bundle_and_no_answer_behind(service: Service) -> None:
    ids = read_all_over(service)
    with service.database.begin() as session:
        session.execute(update(ImageRow).values(received_at=now() - timedelta(days=31)))
        session.execute(update(BatchRow).values(created_at=now() - timedelta(days=31)))
    service.retention.apply(30, actor=ANNA)
    assert not [path for kind in ("images", "heatmaps", "pictures") for path in (service.folder / kind).glob("*/*")]
    with service.database.reading() as session:
        assert not session.scalars(select(ItemRow.name).where(ItemRow.name != "")).all()
        assert not session.scalars(select(ReviewRow.note).where(ReviewRow.note != "")).all()
        readings = session.scalars(select(ReadingRow)).all()
        assert [(row.name, "header" in row.facts) for row in readings] == [("", False)] * len(ids)
        assert not session.scalars(select(AnswerRow)).all()
