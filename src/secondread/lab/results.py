"""Files of comparisons: one for each result, and one that says which data the kept ones ought to be of."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from secondread.errors import DataInvalid
from secondread.evidence.evidence import Prediction
from secondread.files import write_json, write_text

_FORMAT, _VERSION = "secondread-result", 2  # 1: before hospitals were left out and curves kept
_LAST = ("curves", "predictions")  # of a file: a row of theirs takes a line
_DATA = "data.json"

Result = Mapping[str, Any]


def load_result(path: Path) -> dict[str, Any]:
    """What `write_result` wrote, also earlier. Raises DataInvalid for another file."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"'{path}' is not a result of `secondread compare`: {error}") from error
    is_result = isinstance(table, dict) and table.pop("format", None) == _FORMAT
    if not is_result or table.pop("version", None) not in range(1, _VERSION + 1):
        raise DataInvalid(f"'{path}' is not a result of `secondread compare` of version {_VERSION}; move it away")
    return table


def write_result(result: Result, path: Path) -> None:
    """Written aside, then renamed; every image, and every epoch, on a line of its own."""
    table = {"format": _FORMAT, "version": _VERSION, **result}
    last = {name: table.pop(name) for name in _LAST if name in table}
    head = json.dumps(table, indent=1, ensure_ascii=False).removesuffix("\n}")
    text = head + "".join(f',\n "{name}": {{\n{_parts(parts)}\n }}' for name, parts in last.items()) + "\n}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text + "\n")


def _parts(parts: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    return ",\n".join(
        f"  {json.dumps(name, ensure_ascii=False)}: [\n{_rows(rows)}\n  ]" for name, rows in parts.items()
    )


def _rows(rows: Sequence[Sequence[Any]]) -> str:
    return ",\n".join(f"   {json.dumps(row, ensure_ascii=False)}" for row in rows)


def keep_result(result: Result, folder: Path) -> Path:
    """A result put with those that the page shows, in `folder/<task>`; one of the same name and recipe is replaced."""
    parts = [result["name"], result.get("recipe")] if result["kind"] == "network" else [result["kind"], result["name"]]
    path = folder / result["task"] / f"{'-'.join(map(str, parts))}.json"
    write_result(result, path)
    return path


def kept_results(folder: Path) -> list[dict[str, Any]]:
    """All that `keep_result` put there. Raises DataInvalid for a file that is none."""
    return [load_result(path) for path in sorted(folder.glob("*/*.json"))]


def predictions_in(result: Mapping[str, Any]) -> dict[str, list[Prediction]]:
    """split → what was said of its images, as a result keeps it; so of hospitals left out, see `left_out.names_of`."""
    return {split: [Prediction(*row) for row in rows] for split, rows in result["predictions"].items()}


def as_rows(said: Mapping[str, Sequence[Prediction]]) -> dict[str, list[list[Any]]]:
    """The same as a result keeps it."""
    return {
        name: [[row.path, row.label, row.source, row.group, row.probability, row.refusal] for row in rows]
        for name, rows in said.items()
    }


def keep_fingerprints(fingerprints: Mapping[str, str], folder: Path) -> None:
    """Note which data the task's results ought to be of: those at hand. task → fingerprint of its manifest."""
    known = _known(folder)
    for task, fingerprint in fingerprints.items():
        if known.get(task, {}).get("fingerprint") != fingerprint:
            known[task] = {"fingerprint": fingerprint, "since": date.today().isoformat()}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _DATA, dict(sorted(known.items())))


def kept_fingerprints(folder: Path, results: Sequence[Result]) -> dict[str, str]:
    """task → fingerprint of the data that its results ought to be of; where none was noted, that of its latest one."""
    latest = {result["task"]: result["data"]["fingerprint"] for result in sorted(results, key=lambda one: one["date"])}
    return latest | {task: entry["fingerprint"] for task, entry in _known(folder).items()}


def _known(folder: Path) -> dict[str, Any]:
    path = folder / _DATA
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataInvalid(f"'{path}' is damaged ({error}); delete it") from error
