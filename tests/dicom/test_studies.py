"""What the worklist and the room say of patient, study and series; in so many statements whatever the length."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, select, text, update

from secondread.service import Actor, ReadingRequest, Service, StoredReading, Studies, Worker, together
from secondread.service.dicom_tables import DicomObjectRow
from secondread.service.tables import ImageRow, ReadingRow, now
from secondread.web import create_app
from tests.counted import counted
from tests.dicom.scu import radiograph
from tests.dicom.slices import bytes_of, take
from tests.service.conftest import ANNA
from tests.service.stubs import draft
from tests.several import bright_reader

STUDIES = ("1", "2", "2", "3")  # of four films: the second and third are views of one study


@pytest.fixture
def filled(service: Service) -> Service:
    """Four films of one patient and one of another, received and read."""
    films = [
        radiograph(at, StudyInstanceUID=f"1.2.3.{study}", SeriesInstanceUID=f"1.2.4.{at}", SeriesNumber=at + 1)
        for at, study in enumerate(STUDIES)
    ]
    other = radiograph(9, StudyInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.4.9", PatientID="HOSP-1", PatientName="B")
    take(service, [*films, other])
    reader = bright_reader("tuberculosis/paper")
    Worker(service.dicom, service.desk(lambda *_: reader).look).run_until_empty()
    return service


def readings(service: Service) -> list[StoredReading]:
    with service.database.reading() as session:
        return [StoredReading.of(row) for row in session.scalars(select(ReadingRow).order_by(ReadingRow.id))]


def test_every_reading_says_its_patient_by_pseudonym_its_study_and_series(filled: Service) -> None:
    rows = readings(filled)
    told = filled.studies.of([row.id for row in rows], actor=ANNA)
    assert [told[row.id].n_views for row in rows] == [1, 2, 2, 1, 1]
    assert [told[row.id].series for row in rows[:3]] == ["CR series 1", "CR series 2", "CR series 3"]
    assert len({told[row.id].patient for row in rows[:4]}) == 1
    assert told[rows[4].id].patient != told[rows[0].id].patient
    assert told[rows[1].id].study_uid == told[rows[2].id].study_uid != told[rows[0].id].study_uid
    assert not any("Okonkwo" in str(one) or "HOSP" in str(one) or "ACC" in str(one) for one in told.values())


def test_names_are_told_where_the_site_says_so_and_each_look_is_in_the_trail(filled: Service) -> None:
    rows = readings(filled)
    studies = Studies(filled.database, filled.identities, shown="name")
    told = studies.of([row.id for row in rows], actor=ANNA)
    assert told[rows[0].id].patient == "Okonkwo Adaeze (HOSP-4711)"
    assert told[rows[0].id].accession == "ACC-0815"
    lines = list(filled.trail.lines(action="identity.unsealed"))
    assert (len(lines), lines[0]["actor"]) == (1, ANNA.name)


def test_nothing_is_told_where_the_site_wants_none(filled: Service) -> None:
    studies = Studies(filled.database, filled.identities, shown="off")
    assert studies.of([row.id for row in readings(filled)], actor=ANNA) == {}
    assert studies.around(readings(filled)[0], actor=ANNA).belongs.patient == ""


def test_a_study_answers_by_its_most_urgent_view_and_names_it(filled: Service) -> None:
    rows = readings(filled)
    with filled.database.begin() as session:
        for at, (decision, chance) in enumerate([("negative", 0.99), ("positive", 0.6), ("uncertain", 0.5)]):
            session.execute(
                update(ReadingRow).where(ReadingRow.id == rows[at].id).values(decision=decision, probability=chance)
            )
    around = filled.studies.around(readings(filled)[2], actor=ANNA)
    assert [one.id for one in around.views] == [rows[1].id, rows[2].id]
    assert around.answer is not None
    assert around.answer.id == rows[1].id
    assert filled.studies.around(readings(filled)[0], actor=ANNA).answer is None  # one view is its own answer


def test_a_view_that_is_uploaded_joins_the_study_that_the_node_received(filled: Service) -> None:
    rows = readings(filled)
    sent = bytes_of(radiograph(20, StudyInstanceUID="1.2.3.2"))
    reader = bright_reader("tuberculosis/paper")
    filled.intake.take([("third.dcm", sent)], ReadingRequest("tuberculosis"), actor=ANNA)
    Worker(filled.queue, filled.desk(lambda *_: reader).look).run_until_empty()
    uploaded = readings(filled)[-1]
    told = filled.studies.of([rows[1].id, uploaded.id], actor=ANNA)
    assert [told[number].n_views for number in (rows[1].id, uploaded.id)] == [3, 3]
    assert (told[uploaded.id].study_uid, told[uploaded.id].patient) == (
        told[rows[1].id].study_uid,
        told[rows[1].id].patient,
    )
    for one in (rows[1], uploaded):
        views = filled.studies.around(one, actor=ANNA).views
        assert [other.id for other in views] == [rows[1].id, rows[2].id, uploaded.id]
    named = Studies(filled.database, filled.identities, shown="name").of([uploaded.id], actor=ANNA)
    assert named[uploaded.id].patient == "Okonkwo Adaeze (HOSP-4711)"


@pytest.mark.parametrize("whose", [{"PatientID": "HOSP-1", "PatientName": "B"}, {"PatientID": "", "PatientName": ""}])
def test_an_upload_under_the_number_of_another_persons_study_is_told_no_name(
    filled: Service, whose: dict[str, str]
) -> None:
    """Neither is the study itself: whose of the two it is, nobody here knows."""
    sha256 = filled.intake.stage(bytes_of(radiograph(20, StudyInstanceUID="1.2.3.2", **whose)), actor=ANNA).sha256
    drafted = filled.readings.add(draft(0.9), image_sha256=sha256, name="", source="", actor=ANNA)[0]
    studies = Studies(filled.database, filled.identities, shown="name")
    told = studies.of([drafted.id, *(row.id for row in readings(filled)[:2])], actor=ANNA)
    assert told[drafted.id].n_views == 1
    assert "Okonkwo" not in told[drafted.id].patient
    first, second = readings(filled)[:2]
    assert ("Okonkwo" in told[first.id].patient, "Okonkwo" in told[second.id].patient) == (True, False)


def test_priors_are_of_the_same_patient_and_earlier(filled: Service) -> None:
    rows = readings(filled)
    with filled.database.begin() as session:
        for at, row in enumerate(rows):
            moment = now() - timedelta(days=10 - at)
            session.execute(update(ReadingRow).where(ReadingRow.id == row.id).values(created_at=moment))
    priors = [[one.id for one in filled.studies.around(row, actor=ANNA).priors] for row in readings(filled)]
    first, second, third, _, other = (row.id for row in rows)
    assert priors == [[], [first], [first], [third, second, first], []]
    assert other not in {one for some in priors for one in some}


def test_an_answer_that_is_withheld_is_not_told_by_its_study(filled: Service) -> None:
    first = Actor("bea", "test", scopes=frozenset({"read", "review"}), opinion_first=True)
    around = filled.studies.around(readings(filled)[2], actor=first)
    assert around.answer is None
    assert [(one.hidden, one.decision, one.score) for one in around.views] == [(True, "", None)] * 2


def test_views_of_a_study_stand_together_and_nothing_else_moves(filled: Service) -> None:
    rows = readings(filled)
    told = filled.studies.of([row.id for row in rows], actor=ANNA)
    apart = [rows[1], rows[0], rows[4], rows[2], rows[3]]
    assert [row.id for row in together(apart, told)] == [rows[at].id for at in (1, 2, 0, 4, 3)]
    assert together(apart, {}) == apart


def test_a_page_costs_three_statements_whatever_its_length_and_that_of_the_list(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [row.id for row in readings(filled)]
    n = 2000
    with filled.database.begin() as session:
        session.execute(
            insert(ImageRow),
            [
                {"sha256": f"{at:064x}", "n_bytes": 1, "format": "PNG", "patient": f"{at % 50:032x}",
                 "deidentified": True, "warnings": [], "received_at": now()}
                for at in range(n)
            ],
        )  # fmt: skip
        session.execute(
            insert(ReadingRow),
            [
                {"image_sha256": f"{at:064x}", "frame": 0, "name": "", "source": "", "bundle_sha256": "b" * 64,
                 "point_key": "p", "probability": 0.5, "sort_score": 0.5, "decision": "negative", "warnings": [],
                 "facts": {}, "created_at": now(), "review_state": "open", "triage": 5.5}
                for at in range(n)
            ],
        )  # fmt: skip
    with filled.database.reading() as session:
        many = [*ids, *session.scalars(select(ReadingRow.id).where(ReadingRow.id.not_in(ids)).limit(195))]
    for some in (ids[:1], ids, many):
        with counted(monkeypatch, filled.database) as work:
            filled.studies.of(some, actor=ANNA)
        assert len([one for one in work.statements if one.lstrip().upper().startswith("SELECT")]) == 3, work.statements


def test_the_statements_find_their_rows_by_an_index(filled: Service) -> None:
    if filled.database.url.get_backend_name() != "sqlite":
        pytest.skip("a planner of PostgreSQL reads a small table as a whole")
    by_patient = select(ReadingRow.id).join(ImageRow, ImageRow.sha256 == ReadingRow.image_sha256)
    for statement in (
        by_patient.where(ImageRow.patient == "a"),
        by_patient.where(ImageRow.study == "a"),
        select(DicomObjectRow.id).where(DicomObjectRow.reading_id.in_([1, 2])),
        select(DicomObjectRow.id).where(DicomObjectRow.study_uid == "a"),
    ):
        with filled.database.reading() as session:
            compiled = statement.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
            plan = [str(row) for row in session.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
        assert not any("SCAN" in line for line in plan), plan


@pytest.fixture
def client(filled: Service) -> FlaskClient:
    app = create_app({"DATA_FOLDER": str(filled.folder), "DATABASE": str(filled.database.url.render_as_string(False))})
    return app.test_client()


def test_the_pages_say_so(client: FlaskClient, filled: Service) -> None:
    page = client.get("/worklist").text
    assert page.count("2 views of this study") == 2
    assert (page.count(" first-view"), page.count(" same-study")) == (1, 1)
    assert "Okonkwo" not in page
    room = client.get(f"/readings/{readings(filled)[2].id}").text
    assert "Views of this study" in room
    assert "The study&#39;s answer:" in room or "The study's answer:" in room
    assert "Earlier readings of this patient" in room


def test_the_api_says_so_too_as_the_site_lets_it(client: FlaskClient, filled: Service) -> None:
    listed = {row["id"]: row["belongs"] for row in client.get("/api/v1/readings").json["readings"]}
    told = filled.studies.of(list(listed), actor=ANNA)
    assert len(listed) == 5
    assert {number: vars(one) for number, one in told.items()} == listed
    number = readings(filled)[1].id
    assert client.get(f"/api/v1/readings/{number}").json["belongs"] == listed[number]
    assert listed[number]["n_views"] == 2
    assert "Okonkwo" not in str(listed)
    where = {"DATA_FOLDER": str(filled.folder), "DATABASE": str(filled.database.url.render_as_string(False))}
    named = create_app(where | {"WORKLIST_PATIENT": "name"}).test_client()
    assert named.get(f"/api/v1/readings/{number}").json["belongs"]["patient"] == "Okonkwo Adaeze (HOSP-4711)"
    silent = create_app(where | {"WORKLIST_PATIENT": "off"}).test_client()
    assert silent.get(f"/api/v1/readings/{number}").json["belongs"] is None
