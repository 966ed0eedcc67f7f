"""Generated pages: every template is packaged, strict about what it is given, and escapes what goes into HTML."""

import tomllib
from pathlib import Path

import jinja2
import pytest

import secondread
from secondread.evidence.card import write_card
from secondread.evidence.report import write_report
from secondread.pages import render
from secondread.reading import load_bundle

PACKAGE = Path(secondread.__file__).parent
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
TEMPLATES = [path for kind in ("*.j2", "*.html") for path in PACKAGE.rglob(kind) if path.parts[-3] != "web"]


def test_every_template_is_packaged():
    table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    patterns = table["tool"]["setuptools"]["package-data"]["secondread"]
    assert len(TEMPLATES) > 5
    assert set(TEMPLATES) <= {path for pattern in patterns for path in PACKAGE.glob(pattern)}


@pytest.mark.parametrize(
    "template", [path for path in TEMPLATES if path.name != "parts.md.j2"], ids=lambda path: path.name
)
def test_a_value_that_is_missing_is_an_error_and_no_gap(template):
    with pytest.raises(jinja2.UndefinedError):
        render(template.relative_to(PACKAGE).as_posix())


def test_what_goes_into_html_is_escaped_and_into_markdown_is_not(tmp_path):
    bundle = load_bundle("fracture/paper")
    evidence = {**bundle.evidence, "command": "secondread evaluate <folder>"}
    assert "evaluate <folder>" in write_card(bundle, evidence)
    page = write_report(evidence, bundle.task, tmp_path).read_text(encoding="utf-8")
    assert "evaluate &lt;folder&gt;" in page
    assert "<folder>" not in page
