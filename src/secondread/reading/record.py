"""The files of a bundle that are no network, read within bounds, and what its record must say before it is believed.

A bundle may come from anybody: its hash shows that it is as it was written, not who wrote it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secondread.errors import BundleDamaged, BundleForeign
from secondread.images.prepare import FIELDS

MOST_RECORD = 16 << 20  # bytes; the largest that comes with the package has 16 kB
MOST_EVIDENCE = 64 << 20  # bytes; of a hundred thousand images
MOST_TEXT = 1 << 20  # bytes, of a card or a task's file
_SIDES = (16, 1024)  # pixels of a network's input
_NAME = re.compile(r"[^/\\\x00-\x1f]{1,100}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_ENTRIES = 1000  # operating points, knots of a calibration, members
_WIDE = 1e6  # beyond it no logit, temperature or bias lies


def record_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 of the record without its own hash, in canonical JSON."""
    rest = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_record(path: Path, *, format_name: str, version: int) -> dict[str, Any]:
    """A record that is of this format and version, and as it was written.

    Raises BundleForeign or BundleDamaged.
    """
    if not path.is_file():
        raise BundleForeign(f"'{path.parent}' is not a bundle: it holds no {path.name}")
    record = read_json(path, most=MOST_RECORD)
    if record.get("format") != format_name:
        raise BundleForeign(
            f"'{path.parent}' is not a bundle of secondread ({path.name} has no format '{format_name}')"
        )
    if record.get("version") != version:
        raise BundleForeign(f"'{path.parent}' is of another version; this secondread reads version {version}")
    if record.get("sha256") != record_hash(record):
        raise BundleDamaged(f"{path} is not as it was written; copy it again")
    return record


def read_json(path: Path, *, most: int = MOST_EVIDENCE) -> dict[str, Any]:
    """A JSON object of at most so many bytes. Raises BundleDamaged or BundleForeign."""
    try:
        table = json.loads(read_bytes(path, most=most).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleDamaged(f"{path} cannot be read as JSON; copy the bundle again") from error
    if not isinstance(table, dict):
        raise BundleForeign(f"{path} is not a record of secondread")
    return table


def read_bytes(path: Path, *, most: int) -> bytes:
    """A file of the bundle's own folder, of at most so many bytes. Raises BundleDamaged or BundleForeign."""
    check_file(path, most=most)
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BundleDamaged(f"{path} cannot be read ({error.strerror}); copy the bundle again") from error
    if len(data) > most:
        raise _too_large(path, most)
    return data


def check_file(path: Path, *, most: int) -> None:
    """Raise BundleForeign for what lies elsewhere or is too large, BundleDamaged for what is not there."""
    if not path.is_file():  # nor a device or a pipe
        raise BundleDamaged(f"{path} is missing; copy the bundle again")
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise BundleForeign(f"{path} is a link to another place; copy the file itself into the bundle")
    if path.stat().st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> BundleForeign:
    return BundleForeign(f"{path} has more than the {most >> 20} MB that such a file may have; it is none of ours")


def check_record(record: Mapping[str, Any]) -> None:
    """Raise ValueError with a clause that says what of all that a reader relies on is wrong in a bundle's record."""
    _text(record, "name", _NAME)
    _text(record, "task", _NAME)
    _text(_table(record, "model"), "architecture", _NAME)
    _text(_table(record, "model"), "sha256", _DIGEST)
    check_prepare(_table(record, "prepare"))
    _check_heatmap(_table(record, "heatmap"))
    _check_calibration(record)
    if record.get("boxes") is not None:
        _text(_table(record, "boxes"), "label", _NAME)
    points = _table(record, "operating_points")
    if not 0 < len(points) <= _MOST_ENTRIES or record.get("default_operating_point") not in points:
        raise ValueError("its default operating point is none of its operating points")
    for point in points:
        _check_point(_table(points, point))
    if record.get("series") is not None:
        _check_point(_table(record, "series"))
        _number(_table(record, "series"), "n_together", 1, _MOST_ENTRIES)
    if not isinstance(record.get("gate"), str | None) or len(_list(record, "members", optional=True)) > _MOST_ENTRIES:
        raise ValueError("its gate or its members are not as they should be")
    _text(_table(record, "data"), "fingerprint", _NAME)
    _table(_table(record, "data"), "splits")
    _table(record, "training")


def check_prepare(table: Mapping[str, Any]) -> None:
    """The same for the preprocessing."""
    least, most = _SIDES
    size = table.get("size")
    if type(size) is not int or not least <= size <= most:
        raise ValueError(f"its input is to have a side that is no whole number of pixels from {least} to {most}")
    if table.get("channels") not in (1, 3):
        raise ValueError("its input is to have channels other than 1 or 3")
    shapes = table.get("aspect", "squash") in ("squash", "pad") and table.get("field", "whole") in tuple(FIELDS)
    borders = table.get("borders", "dark") in ("dark", "any") and isinstance(table.get("trim_border", False), bool)
    if not shapes or not borders:
        raise ValueError("its preprocessing has steps that are not known here")
    detail = table.get("detail", 0)
    if type(detail) is not int or not 0 <= detail <= most:
        raise ValueError("its preprocessing has a detail that is no number of pixels")
    if "window" in table and table["window"] is not None:
        low, high = _numbers(table["window"], 0, 100, n=2)
        if not low < high:
            raise ValueError("its window is empty")
    for key in ("clahe", "denoise_sigma"):
        if key in table:
            _number(table, key, 0, 100)


def _check_heatmap(table: Mapping[str, Any]) -> None:
    left, top, right, bottom = _numbers(table.get("extent"), -4, 4, n=4)
    if not (left < right and top < bottom):
        raise ValueError("its heat map covers nothing")
    if table.get("zero") is not None:
        _number(table, "zero", -_WIDE, _WIDE)


def _check_calibration(record: Mapping[str, Any]) -> None:
    _number(record, "temperature", 1 / _WIDE, _WIDE)
    if "bias" in record:
        _number(record, "bias", -_WIDE, _WIDE)
    if record.get("isotonic") is None:
        return
    logits = _numbers(_table(record, "isotonic").get("logits"), -_WIDE, _WIDE)
    shares = _numbers(_table(record, "isotonic").get("probabilities"), 1e-12, 1 - 1e-12)
    if len(logits) != len(shares) or not logits or sorted(logits) != logits or sorted(shares) != shares:
        raise ValueError("its calibration is no rising line")


def _check_point(table: Mapping[str, Any]) -> None:
    _number(table, "threshold", 0, 1)
    _text(table, "weights_sha256", _DIGEST)
    if (table.get("low") is None) != (table.get("high") is None):
        raise ValueError("one of its operating points has half a band")
    if table.get("low") is not None and not _number(table, "low", 0, 1) <= _number(table, "high", 0, 1):
        raise ValueError("one of its operating points has a band that ends before it begins")
    for rate in ("sensitivity", "specificity", "uncertain"):
        for key in ("value", "low", "high"):
            found = table.get(rate) or {}
            if not isinstance(found, Mapping) or (found.get(key) is not None and _number(found, key, 0, 1) is None):
                raise ValueError(f"the {rate} of one of its operating points is no share")


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = table.get(key)
    if not isinstance(found, Mapping):
        raise ValueError(f"it has no '{key}'")
    return found


def _list(table: Mapping[str, Any], key: str, *, optional: bool = False) -> list[Any]:
    found = table.get(key, [] if optional else None)
    if not isinstance(found, list):
        raise ValueError(f"its '{key}' is no list")
    return found


def _text(table: Mapping[str, Any], key: str, shape: "re.Pattern[str]") -> None:
    found = table.get(key)
    if not isinstance(found, str) or not shape.fullmatch(found):
        raise ValueError(f"its '{key}' is not as it should be")


def _number(table: Mapping[str, Any], key: str, low: float, high: float) -> float:
    (found,) = _numbers([table.get(key)], low, high, of=key)
    return found


def _numbers(found: Any, low: float, high: float, *, n: int | None = None, of: str = "numbers") -> list[float]:
    """All of them within the range, and n where that is said."""
    if not isinstance(found, list) or len(found) > _MOST_ENTRIES * 100 or n not in (None, len(found)):
        raise ValueError(f"it has no {n or ''} {of} where they should be")
    if not all(_is_number(one) and low <= one <= high for one in found):  # NaN is in no range
        raise ValueError(f"its '{of}' lies outside {low:g} to {high:g}")
    return [float(one) for one in found]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
