"""Views of one study that were uploaded one by one belong together, as those do that a node received."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import select, text

from secondread.service import Actor, Database, Service, StoredReading, together
from secondread.service.database import alembic_config
from secondread.service.retention import Retention
from secondread.service.tables import ImageRow, now
from secondread.testing.phantoms import chest_phantom, dicom_bytes
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

STUDY, PERSON = "1.2.826.0.1.3680043.10.999.3", "HOSP-4711"


def view(number: int, **facts: Any) -> bytes:
    """A film of the study, another one for each number."""
    said = {"StudyInstanceUID": STUDY, "PatientID": PERSON, "PatientName": "Okonkwo^Adaeze"} | facts
    return dicom_bytes(chest_phantom(48, random_state=number), SOPInstanceUID=f"1.2.3.{number + 1}", **said)


def keep(service: Service, data: bytes, probability: float = 0.2, **more: Any) -> StoredReading:
    """A reading of these bytes."""
    drafted = draft(probability, facts={"width": 48, "height": 48}, **more)
    return service.readings.add(drafted, image_sha256=stage(service, data), name="", source="", actor=ANNA)[0]


@pytest.fixture
def views(service: Service) -> list[StoredReading]:
    """Three of one study, the second of them positive."""
    return [keep(service, view(at), probability) for at, probability in enumerate((0.3, 0.9, 0.1))]


def test_views_sent_one_by_one_are_one_study_with_one_answer(service: Service, views: list[StoredReading]) -> None:
    told = service.studies.of([one.id for one in views], actor=ANNA)
    assert [told[one.id].n_views for one in views] == [3, 3, 3]
    assert len({told[one.id].study_uid for one in views}) == 1
    assert all(told[one.id].study and STUDY not in str(told[one.id]) for one in views)
    for one in views:
        around = service.studies.around(one, actor=ANNA)
        assert [other.id for other in around.views] == [other.id for other in views]
        assert around.answer is not None
        assert (around.answer.id, around.priors) == (views[1].id, ())


def test_another_study_of_that_person_is_earlier_and_its_rows_stand_apart(
    service: Service, views: list[StoredReading]
) -> None:
    other = keep(service, view(7, StudyInstanceUID="1.2.3"))
    around = service.studies.around(other, actor=ANNA)
    assert (around.views, around.answer) == ((), None)
    assert {one.id for one in around.priors} == {one.id for one in views}
    told = service.studies.of([other.id, *(one.id for one in views)], actor=ANNA)
    assert told[other.id].n_views == 1
    mixed = [views[0], other, views[2], views[1]]
    assert [one.id for one in together(mixed, told)] == [views[0].id, views[2].id, views[1].id, other.id]


def test_another_persons_images_under_the_same_number_are_no_views(
    service: Service, views: list[StoredReading]
) -> None:
    stranger = keep(service, view(8, PatientID="HOSP-2", PatientName="Other"))
    told = service.studies.of([stranger.id, views[0].id], actor=ANNA)
    assert (told[stranger.id].n_views, told[views[0].id].n_views) == (1, 3)
    assert service.studies.around(stranger, actor=ANNA).views == ()
    assert stranger.id not in {one.id for one in service.studies.around(views[0], actor=ANNA).views}
    assert [one.id for one in together([views[0], stranger, views[1]], told)] == [views[0].id, stranger.id, views[1].id]


def test_an_image_that_was_read_twice_is_one_view(service: Service, views: list[StoredReading]) -> None:
    again = keep(service, view(1), 0.4, bundle="tuberculosis/other@cccccccc", bundle_sha256="c" * 64)
    other_task = keep(service, view(1), 0.99, task="fracture", bundle="fracture/x@dddddddd", bundle_sha256="d" * 64)
    assert service.studies.of([views[0].id], actor=ANNA)[views[0].id].n_views == 3
    around = service.studies.around(views[0], actor=ANNA)
    assert [one.id for one in around.views] == [views[0].id, views[2].id, again.id]
    assert other_task.id not in {one.id for one in around.views}
    own = service.studies.around(views[1], actor=ANNA)
    assert [one.id for one in own.views] == [one.id for one in views]


def test_a_study_whose_views_were_asked_different_questions_has_no_one_answer(
    service: Service, views: list[StoredReading]
) -> None:
    keep(service, view(5), 0.99, task="fracture", bundle="fracture/x@dddddddd", bundle_sha256="d" * 64)
    around = service.studies.around(views[0], actor=ANNA)
    assert (len(around.views), around.answer) == (4, None)


def test_a_refused_view_leaves_the_answer_to_the_others(service: Service, views: list[StoredReading]) -> None:
    refused = draft(refusal="blank")
    service.readings.add(refused, image_sha256=stage(service, view(6)), name="", source="", actor=ANNA)
    around = service.studies.around(views[0], actor=ANNA)
    assert (len(around.views), around.answer) == (4, views[1])


def test_a_removed_reading_is_no_view(service: Service, views: list[StoredReading]) -> None:
    service.readings.delete([views[1].id], actor=ANNA)
    around = service.studies.around(views[0], actor=ANNA)
    assert [one.id for one in around.views] == [views[0].id, views[2].id]
    assert around.belongs.n_views == 2
    assert around.answer == views[0]


def test_a_study_of_more_views_than_are_shown_has_no_one_answer(
    service: Service, views: list[StoredReading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secondread.service.studies._MOST", 2)
    for one in views:
        around = service.studies.around(one, actor=ANNA)
        assert (len(around.views), around.belongs.n_views, around.answer) == (2, 3, None)
        assert one.id in {other.id for other in around.views}


def test_an_answer_that_is_withheld_is_not_told_by_its_study(service: Service, views: list[StoredReading]) -> None:
    bea = Actor("bea", "test", scopes=frozenset({"read", "review"}), opinion_first=True)
    around = service.studies.around(service.readings.get(views[0].id, actor=bea), actor=bea)
    assert around.answer is None
    assert [(one.hidden, one.decision, one.score) for one in around.views] == [(True, "", None)] * 3


def test_a_file_that_says_no_study_or_is_no_dicom_file_stands_alone(service: Service) -> None:
    without = [keep(service, view(at, StudyInstanceUID="")) for at in range(2)]
    film = keep(service, image_bytes(1))
    told = service.studies.of([*(one.id for one in without), film.id], actor=ANNA)
    assert [(told[one.id].study_uid, told[one.id].n_views) for one in without] == [("", 1)] * 2
    assert film.id not in told
    assert [one.id for one in service.studies.around(without[1], actor=ANNA).priors] == [without[0].id]


def test_views_without_a_patient_are_one_study_all_the_same(service: Service) -> None:
    nobody = {"PatientID": "", "PatientName": ""}
    first, second = (keep(service, view(at, **nobody)) for at in range(2))
    assert [one.id for one in service.studies.around(second, actor=ANNA).views] == [first.id, second.id]


def test_names_that_are_kept_in_files_change_nothing(keeping_names: Service) -> None:
    first, second = (keep(keeping_names, view(at)) for at in range(2))
    assert [one.id for one in keeping_names.studies.around(second, actor=ANNA).views] == [first.id, second.id]


@pytest.fixture
def keeping_names(service: Service) -> Service:
    service.intake.keep_identifiers = True
    return service


@pytest.mark.parametrize("how", ["erasure", "retention"])
def test_what_goes_with_the_patient_goes_of_the_study(
    service: Service, views: list[StoredReading], how: str, long_ago: Callable[[], None]
) -> None:
    study = service.studies.of([views[0].id], actor=ANNA)[views[0].id].study_uid
    other = keep(service, view(9, PatientID="HOSP-2", PatientName="Other"))
    if how == "erasure":
        service.erasure.erase(reading=views[0].id, actor=ANNA)
    else:
        long_ago()
        stage(service, view(9, PatientID="HOSP-2", PatientName="Other"))
        Retention(service.database, service.images).apply(30, actor=ANNA)
    with service.database.reading() as session:
        kept = session.scalars(select(ImageRow.study).order_by(ImageRow.study)).all()
        rows = session.connection().exec_driver_sql("SELECT * FROM trail").all()
    assert list(kept) == ["", "", "", study]
    assert study not in str(rows)
    assert service.studies.of([one.id for one in views], actor=ANNA) == {}
    assert service.studies.of([other.id], actor=ANNA)[other.id].n_views == 1
    again = keep(service, view(0))  # sent anew it is known anew
    assert service.studies.of([again.id], actor=ANNA)[again.id].study_uid == study


@pytest.fixture
def long_ago(service: Service) -> Callable[[], None]:
    def make() -> None:
        with service.database.begin() as session:
            for row in session.scalars(select(ImageRow)):
                row.received_at = now().replace(year=now().year - 1)

    return make


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_nodes_received_before_is_known_after_the_upgrade(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database = Database.open(tmp_path, "" if kind == "sqlite" else request.getfixturevalue("empty_postgresql"))
    with database.engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0022")
        for sha256, format_, erased in (
            ("object", "DICOM", "NULL"), ("stack", "series", "NULL"), ("slice", "DICOM", "NULL"),
            ("upload", "DICOM", "NULL"), ("gone", "DICOM", MOMENT),
        ):  # fmt: skip
            connection.execute(text(_IMAGE.format(sha256=sha256, format=format_, erased=erased)))
        connection.execute(text(_READING_OF_THE_STACK))
        for number, (sha256, reading) in enumerate((("object", "NULL"), ("slice", "1"), ("gone", "NULL"))):
            connection.execute(text(_OBJECT.format(number=number, sha256=sha256, reading=reading)))
    database.upgrade()
    with database.reading() as session:
        found = dict(session.execute(select(ImageRow.sha256, ImageRow.study)).all())
    assert found == {"object": "2.25.0", "stack": "2.25.1", "slice": "2.25.1", "upload": "", "gone": ""}
    database.close()


MOMENT = "'2026-01-01 00:00:00'"
_IMAGE = f"""INSERT INTO images (sha256, n_bytes, format, patient, deidentified, warnings, received_at, erased_at)
VALUES ('{{sha256}}', 1, '{{format}}', 'p', true, '[]', {MOMENT}, {{erased}})"""
_READING_OF_THE_STACK = f"""INSERT INTO readings (id, image_sha256, frame, frames, name, source, task, bundle,
bundle_sha256, point_key, operating_point, sort_score, decision, decision_text, refusal_code, refusal_message, warnings,
facts, has_thumbnail, heat_map, elapsed, created_at, created_by, triage, review_state, n_reviews, deleted_by)
VALUES (1, 'stack', 0, '[]', '', '', '', '', '', '', '', 0, '', '', '', '', '[]', '{{}}', false, '', 0, {MOMENT}, '',
0, 'open', 0, '')"""
_OBJECT = f"""INSERT INTO dicom_objects (sop_instance_uid, sop_class, series_uid, study_uid, transfer_syntax,
image_sha256, size, sha256, received_at, calling_aet, called_aet, peer, state, reason, rule, task, operating_point,
destinations, reading_id, modality, series_description, image_type, rows, columns, n_frames, attempts, next_attempt_at,
sealed) VALUES ('o{{number}}', '', '', '2.25.{{number}}', '', '{{sha256}}', 1, '', {MOMENT}, '', '', '', 'read', '', '',
'', '', '[]', {{reading}}, '', '', '', 0, 0, 1, 0, {MOMENT}, '')"""
