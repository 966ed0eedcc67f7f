"""docs/explanation/security.md: each test that it names is there, and every chapter has its rows."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/security.md").read_text(encoding="utf-8")
CHAPTERS = PAGE.split("\n### ")[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


@cache
def names_of_tests(path: str) -> set[str]:
    """The names of a file's tests and classes of tests; none where it is not there."""
    if not (ROOT / path).is_file():
        return set()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {node.name for node in found if node.name.startswith(("test_", "Test"))}


def test_every_test_that_it_names_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 100
    assert [f"{path}::{name}" for path, name in named if not {*name.split("::")} <= names_of_tests(path)] == []
    assert PAGE.count(".py::") == len(named), "a test is written as `path::name`"


def test_the_chapters_are_those_of_the_standard_in_their_order() -> None:
    assert [chapter.split(" ", 1)[0] for chapter in CHAPTERS] == [f"V{number}" for number in range(1, 18)]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.split(" ", 1)[0])
def test_each_row_names_a_test_or_says_that_it_is_not_done(chapter: str) -> None:
    rows = [line for line in chapter.splitlines() if line.startswith("| ")][1:]
    assert rows
    for row in rows:
        assert row.count(" | ") == 1, row
        shown = row.rpartition(" | ")[2]
        assert NAMED.search(shown) or re.match("not (done|used)", shown), row
