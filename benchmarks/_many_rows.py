"""A store of as many readings as wanted, made by the database itself: rows as they come in a screening programme."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Integer, bindparam, case, cast, func, insert, literal, select, text, type_coerce
from sqlalchemy import String as Varchar
from sqlalchemy.sql.elements import ColumnElement

from secondread.service import Filter, Service
from secondread.service.tables import BatchRow, ImageRow, ItemRow, ReadingRow, ReviewRow, UtcTime

START = datetime(2025, 1, 1, tzinfo=UTC)
A_BATCH = 500  # images of an upload
SECONDS = 30  # from one reading to the next
RARE = {"task": "brain-tumour", "source": "mobile unit", "bundle": "tuberculosis/trial@00aa11bb", "reviewer": "carol"}
BUNDLES = ("tuberculosis/best@1f2e3d4c", "fracture/best@5a6b7c8d")
SHARE = 5000  # one reading of so many has each of the rare values
_AT_ONCE = 100_000  # rows of a transaction
_FACTS = {"width": 2048, "height": 2500, "format": "DICOM", "bit_depth": 12, "modality": "DX", "body_part": "CHEST"}
_TEXT = "Suspicious at the operating point 'screening': to be looked at by a person."


def fill(service: Service, n: int, *, first: int = 0) -> None:
    """Rows `first` to n: of three tasks, 40 wards, two bundles; most of the older ones reviewed, all of uploads.

    Values that few rows have are spread over the whole time (RARE); scores and wards are pseudo-random, but the same in
    each database.
    """
    for start in range(first, n, _AT_ONCE):
        _fill(service, start, min(n, start + _AT_ONCE))
    if service.database.is_sqlite:
        with service.database.begin() as session:
            session.execute(text("ANALYZE"))
        return
    for table in (ImageRow, ReadingRow, ReviewRow, ItemRow, BatchRow):
        with service.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM ANALYZE {table.__tablename__}"))


def _fill(service: Service, start: int, end: int) -> None:
    numbers = select(literal(start, Integer).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < end - 1))
    n: Any = numbers.c.n
    mixed: Any = (n % 10_007 * 7919) % 10_007  # as good as chance
    sqlite = service.database.is_sqlite
    name = cast(n, Varchar)
    sha = func.printf("%064x", n) if sqlite else func.lpad(func.to_hex(n), 64, "0")
    at = _moment(n, sqlite)
    refused = mixed % 50 == 0
    probability = case((refused, None), else_=(mixed * 37 % 10_000) / 10_000.0)
    score = case((refused, -1.0), else_=(mixed * 37 % 10_000) / 10_000.0)
    decision = case((refused, ""), (score > 0.7, "positive"), (score > 0.65, "uncertain"), else_="negative")
    done = (n % 10 < 9) & (n < 800_000)
    state = case((n % SHARE == 11, "disputed"), (done, "done"), (n % 97 == 0, "waiting"), else_="open")
    rank = case((n % SHARE == 11, 1.0), (done, 6.0), (refused, 4.0), (score > 0.7, 2.0), (score > 0.65, 3.0), else_=5.0)
    common = case((mixed % 5 < 3, "tuberculosis"), else_="fracture")
    task = case((n % SHARE == 3, RARE["task"]), else_=common)
    source = case((n % SHARE == 77, RARE["source"]), else_=literal("ward ") + cast(mixed % 40, Varchar))
    trial, best = n % SHARE == 5, mixed % 5 < 3
    bundle = case((trial, RARE["bundle"]), (best, BUNDLES[0]), else_=BUNDLES[1])
    hashed = case((trial, _sha(RARE["bundle"])), (best, _sha(BUNDLES[0])), else_=_sha(BUNDLES[1]))
    reviewer = case((n % SHARE == 18, RARE["reviewer"]), (mixed % 3 == 0, "bert"), else_="anna")
    images = {
        "sha256": sha, "n_bytes": literal(98_000), "format": literal("DICOM"), "patient": literal(""),
        "warnings": _json([]), "header": _json({}), "patient_line": _json({}), "received_at": at,
    }  # fmt: skip
    readings = {
        "id": n + 1, "image_sha256": sha, "name": literal("film_") + name + ".dcm", "source": source, "task": task,
        "bundle": bundle, "bundle_sha256": hashed, "point_key": literal("screening@0.65"),
        "operating_point": literal("screening"), "threshold": literal(0.65), "probability": probability,
        "sort_score": score, "decision": decision, "decision_text": literal(_TEXT),
        "refusal_code": case((refused, "blank"), else_=""), "warnings": _json([]), "facts": _json(_FACTS),
        "frames": _json([]), "created_at": at, "created_by": literal("anna"),
        "triage": rank + case((refused, 0.0), else_=0.999 * (1 - score)), "review_state": state,
        "n_reviews": case((done, 1), else_=0),
    }  # fmt: skip
    reviews = {
        "reading_id": n + 1, "reviewer": reviewer, "kind": literal("review"), "verdict": literal("agree"),
        "made_at": at,
    }  # fmt: skip
    items = {
        "batch_id": n // A_BATCH + 1, "name": literal(""), "image_sha256": sha,
        "state": literal("done"), "reading_id": n + 1, "finished_at": at,
    }  # fmt: skip
    with service.database.begin() as session:
        for batch in range(start // A_BATCH, -(-end // A_BATCH)):
            if batch * A_BATCH >= start:
                session.add(BatchRow(id=batch + 1, task="auto", created_by="anna"))
        session.flush()
        for table, values, only in (
            (ImageRow, images, None), (ReadingRow, readings, None), (ReviewRow, reviews, done), (ItemRow, items, None),
        ):  # fmt: skip
            rows = select(*(value.label(column) for column, value in values.items())).select_from(numbers)
            session.execute(insert(table).from_select(list(values), rows if only is None else rows.where(only)))
        if not sqlite:
            session.execute(text("SELECT setval('readings_id_seq', :n)"), {"n": end})


def _moment(n: Any, sqlite: bool) -> ColumnElement[datetime]:
    """When reading n was made; SQLite keeps moments as text with microseconds."""
    if sqlite:
        begin = START.strftime("%Y-%m-%d %H:%M:%S")
        made = func.datetime(begin, literal("+") + cast(n * SECONDS, Varchar) + " seconds") + ".000000"
        return type_coerce(made, UtcTime())
    seconds = func.make_interval(0, 0, 0, 0, 0, 0, cast(n * SECONDS, Integer))
    return bindparam(None, START, type_=UtcTime()) + seconds


def _sha(bundle: str) -> str:
    """A whole hash that begins as the one in the bundle's name."""
    return bundle.partition("@")[2] * 8


def _json(value: Any) -> ColumnElement[Any]:
    return literal(value, JSON)


def moment_of(n: int) -> datetime:
    """When reading n was made."""
    return START + timedelta(seconds=n * SECONDS)


def filters_of(n: int) -> dict[str, Filter]:
    """What lists of n such readings are narrowed to: common and rare values, nothing at all, several at once."""
    early, late = moment_of(n // 3), moment_of(n - n // 12)
    return {
        "everything": Filter(),
        "task": Filter(task="tuberculosis"),
        "rare task": Filter(task=RARE["task"]),
        "no such task": Filter(task="nothing"),
        "positive": Filter(decision="positive"),
        "negative": Filter(decision="negative"),
        "refused": Filter(refused=True),
        "not refused": Filter(refused=False),
        "source": Filter(source="ward 7"),
        "rare source": Filter(source=RARE["source"]),
        "bundle": Filter(bundle=BUNDLES[0]),
        "rare bundle": Filter(bundle=RARE["bundle"]),
        "no whole bundle": Filter(bundle="tuberculosis/best"),
        "done": Filter(review_state="done"),
        "disputed": Filter(review_state="disputed"),
        "reviewed": Filter(reviewed=True),
        "not reviewed": Filter(reviewed=False),
        "reviewer": Filter(reviewer="anna"),
        "rare reviewer": Filter(reviewer=RARE["reviewer"]),
        "of late": Filter(since=late),
        "early": Filter(until=early),
        "between": Filter(since=early, until=early + timedelta(hours=1)),
        "name": Filter(text="FILM_1"),
        "rare name": Filter(text=f"_{n - 1}."),
        "no such name": Filter(text="%"),
        "batch": Filter(batch=3),
        "image": Filter(image=f"{77:064x}"),
        "deleted": Filter(deleted=True),
        "three at once": Filter(decision="negative", task="tuberculosis", source="ward 7"),
        "contrary": Filter(decision="positive", review_state="done", since=late),
        "name of late": Filter(text="film_1", since=late, reviewed=True),
    }
