"""How a result can be made again, for its record: the call as Python writes it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def call_of(name: str, *asked: object, **options: object) -> str:
    """'secondread.evaluate('fracture/best', 'manifest.csv')'; options that are None, False or empty are left out.

    A path under the folder of the benchmark data begins with its variable, so that the call holds elsewhere too.
    """
    words = [_written(one) for one in asked]
    words += [f"{key}={_written(value)}" for key, value in options.items() if value not in (None, False, "", (), {})]
    return f"secondread.{name}({', '.join(words)})"


def _written(value: object) -> str:
    if isinstance(value, str | Path):
        return repr(portable(str(value)))
    if isinstance(value, Mapping):
        return repr(dict(value))
    if isinstance(value, int | float | list | tuple):
        return repr(value)
    return f"<{_name(value)}>"


def _name(value: Any) -> str:
    return str(getattr(value, "id", None) or getattr(value, "name", None) or type(value).__name__)


def portable(path: str) -> str:
    """The path with the folder of the benchmark data as $SECONDREAD_DATA, where it lies in there."""
    data = os.environ.get("SECONDREAD_DATA", "").rstrip("/")
    inside = data and (path == data or path.startswith(f"{data}/"))
    return f"$SECONDREAD_DATA{path[len(data) :]}" if inside else path
