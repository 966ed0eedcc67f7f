"""Where a setting comes from, and what is said of a wrong one."""

from pathlib import Path

import pytest

from secondread.errors import CannotOpen, UnknownName, UsageError
from secondread.service import data_folder_of, settings_from


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_later_wins_default_file_environment_given(tmp_path: Path) -> None:
    path = _file(tmp_path, "max_files = 7\nthreads = 3\ndatabase = 'postgresql://file/a'\n")
    environ = {"SECONDREAD_CONFIG": str(path), "SECONDREAD_THREADS": "4", "SECONDREAD_DATABASE": "postgresql://env/a"}
    found = settings_from(environ, given={"database": "postgresql://given/a", "data_folder": None})
    assert (found["MAX_FILES"], found["THREADS"], found["DATABASE"]) == (7, 4, "postgresql://given/a")
    assert found["MAX_FILE_MB"] == 200


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("max_file = 3", UnknownName),
        ("max_files = 'many'", UsageError),
        ("max_files = 0", UsageError),
        ("max_files = true", UsageError),
        ("hosts = 3", UsageError),
        ("max_files =", UsageError),
    ],
)
def test_a_wrong_line_of_the_file_stops_the_start(tmp_path: Path, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        settings_from({}, config=_file(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match=r"none\.toml"):
        settings_from({}, config=tmp_path / "none.toml")


def test_nothing_is_kept_for_ever_or_less_than_a_day_by_mistake() -> None:
    assert settings_from({})["RETENTION_DAYS"] == 0
    with pytest.raises(UsageError, match="RETENTION_DAYS"):
        settings_from({"SECONDREAD_RETENTION_DAYS": "-1"})


def test_the_data_folder_is_the_users_own_by_default() -> None:
    assert data_folder_of({}, {"XDG_DATA_HOME": "/x"}) == Path("/x/secondread")
    assert data_folder_of({"DATA_FOLDER": "/y"}) == Path("/y")


@pytest.mark.parametrize("name", ["gate", "deidentify", "secure_cookies", "opinion_first", "patient_line", "login"])
def test_a_misspelt_word_is_not_taken_for_the_default(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownName, match=f"'{name}': 'onn'; did you mean 'on'" if name != "patient_line" else name):
        settings_from({f"SECONDREAD_{name.upper()}": "onn"})
    with pytest.raises(UnknownName, match=name):
        settings_from({}, config=_file(tmp_path, f"{name} = 'OFF'"))
    assert settings_from({f"SECONDREAD_{name.upper()}": "off"})[name.upper()] == "off"
