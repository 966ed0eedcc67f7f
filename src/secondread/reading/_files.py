"""Folders of trained artefacts: records that know their own hash, written aside and renamed whole."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secondread.errors import BundleDamaged, BundleError, BundleForeign


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
    record = read_json(path)
    if record.get("format") != format_name:
        raise BundleForeign(
            f"'{path.parent}' is not a bundle of secondread ({path.name} has no format '{format_name}')"
        )
    if record.get("version") != version:
        raise BundleForeign(f"'{path.parent}' has version {record.get('version')}; this secondread reads {version}")
    if record.get("sha256") != record_hash(record):
        raise BundleDamaged(f"{path} is not as it was written; copy it again")
    return record


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises BundleDamaged or BundleForeign."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BundleDamaged(f"{path} cannot be read ({error}); copy the bundle again") from error
    if not isinstance(table, dict):
        raise BundleForeign(f"{path} is not a record of secondread")
    return table


def write_folder(folder: Path, files: Mapping[str, bytes], *, marker: str) -> None:
    """Write these files aside and rename their folder into place; an older one is replaced whole.

    marker: the file that shows that a folder is ours to replace. Raises BundleError if something else is there.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / marker).is_file():
        raise BundleError(f"'{folder}' holds other files; give an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        aside.chmod(0o755)
        for name, data in files.items():
            (aside / name).write_bytes(data)
        _swap(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Write a file aside, then rename it."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _swap(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`; what stood there goes only once the new one is complete."""
    if not folder.exists():
        aside.rename(folder)
        return
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old)
