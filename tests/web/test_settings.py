"""Settings are rows, and every row is documented."""

from pathlib import Path

import pytest
from docs.generate.settings import settings_table

from secondread.errors import UsageError
from secondread.service import SETTINGS, Setting, settings_from
from secondread.web import create_app

DOCUMENT = Path(__file__).parents[2] / "docs/reference/settings.md"


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_setting_is_documented(row: Setting) -> None:
    default = f"`{row.default}`" if row.default != "" else "empty"
    assert f"| `{row.variable}` | {default} | {row.help} |" in settings_table()


def test_the_page_of_settings_has_a_place_for_them() -> None:
    assert "<!-- settings -->" in DOCUMENT.read_text(encoding="utf-8")


def test_the_environment_wins_over_defaults_and_the_caller_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECONDREAD_MAX_FILES", "5")
    assert create_app().config["MAX_FILES"] == 5
    assert create_app({"MAX_FILES": 3}).config["MAX_FILES"] == 3


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_a_number_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(UsageError, match="SECONDREAD_MAX_FILES"):
        settings_from({"SECONDREAD_MAX_FILES": text})


def test_a_setting_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(UsageError, match="MAX_FILE"):
        create_app({"MAX_FILE": 3})
