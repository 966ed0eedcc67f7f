"""The table of a screened archive: columns as the keys of `secondread read --json`, as Parquet or CSV."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secondread.data.cells import safe
from secondread.errors import CannotWrite, ExtraMissing, UsageError
from secondread.files import shortened, shown, sync, writing
from secondread.screening.picture import Row

COLUMNS = (
    "path", "task", "bundle", "probability", "score", "decision", "operating_point", "warnings", "heatmap", "refusal",
    "findings", "frames", "worst_frame",
)  # fmt: skip
FRAME_KEYS = ("frame", "score", "decision", "refusal", "findings")
_GROUP = 2000  # rows held at a time
Add = Callable[[Row], None]


def check_kind(out: Path) -> None:
    """Raise UsageError for an ending that names no kind of table, ExtraMissing where Parquet cannot be written,
    CannotWrite where the place is no file's."""
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"'{shown(out)}' names no kind of table; let it end with .parquet or .csv")
    if out.exists() and not out.is_file():
        raise CannotWrite(f"'{shown(out)}' is no file (a folder, a device or a pipe); name a file to write")
    if out.suffix.lower() == ".csv":
        return
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ExtraMissing.of("a table as Parquet", "scale") from error


def aside_of(out: Path) -> Path:
    """Where the table grows. Always the same place: what a kill leaves there, the next run writes anew."""
    return out.with_name(shortened(f".{out.name}", ".new"))


@contextmanager
def table(out: Path) -> Iterator[Add]:
    """Takes row after row, a group in memory at a time; renamed to `out` when it is whole, else removed.

    Only one run may do so at a time: see Journal. Raises DiskFull or CannotWrite.
    """
    aside = aside_of(out)
    write = _as_csv if out.suffix.lower() == ".csv" else _as_parquet
    try:
        with write(aside) as add:
            yield add
        with writing(out):
            sync(aside)
            aside.replace(out)
            sync(out.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _as_csv(aside: Path) -> Iterator[Add]:
    """What is a list or a table of its own stands as JSON; no cell is a formula to a spreadsheet."""
    with writing(aside), aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)

        def add(row: Row) -> None:
            writer.writerow(
                [
                    json.dumps(one, ensure_ascii=False) if isinstance(one, list | dict) else safe(one)
                    for one in map(row.get, COLUMNS)
                ]
            )

        yield add


@contextmanager
def _as_parquet(aside: Path) -> Iterator[Add]:
    import pyarrow as arrow
    from pyarrow import parquet

    schema = _schema()
    held: list[dict[str, Any]] = []
    with writing(aside), parquet.ParquetWriter(aside, schema) as writer:

        def flush() -> None:
            writer.write_table(arrow.Table.from_pylist(held, schema=schema))
            held.clear()

        def add(row: Row) -> None:
            held.append({name: row.get(name) for name in COLUMNS})
            if len(held) == _GROUP:
                flush()

        yield add
        flush()


def _schema() -> Any:
    """Every key of a reading and of its parts has its type here: what has none would be lost without a word."""
    import pyarrow as arrow

    text, whole, number = arrow.string(), arrow.int32(), arrow.float64()
    finding = arrow.struct([("box", arrow.list_(number)), ("score", number), ("label", text)])
    frame_kinds = dict(zip(FRAME_KEYS, (whole, whole, text, text, arrow.list_(finding)), strict=True))
    kinds = {
        "probability": number,
        "score": whole,
        "warnings": arrow.list_(text),
        "refusal": arrow.struct([("code", text), ("message", text)]),
        "findings": arrow.list_(finding),
        "frames": arrow.list_(arrow.struct(list(frame_kinds.items()))),
        "worst_frame": whole,
    }
    return arrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])
