"""Up to a million readings in the worklist: time of every filter in every order, and of the page, at the server.

python -m benchmarks.worklist_time [--readings 10000 100000 1000000] [--kinds sqlite postgresql] [--rounds 5]
results in benchmarks/results/worklist_time.json
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import _many_rows, _served
from benchmarks._common import save
from secondread.service import LOCAL, ORDERS, Service
from secondread.web import create_app

ASKED_MS = 100
PAGES = {
    "/worklist": {},
    "/worklist, the open ones": {"review_state": "open"},
    "/worklist, positives, newest first": {"decision": "positive", "order": "newest"},
    "/worklist, one ward": {"source": "ward 7", "order": "oldest"},
    "/worklist, part of a name": {"text": "film_99"},
    "/worklist, only its rows": {"part": "rows", "order": "newest"},
    "/api/v1/readings": {},
    "/api/v1/readings, 200 of the highest": {"order": "highest", "limit": "200"},
}


def main() -> None:
    """On SQLite and on PostgreSQL, each store growing from one size to the next."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--readings", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    results = {kind: _measure(kind, sorted(options.readings), options.rounds) for kind in options.kinds}
    largest = str(max(options.readings))
    slowest = {
        kind: {what: _slowest(table[largest][what]) for what in ("pages_ms", "queries_ms", "names_ms")}
        for kind, table in results.items()
    }
    pages = max(found["pages_ms"]["p50"] for found in slowest.values())
    save(
        "worklist_time",
        {
            "command": " ".join(["python -m benchmarks.worklist_time", *sys.argv[1:]]),
            "what": f"milliseconds at the server for 50 of so many readings, {options.rounds} times each and one that "
            "warms up; each look is a line of the audit trail, part of the time; queries: every filter in every order",
            "asked": f"pages at {largest} readings under {ASKED_MS} ms",
            "load_average_before": round(before, 1),
            "slowest_at_most_readings": slowest,
            **results,
        },
    )
    sys.exit(0 if pages < ASKED_MS else 1)


def _measure(kind: str, sizes: list[int], rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, _served.empty_database(kind) as url:
        given = {"DATA_FOLDER": str(Path(name) / "data"), "DATABASE": url}
        service = Service.open(given)
        client = create_app(given).test_client()
        had = 0
        for n in sizes:
            started = time.perf_counter()
            _many_rows.fill(service, n, first=had)
            had = n
            print(f"{kind}: {n} readings made in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            found[str(n)] = {**_looked_at(service, client, n, rounds), "bytes": _bytes(service, Path(name))}
        service.close()
    return found


def _looked_at(service: Service, client: Any, n: int, rounds: int) -> dict[str, Any]:
    """Times of one size. Names are apart: part of one is looked for in all of them."""
    queries: dict[str, Callable[[], object]] = {}
    names: dict[str, Callable[[], object]] = {}
    for what, only in _many_rows.filters_of(n).items():
        for order in ORDERS:
            work = lambda only=only, order=order: service.worklist.page(only, order=order, actor=LOCAL)  # noqa: E731
            (names if only.text else queries)[f"{what}, {order}"] = work
    middle = {order: _middle(service, order) for order in ORDERS}
    for order, after in middle.items():
        queries[f"further on, {order}"] = lambda order=order, after=after: service.worklist.page(
            order=order, after=after, actor=LOCAL
        )
    queries["what there is to choose"] = service.worklist.choices
    queries["about how many there are"] = service.worklist.about
    pages = {what: lambda what=what, query=query: _get(client, what, query) for what, query in PAGES.items()}
    found = {"queries_ms": queries, "names_ms": names, "pages_ms": pages}
    return {what: _times(works, rounds) for what, works in found.items()}


def _middle(service: Service, order: str) -> str | None:
    """A cursor some thousand rows into the list."""
    after: str | None = None
    for _ in range(10):
        after = service.worklist.page(order=order, after=after, limit=500, actor=LOCAL).next
    return after


def _get(client: Any, what: str, query: dict[str, str]) -> None:
    answer = client.get(f"{what.partition(',')[0]}?{urlencode(query)}")
    assert answer.status_code == 200, (what, answer.status_code, answer.text[:300])
    answer.close()


def _times(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each, after one call that warms up."""
    table = {}
    for name, work in works.items():
        work()
        took = []
        for _ in range(rounds):
            started = time.perf_counter()
            work()
            took.append(1000 * (time.perf_counter() - started))
        table[name] = {"p50": round(statistics.median(took), 1), "most": round(max(took), 1)}
    return table


def _slowest(table: dict[str, dict[str, float]]) -> dict[str, Any]:
    name = max(table, key=lambda one: table[one]["p50"])
    return {"what": name, **table[name]}


def _bytes(service: Service, folder: Path) -> int:
    """Of the database, its indices included."""
    if service.database.is_sqlite:
        return sum(path.stat().st_size for path in folder.rglob("secondread.sqlite*"))
    with service.database.reading() as session:
        found = session.connection().exec_driver_sql("SELECT pg_database_size(current_database())").scalar()
    return int(found or 0)


if __name__ == "__main__":
    main()
