"""Settings as they hold: rows (see setting_rows), and where their values come from.

In rising order of precedence: the default, the file (`--config`, or SECONDREAD_CONFIG), the environment, what is given
on the command line or to `create_app`.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secondread.errors import CannotOpen, UnknownName, UsageError
from secondread.service.setting_rows import PREFIX, SETTINGS, Value

CONFIG_VARIABLE = "SECONDREAD_CONFIG"
# Of training and its benchmark, and of reading whether it is served or not.
_OTHER_VARIABLES = {
    CONFIG_VARIABLE,
    "SECONDREAD_DATA",
    "SECONDREAD_CACHE",
    "SECONDREAD_RUNTIME",
    "SECONDREAD_SESSION_THREADS",
}


def settings_from(
    environ: Mapping[str, str], *, config: str | Path | None = None, given: Mapping[str, Any] | None = None
) -> dict[str, Value]:
    """Every setting by its configuration key: given, else from the environment, the TOML file, or its default.

    config: the file; default: the one that SECONDREAD_CONFIG names, if any. given: by name; None counts as not given.
    A variable that begins as ours do and is none of them stops the start: one that is passed over would leave a default
    where somebody meant otherwise. Raises CannotOpen, UnknownName or UsageError.
    """
    known = {row.variable for row in SETTINGS} | _OTHER_VARIABLES
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(f"{PREFIX}TEST_"):
            raise UnknownName.of("environment variable", name, known)
    path = config or environ.get(CONFIG_VARIABLE)
    found = {row.key: row.default for row in SETTINGS} | (_from_file(Path(path)) if path else {})
    found |= {row.key: row.parse(environ[row.variable]) for row in SETTINGS if row.variable in environ}
    return found | {name.upper(): value for name, value in (given or {}).items() if value is not None}


def data_folder_of(settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Path:
    """The data folder that is set, or secondread in the user's own (XDG Base Directory Specification)."""
    if settings.get("DATA_FOLDER"):
        return Path(str(settings["DATA_FOLDER"])).expanduser()
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "secondread"


def _from_file(path: Path) -> dict[str, Value]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotOpen(f"cannot read the settings '{path}': {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"'{path}' is not TOML: {error}") from error
    rows = {row.name: row for row in SETTINGS}
    for name in table:
        if name not in rows:
            raise UnknownName.of("setting", name, rows)
    return {rows[name].key: rows[name].check(value, f"'{path}'") for name, value in table.items()}
