"""The README and the documents say what is so."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from secondread.cli.main import secondread

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize(
    ("page", "mark", "options"),
    [("README.md", "defaults", ["--defaults"]), ("docs/explanation/measured.md", "measured", [])],
)
def test_a_measured_table_is_that_of_the_shipped_bundles(page: str, mark: str, options: list[str]) -> None:
    """Out of date? Paste the output of `secondread bundles --markdown` (with these options) between the marks."""
    table = CliRunner().invoke(secondread, ["bundles", "--markdown", *options]).output.strip()
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = re.search(rf"<!-- {mark}:begin -->\n(.*?)\n<!-- {mark}:end -->", text, re.S)
    assert shown is not None
    assert shown.group(1).strip() == table


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if not target.startswith("http")]
    paths = {target: ((ROOT / page).parent / target).resolve() for target in targets}
    assert [target for target, path in paths.items() if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_is_there(page: str) -> None:
    """Paths such as `training/fit.py`, from the root or below `src/secondread`."""
    named = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|toml))`", (ROOT / page).read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "src" / "secondread")
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


def test_the_readme_says_once_that_it_is_no_medical_device() -> None:
    assert README.count("no medical device") == 1


def test_the_readme_tells_of_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "secondread").glob("*/__init__.py")}
    table = README[README.index("| folder of") :]
    assert [room for room in sorted(rooms) if f"`{room}/`" not in table] == []
