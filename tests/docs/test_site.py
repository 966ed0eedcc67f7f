"""The site: what is made of the code is whole, and the built folder has no dead link and asks nobody else."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
import yaml
from docs.generate.commands import commands_page
from docs.generate.errors import errors_page
from docs.generate.openapi import addresses_page, openapi_document
from docs.generate.outside import linked_files, rewritten
from docs.generate.pages import MADE
from docs.generate.python_names import python_page
from mkdocs.config import load_config
from mkdocs.structure.files import get_files

import secondread
from secondread.cli.main import COMMANDS
from secondread.cli.main import secondread as program
from secondread.web.language import CODES
from tests.docs.blocks import PAGES, ROOT

_NOT_FETCHED = {"a"}  # what leads elsewhere only when somebody follows it


def test_every_command_and_option_has_its_place() -> None:
    page, context = commands_page(), click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert f"## secondread {name}\n" in page
        assert command is not None
        for param in command.params:
            assert not isinstance(param, click.Option) or param.hidden or param.opts[0] in page


def test_every_code_with_a_sentence_has_its_place_once() -> None:
    page = errors_page()
    assert {code: page.count(f"| `{code}` |") for code in CODES if page.count(f"\n| `{code}` |") != 1} == {}
    assert "\n| `BundleDamaged` |" in page


def test_every_address_has_its_place() -> None:
    document = openapi_document()
    page = addresses_page(document)
    told = set(re.findall(r"^### ([A-Z]+ \S+)$", page, flags=re.M))
    there = {
        f"{verb.upper()} {path}" for path, all_ in document["paths"].items() for verb in all_ if verb != "parameters"
    }
    assert told == there


def test_a_page_that_is_made_has_one_that_stands_in_for_it_in_plain_markdown() -> None:
    """Which says so, and begins as the page does; MkDocs gets the page that is made."""
    config = load_config(str(ROOT / "mkdocs.yml"))
    files = config.plugins.on_files(get_files(config), config=config)
    for place in (place for place in MADE if place.endswith(".md")):
        standing_in, file = (ROOT / "docs" / place).read_text(encoding="utf-8"), files.get_file_from_path(place)
        assert "`make docs`" in standing_in
        assert f"build/site/{place.removesuffix('.md')}.html" in standing_in
        assert file is not None
        assert set(re.findall(r"^#+ .*$", standing_in, flags=re.M)) <= set(file.content_string.splitlines())
        assert "`make docs` builds" not in file.content_string


def test_every_public_name_has_its_place() -> None:
    told = {path.rpartition(".")[2] for path in re.findall(r"^::: (\S+)$", python_page(), flags=re.M)}
    assert told == {name for name in secondread.__all__ if not name.startswith("_")}


def test_every_page_is_in_the_navigation_once() -> None:
    text = re.sub(r"!ENV \S+", "''", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    found = re.findall(r": ([\w/-]+\.md)", str(yaml.safe_load(text)["nav"]).replace("'", ""))
    there = [page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")]
    assert sorted(found) == sorted(there)


def test_a_link_out_of_the_docs_leads_into_the_site() -> None:
    text = "[pixels](../../src/secondread/images/decode.py), [all](../../deploy), [a site](https://example.org/x.md)"
    found = linked_files({"explanation/gate.md": text})
    assert found["repository/src/secondread/images/decode.py.txt"] == ROOT / "src/secondread/images/decode.py"
    assert {"repository/deploy/index.md", "repository/deploy/compose.yaml.txt"} <= set(found)
    assert rewritten(text, "explanation/gate.md", ROOT / "docs/explanation/gate.md") == (
        "[pixels](../repository/src/secondread/images/decode.py.txt), [all](../repository/deploy/index.md), "
        "[a site](https://example.org/x.md)"
    )


class _Links(HTMLParser):
    """Where a page leads, what it fetches, and the places in it that one can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                (self.targets if tag in _NOT_FETCHED else self.fetched).append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


@pytest.mark.peers
@pytest.mark.timeout(900)
def test_the_site_builds_strictly_has_no_dead_link_and_asks_nobody_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("*.html")}
    assert len(pages) > len(PAGES)
    dead = []
    for path, links in pages.items():
        if path.name == "404.html":  # which stands for any address, so its links begin at the server's root
            continue
        for target in [*links.targets, *links.fetched]:
            if re.match(r"[a-z]+:|//", target):
                dead += [f"{path.name} fetches {target}"] if target in links.fetched and "data:" not in target else []
                continue
            file, _, place = unquote(target).partition("#")
            found = (path.parent / file).resolve() if file else path
            if not found.is_file() or (found in pages and place not in pages[found].places):
                dead.append(f"{path.relative_to(tmp_path)} → {target}")
    assert dead == []
