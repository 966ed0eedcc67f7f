"""The same request sent again creates nothing twice: in any process, after a restart, at the same moment."""

import threading
from datetime import timedelta

from sqlalchemy import func, select

from secondread.service import Actor, Answer, Service, answers
from secondread.service.tables import AnswerRow

MADE = Answer(201, "application/json", '{"name": "berta"}')


def _other_process(service: Service) -> Service:
    url = "" if service.database.is_sqlite else service.database.url.render_as_string(hide_password=False)
    return Service.open({"DATA_FOLDER": str(service.folder), "DATABASE": url}, upgrade=False)


def test_a_repeated_request_has_the_first_answer_in_another_process_too(service: Service) -> None:
    assert service.answers.begin("anna one", b"body") == "new"
    assert service.answers.begin("anna one", b"body") == "in_progress"
    service.answers.end("anna one", MADE)
    other = _other_process(service)
    assert other.answers.begin("anna one", b"body") == MADE
    assert other.answers.begin("anna one", b"another body") == "other_request"
    assert other.answers.begin("anna two", b"body") == "new"
    other.close()


def test_a_request_that_failed_can_be_tried_again(service: Service) -> None:
    assert service.answers.begin("key", b"") == "new"
    service.answers.end("key", None)
    assert service.answers.begin("key", b"") == "new"


def test_of_many_at_the_same_moment_one_is_new(service: Service) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(service.answers.begin("key", b"body"))) for _ in range(12)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["in_progress"] * 11 + ["new"]


def test_answers_are_forgotten_after_a_day_and_killed_requests_sooner(service: Service, monkeypatch) -> None:
    service.answers.begin("answered", b"")
    service.answers.end("answered", MADE)
    service.answers.begin("killed", b"")
    start = answers.now()
    monkeypatch.setattr(answers, "now", lambda: start + timedelta(minutes=11))
    assert service.answers.begin("killed", b"") == "new"
    assert service.answers.begin("answered", b"") == MADE
    monkeypatch.setattr(answers, "now", lambda: start + timedelta(hours=25))
    assert service.answers.begin("answered", b"") == "new"
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AnswerRow)) == 1


def test_retention_forgets_old_answers_on_a_server_that_nobody_asks(service: Service, monkeypatch) -> None:
    service.answers.begin("answered", b"")
    service.answers.end("answered", MADE)
    start = answers.now()
    monkeypatch.setattr(answers, "now", lambda: start + timedelta(hours=25))
    service.retention.apply(30, actor=Actor("keeper"))
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AnswerRow)) == 0


def test_neither_key_nor_request_can_be_found_in_the_table(service: Service) -> None:
    """A request may hold a password: what is kept of it cannot be guessed at without this site's secret."""
    service.answers.begin("anna", b'{"password": "easy"}')
    with service.database.reading() as session:
        (row,) = session.scalars(select(AnswerRow)).all()
    other = answers.Answers(service.database, lambda: b"another site's")
    assert row.request_sha256 == service.answers.digest(b'anna{"password": "easy"}')
    assert row.request_sha256 != other.digest(b'anna{"password": "easy"}')


def test_a_clock_that_is_set_back_does_not_keep_a_request_waiting_for_a_day(service: Service, monkeypatch) -> None:
    service.answers.begin("killed", b"")
    service.answers.begin("answered", b"")
    service.answers.end("answered", MADE)
    start = answers.now()
    monkeypatch.setattr(answers, "now", lambda: start - timedelta(hours=23))
    assert service.answers.begin("killed", b"") == "new"
    assert service.answers.begin("answered", b"") == MADE
    monkeypatch.setattr(answers, "now", lambda: start - timedelta(hours=25))
    assert service.answers.begin("answered", b"") == "new"


def test_of_answers_on_a_reading_those_that_tell_of_it_are_forgotten_and_no_others(service: Service) -> None:
    bodies = {
        "opinion": '{"reading_id":12,"note":"n"}',
        "sent": '{"readings": [{"path": "a.png", "id": 7}, {"path": "b.png", "id": 12}]}',
        "compact": '{"readings":[{"path":"a.png","id":12}]}',
        "others": '{"readings": [{"path": "a.png", "id": 123}, {"path": "text", "id": null}]}',
        "account": '{"id":12,"name":"berta"}',
        "text": '"id": 12',
    }
    for name, body in bodies.items():
        service.answers.begin(name, b"")
        service.answers.end(name, Answer(200, "application/json", body))
    with service.database.begin() as session:
        answers.forget_answers_on(session, [12])
        left = set(session.scalars(select(AnswerRow.body)))
    assert left == {bodies[name] for name in ("others", "account", "text")}
    with service.database.begin() as session:
        answers.forget_answers_on(session, range(100, 200))  # more than are looked for one by one
        left = set(session.scalars(select(AnswerRow.body)))
    assert left == {bodies[name] for name in ("account", "text")}
