"""The README says what is so."""

import re
from pathlib import Path

from click.testing import CliRunner

from secondread.cli.main import secondread

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_measured_table_is_that_of_the_shipped_bundles():
    """Out of date? Paste the output of `secondread bundles --markdown` between the marks."""
    table = CliRunner().invoke(secondread, ["bundles", "--markdown"]).output.strip()
    shown = re.search(r"<!-- measured:begin -->\n(.*?)\n<!-- measured:end -->", README, re.S)
    assert shown is not None
    assert shown.group(1).strip() == table


def test_every_link_leads_to_a_file():
    for text in [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / target).exists(), target


def test_says_once_that_it_is_no_medical_device():
    assert README.count("no medical device") == 1
