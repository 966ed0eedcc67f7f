"""Pages out of many readings: the same rows as the plain statement gives, by indices, and never too many at a time."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from benchmarks._many_rows import BUNDLES, RARE, fill, filters_of
from sqlalchemy import event

from secondread.service import ORDERS, Filter, Service, filters, walking, worklist
from tests.service.conftest import ANNA, new_postgresql

N = 6000
FILTERS = filters_of(N)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A store of N readings, three of them deleted."""
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            tables = request.getfixturevalue("postgresql_tables")  # a skip where none answers
            url = stack.enter_context(new_postgresql(tables))
        opened = Service.open({"DATA_FOLDER": str(tmp_path_factory.mktemp("many")), "DATABASE": url})
        stack.callback(opened.close)
        fill(opened, N)
        for reading_id in (5, 78, 4001):
            opened.readings.delete([reading_id], actor=ANNA)
        yield opened


def _statements(service: Service, work: Any) -> list[tuple[str, Any]]:
    """What was asked of the tables of readings, reviews and items."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith(("SELECT", "WITH")) and re.search(r"FROM (readings|reviews|items)", statement):
            seen.append((statement, parameters))

    event.listen(service.database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(service.database.engine, "before_cursor_execute", note)
    return seen


def _plan(service: Service, statement: str, parameters: Any) -> str:
    prefix = "EXPLAIN QUERY PLAN " if service.database.is_sqlite else "EXPLAIN "
    with service.database.reading() as session:
        return "\n".join(str(row[-1]) for row in session.connection().exec_driver_sql(prefix + statement, parameters))


@pytest.mark.parametrize(("few", "windows"), [(walking.FEW, (2000, 8000)), (40, (60, 200))], ids=["as it is", "tight"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_walk_shows_the_rows_of_the_plain_statement(
    many: Service, monkeypatch: pytest.MonkeyPatch, order: str, few: int, windows: tuple[int, ...]
) -> None:
    """Each row once and in the same order, for every filter, whichever way it is found."""
    monkeypatch.setattr(walking, "FEW", few)
    monkeypatch.setattr(walking, "_WINDOWS", windows)
    monkeypatch.setattr(walking, "_TRIAL", windows[0] // 5)
    named = walking.order_named(order)
    for name, only in FILTERS.items():
        with many.database.reading() as session:
            plain = filters.conditions_of(only).order_by(*named.keys()).limit(130)
            wanted = [row.id for row in session.scalars(plain)]
            found: list[int] = []
            after, pages = None, 0
            while len(found) < len(wanted) and pages < 300:
                part = walking.rows_of(session, only, named, after=after, limit=50)
                found += [row.id for row in part.rows]
                last = part.rows[-1] if part.rows else None
                full = len(part.rows) == 50
                after = (getattr(last, named.column.key), last.id) if full and last is not None else part.rest
                pages += 1
                if after is None:
                    break
            assert found[:130] == wanted, name


def test_every_page_of_many_readings_is_read_from_an_index(many: Service) -> None:
    """No statement of the page goes through the table, whatever the filter and the order; nor does one for the form."""
    for name, only in FILTERS.items():
        for order in ORDERS:
            work = lambda only=only, order=order: many.worklist.page(only, order=order, actor=ANNA)  # noqa: E731
            for statement, parameters in _statements(many, work):
                _check(_plan(many, statement, parameters), f"{name}, {order}: {statement}")
    for work in (many.worklist.choices, many.worklist.about):
        for statement, parameters in _statements(many, work):
            _check(_plan(many, statement, parameters), statement)


def _check(plan: str, what: str) -> None:
    """Of SQLite: no table is scanned. PostgreSQL may scan one this small, and has statistics to know when not to."""
    scans = re.findall(r"SCAN (readings|reviews|items)(?! USING)", plan)
    assert not scans, f"{what}\n{plan}"


def test_all_names_are_gone_through_only_where_few_hold_what_is_asked(many: Service) -> None:
    """Of a common part a short walk fills the page; a rare one is looked for in all names, once; one letter never."""

    def scans(text: str) -> int:
        work = lambda: many.worklist.page(Filter(text=text), order="lowest", actor=ANNA)  # noqa: E731
        return sum("LIMIT" in sql and "ORDER BY" not in sql for sql, _ in _statements(many, work))

    assert scans("film_1") == 0
    assert scans(f"_{N - 1}.") == 1
    assert scans("there is no such name") == 1
    assert scans("%") == 0


def test_parts_of_names_have_an_index_where_postgresql_can_make_one(many: Service) -> None:
    """By trigrams: it finds a part of three letters and more."""
    if many.database.is_sqlite:
        pytest.skip("SQLite has none: it goes through a million names in 80 ms")
    with many.database.reading() as session:
        connection = session.connection()
        if not connection.exec_driver_sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'").scalar():
            pytest.skip("this PostgreSQL has no pg_trgm, or this account may not create it")
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexonlyscan = off")
        rare = filters.conditions_of(FILTERS["rare name"])
        found = session.scalars(rare.with_only_columns(walking.ReadingRow.id)).all()
        sql = str(rare.compile(connection, compile_kwargs={"literal_binds": True})).replace("%%", "%")
        plan = "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + sql.replace("%", "%%")))
    assert found == [N]
    assert "ix_readings_part_of_name" in plan, plan


def test_few_rows_are_looked_at_for_a_page(many: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing fits the walk stops after its windows, says where, and goes on from there to the end."""
    monkeypatch.setattr(walking, "FEW", 10)
    monkeypatch.setattr(walking, "_WINDOWS", (100, 400))
    only = Filter(source="ward 7", bundle="of no whole name")
    after, pages = None, 0
    while pages == 0 or after is not None:
        page = many.worklist.page(only, order="highest", after=after, actor=ANNA)
        assert page.rows == ()
        after, pages = page.next, pages + 1
    assert pages == -(-(N - 3) // 500)


def test_how_many_there_are_is_told_as_far_as_it_is_soon_known(many: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    about = many.worklist.about
    assert (about().n, about().exact) == (N - 3, True)
    monkeypatch.setattr(worklist, "COUNTED", 3000)
    assert (about().n, about().exact) == (3000, False)
    for name in ("rare task", "disputed", "rare name", "batch", "image", "between"):
        told = about(FILTERS[name])
        assert (told.n, told.exact) == (many.worklist.count(FILTERS[name]), True), name
    monkeypatch.setattr(walking, "FEW", 10)
    page = many.worklist.page(FILTERS["three at once"], actor=ANNA)
    told = about(FILTERS["three at once"], page=page)
    assert (told.n, told.exact) == (50, False)
    monkeypatch.setattr(walking, "_WINDOWS", (N,))
    last = many.worklist.page(FILTERS["three at once"], order="newest", limit=500, actor=ANNA)
    assert about(FILTERS["three at once"], page=last) == type(told)(len(last.rows), True)


def test_the_form_offers_what_is_there(many: Service) -> None:
    found = many.worklist.choices()
    assert found["task"] == sorted(["tuberculosis", "fracture", RARE["task"]])
    assert found["source"] == sorted([*(f"ward {n}" for n in range(40)), RARE["source"]])
    assert found["bundle"] == sorted([*BUNDLES, RARE["bundle"]])
    assert found["reviewer"] == sorted(["anna", "bert", RARE["reviewer"]])
