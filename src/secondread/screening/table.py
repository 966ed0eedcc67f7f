"""The table of a screened archive: columns as the keys of `secondread read --json`, as Parquet or CSV."""

import csv
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from secondread.data.cells import safe
from secondread.errors import ExtraMissing, UsageError
from secondread.files import shown, written_aside

COLUMNS = (
    "path", "task", "bundle", "probability", "score", "decision", "operating_point", "warnings", "heatmap", "refusal",
    "frames", "worst_frame",
)  # fmt: skip
_GROUP = 10_000  # rows held at a time


def check_kind(out: Path) -> None:
    """Raise UsageError for an ending that names no kind of table, ExtraMissing where Parquet cannot be written."""
    if out.suffix.lower() == ".csv":
        return
    if out.suffix.lower() != ".parquet":
        raise UsageError(f"'{shown(out)}' names no kind of table; let it end with .parquet or .csv")
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ExtraMissing.of("a table as Parquet", "scale") from error


def write_table(rows: Iterable[dict[str, Any]], out: Path) -> None:
    """Write all rows, a group at a time, and rename the file when it is whole. Raises DiskFull or CannotWrite."""
    with written_aside(out, durable=True) as aside:
        if out.suffix.lower() == ".csv":
            _as_csv(rows, aside)
        else:
            _as_parquet(rows, aside)


def _as_csv(rows: Iterable[dict[str, Any]], aside: Path) -> None:
    """What is a list or a table of its own stands as JSON; no cell is a formula to a spreadsheet."""
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            cells = (row.get(name) for name in COLUMNS)
            writer.writerow(
                json.dumps(one, ensure_ascii=False) if isinstance(one, list | dict) else safe(one) for one in cells
            )


def _as_parquet(rows: Iterable[dict[str, Any]], aside: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    text, whole = arrow.string(), arrow.int32()
    refusal = arrow.struct([("code", text), ("message", text)])
    frame = arrow.struct([("frame", whole), ("score", whole), ("decision", text), ("refusal", text)])
    kinds = {
        "probability": arrow.float64(),
        "score": whole,
        "warnings": arrow.list_(text),
        "refusal": refusal,
        "frames": arrow.list_(frame),
        "worst_frame": whole,
    }
    schema = arrow.schema([(name, kinds.get(name, text)) for name in COLUMNS])
    left = iter(rows)
    with parquet.ParquetWriter(aside, schema) as writer:
        while group := [{name: row.get(name) for name in COLUMNS} for row in islice(left, _GROUP)]:
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
