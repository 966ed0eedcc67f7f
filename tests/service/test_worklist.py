"""Filters, orders and pages; quick with ten thousand rows."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from secondread.errors import UnknownName, UsageError
from secondread.service import ORDERS, Filter, Service, triage_of
from secondread.service.tables import ImageRow, ReadingRow, now
from tests.service.conftest import ANNA
from tests.service.stubs import draft, image_bytes, stage

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(service: Service, n: int) -> None:
    """Readings without their files: of every decision, over a hundred days, with equal scores among them."""
    images, rows = [], []
    for number in range(n):
        refused = number % 50 == 0
        probability = None if refused else (number * 37 % 100) / 100
        decision = "" if refused else ("positive" if probability > 0.5 else "negative")
        images.append(
            {"sha256": f"{number:064x}", "n_bytes": 1, "format": "PNG", "patient": "", "deidentified": True,
             "warnings": [], "received_at": now()}
        )  # fmt: skip
        rows.append(
            {"image_sha256": f"{number:064x}", "frame": 0, "name": f"film_{number}%.png",
             "source": f"ward {number % 3}",
             "task": ("fracture", "tuberculosis")[number % 2], "bundle": "t/b@1", "bundle_sha256": "b" * 64,
             "point_key": "p", "probability": probability, "sort_score": -1.0 if refused else probability,
             "decision": decision, "refusal_code": "blank" if refused else "", "warnings": [], "facts": {},
             "created_at": START + timedelta(minutes=number * 14), "created_by": "anna", "review_state": "open",
             "triage": triage_of(decision=decision, probability=probability, review_state="open")}
        )  # fmt: skip
    with service.database.begin() as session:
        session.execute(insert(ImageRow), images)
        session.execute(insert(ReadingRow), rows)
    with service.database.begin() as session:
        session.execute(text("ANALYZE"))


def _all(service: Service, only: Filter | None = None, *, order: str, limit: int) -> list[int]:
    ids, after = [], None
    while True:
        page = service.worklist.page(only, order=order, after=after, limit=limit, actor=ANNA)
        ids += [row.id for row in page.rows]
        if page.next is None:
            return ids
        after = page.next


@pytest.mark.parametrize("order", ORDERS)
def test_pages_together_are_the_whole_list_in_its_order(service: Service, order: str) -> None:
    fill(service, 120)
    whole = service.worklist.page(order=order, limit=500, actor=ANNA).rows
    assert _all(service, order=order, limit=7) == [row.id for row in whole]
    assert len(whole) == 120
    keys = {
        "triage": lambda row: row.triage,
        "newest": lambda row: -row.created_at.timestamp(),
        "oldest": lambda row: row.created_at.timestamp(),
        "highest": lambda row: -(-1 if row.probability is None else row.probability),
        "lowest": lambda row: -1 if row.probability is None else row.probability,
    }
    values = [keys[order](row) for row in whole]
    assert values == sorted(values)


def test_each_filter_leaves_what_it_says(service: Service) -> None:
    fill(service, 120)
    rows = service.worklist.page(limit=500, actor=ANNA).rows
    middle = START + timedelta(minutes=60 * 14)
    cases = {
        Filter(task="fracture"): lambda row: row.task == "fracture",
        Filter(decision="positive"): lambda row: row.decision == "positive",
        Filter(refused=True): lambda row: bool(row.refusal_code),
        Filter(refused=False): lambda row: not row.refusal_code,
        Filter(since=middle): lambda row: row.created_at >= middle,
        Filter(until=middle): lambda row: row.created_at < middle,
        Filter(source="ward 1"): lambda row: row.source == "ward 1",
        Filter(text="FILM_1"): lambda row: row.name.startswith("film_1"),
        Filter(text="7%"): lambda row: "7%" in row.name,
        Filter(text="_%_"): lambda row: False,
        Filter(reviewed=True): lambda row: False,
        Filter(reviewed=False): lambda row: True,
        Filter(reviewer="bert"): lambda row: False,
    }
    for only, test in cases.items():
        wanted = sorted(row.id for row in rows if test(row))
        assert sorted(_all(service, only, order="newest", limit=50)) == wanted, only
        assert service.worklist.count(only) == len(wanted), only


def test_neighbours_are_those_of_the_list(service: Service) -> None:
    fill(service, 60)
    for order in ORDERS:
        ids = _all(service, order=order, limit=500)
        rows = {row.id: row for row in service.worklist.page(order=order, limit=500, actor=ANNA).rows}
        for at in (0, 1, 30, 59):
            before, after = service.worklist.neighbours(rows[ids[at]], order=order)
            assert before == (ids[at - 1] if at else None)
            assert after == (ids[at + 1] if at < 59 else None)


def test_triage_puts_first_what_needs_a_person_and_says_why(service: Service) -> None:
    drafts = [draft(0.1), draft(0.9), draft(0.6), draft(refusal="blank"), draft(0.4, low=0.2)]
    for number, one in enumerate(drafts):
        service.readings.add(one, image_sha256=stage(service, image_bytes(number)), name=str(number), actor=ANNA)
    rows = service.worklist.page(actor=ANNA).rows
    assert [row.name for row in rows] == ["1", "2", "4", "3", "0"]
    assert rows[0].reason == "positive, not reviewed yet (score 90)"
    assert "no one has judged" in rows[3].reason


def test_a_cursor_of_another_list_is_refused(service: Service) -> None:
    fill(service, 10)
    cursor = service.worklist.page(order="newest", limit=3, actor=ANNA).next
    for wrong in (cursor, "AAAA", "", "é"):
        with pytest.raises(UsageError):
            service.worklist.page(order="triage", after=wrong, actor=ANNA)
    with pytest.raises(UnknownName, match="triage"):
        service.worklist.page(order="triag", actor=ANNA)
    with pytest.raises(UnknownName):
        Filter(decision="maybe")
    with pytest.raises(UsageError, match="time zone"):
        Filter(since=datetime(2026, 1, 1))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.text(max_size=60))
def test_any_cursor_is_a_page_or_a_clear_refusal(sqlite_service: Service, cursor: str) -> None:
    with suppress(UsageError):
        sqlite_service.worklist.page(after=cursor, actor=ANNA)


@pytest.fixture
def sqlite_service(tmp_path):
    opened = Service.open({"DATA_FOLDER": str(tmp_path)})
    yield opened
    opened.close()


def test_an_export_holds_every_row_and_the_contract_of_read(service: Service) -> None:
    from tests.reading.test_reader import CONTRACT

    fill(service, 1100)
    rows = list(service.worklist.export(Filter(task="fracture"), actor=ANNA))
    assert len(rows) == 550
    assert list(rows[0].to_dict())[: len(CONTRACT)] == CONTRACT
    assert service.worklist.choices()["source"] == ["ward 0", "ward 1", "ward 2"]
