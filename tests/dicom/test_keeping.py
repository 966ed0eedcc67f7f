"""Erasing, backing up and restoring what came in by DICOM, and whose it is."""

from pathlib import Path

import pytest

from secondread.dicom.node import Node
from secondread.errors import NotThere, ServiceError
from secondread.service import IDENTIFY, LOCAL, Actor, Service, back_up, restore
from tests.dicom.scu import NAME, Called, radiograph, send

NODE = Actor("node", scopes=frozenset({IDENTIFY}))
OTHERS = {"PatientID": "HOSP-2", "PatientName": "Other", "StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}


def person_of(service: Service, study_uid: str) -> str:
    """The pseudonym under which an erasure finds a person."""
    row = next(row for row in service.dicom.latest() if row.study_uid == study_uid)
    assert row.image_sha256 is not None
    return service.intake.staged(row.image_sha256).patient or _patient_of(service, row.image_sha256)


def _patient_of(service: Service, sha256: str) -> str:
    from secondread.service.tables import ImageRow

    with service.database.reading() as session:
        return session.get_one(ImageRow, sha256).patient


def test_an_erased_persons_identity_and_objects_go_and_others_stay(node: Node, service: Service) -> None:
    send(node, radiograph(0), radiograph(1), radiograph(2, **OTHERS))
    other, _, mine = service.dicom.latest()
    service.erasure.erase(patient=person_of(service, mine.study_uid), actor=LOCAL)
    with pytest.raises(NotThere, match="erased"):
        service.identities.unseal(mine.study_uid, actor=NODE)
    assert service.identities.unseal_instances([mine.sop_instance_uid], actor=NODE) == {}
    assert service.dicom.kept([mine.sop_instance_uid, other.sop_instance_uid]) == {other.sop_instance_uid}
    assert service.identities.unseal(other.study_uid, actor=NODE).patient_id == "HOSP-2"
    assert [row.state for row in service.dicom.latest()] == ["received", "failed", "failed"]
    assert service.dicom.claim() is not None
    assert service.dicom.claim() is None


def test_what_was_erased_comes_back_when_it_is_sent_again(node: Node, service: Service) -> None:
    send(node, radiograph())
    [row] = service.dicom.latest()
    service.erasure.erase(patient=person_of(service, row.study_uid), actor=LOCAL)
    assert send(node, radiograph()) == [Called(0x0000)]
    [again] = service.dicom.latest()
    assert (again.id, again.state) == (row.id, "received")
    assert service.identities.unseal(row.study_uid, actor=NODE).patient_name == NAME


def test_a_restored_backup_knows_objects_and_opens_identities_with_its_key(
    node: Node, service: Service, tmp_path: Path
) -> None:
    if not service.database.is_sqlite:
        pytest.skip("a restore into PostgreSQL takes an empty database; its dump holds every table")
    send(node, radiograph())
    [row] = service.dicom.latest()
    back_up(service.database, service.images, tmp_path / "backup.tar.gz", actor=LOCAL)
    restore(tmp_path / "backup.tar.gz", tmp_path / "again")
    restored = Service.open({"DATA_FOLDER": str(tmp_path / "again")})
    try:
        assert [one.id for one in restored.dicom.latest()] == [row.id]
        assert restored.identities.unseal(row.study_uid, actor=NODE).patient_name == NAME
        assert restored.dicom.claim() is not None  # what was not read yet is read after it
    finally:
        restored.close()


def test_an_erasure_is_done_again_on_an_older_backup(node: Node, service: Service, tmp_path: Path) -> None:
    from secondread.service import read_erasings

    if not service.database.is_sqlite:
        pytest.skip("as above")
    send(node, radiograph())
    [row] = service.dicom.latest()
    back_up(service.database, service.images, tmp_path / "backup.tar.gz", actor=LOCAL)
    service.erasure.erase(patient=person_of(service, row.study_uid), actor=LOCAL)
    erasings = read_erasings(service.folder / "erasures.jsonl")
    restore(tmp_path / "backup.tar.gz", tmp_path / "again", erasings=erasings)
    restored = Service.open({"DATA_FOLDER": str(tmp_path / "again")})
    try:
        with pytest.raises(NotThere):
            restored.identities.unseal(row.study_uid, actor=NODE)
    finally:
        restored.close()


def test_identities_do_not_open_with_another_key(node: Node, service: Service, tmp_path: Path) -> None:
    service.identities.check_key()  # nothing is sealed yet
    send(node, radiograph())
    service.identities.check_key()
    [row] = service.dicom.latest()
    (tmp_path / "other.key").write_bytes(b"x" * 32)
    other = Service.open(
        {"DATA_FOLDER": str(service.folder), "SITE_KEY": str(tmp_path / "other.key"),
         "DATABASE": "" if service.database.is_sqlite else service.database.url.render_as_string(hide_password=False)},
        upgrade=False,
    )  # fmt: skip
    try:
        with pytest.raises(ServiceError, match="another key"):
            other.identities.unseal(row.study_uid, actor=NODE)
        with pytest.raises(ServiceError, match="another key"):
            other.identities.check_key()
    finally:
        other.close()


def test_a_sealed_identity_does_not_open_as_another_studys(node: Node, service: Service) -> None:
    send(node, radiograph(0), radiograph(1, **OTHERS))
    first, second = service.dicom.latest()
    from sqlalchemy import update

    from secondread.service.dicom_tables import DicomIdentityRow

    sealed = service.identities.seal(first.study_uid, service.identities.unseal(first.study_uid, actor=NODE))
    with service.database.begin() as session:
        session.execute(
            update(DicomIdentityRow).where(DicomIdentityRow.study_uid == second.study_uid).values(sealed=sealed)
        )
    with pytest.raises(ServiceError):
        service.identities.unseal(second.study_uid, actor=NODE)
