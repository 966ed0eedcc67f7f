"""What is installed: every file that the program reads while it runs comes with the package."""

import ast
import re
import subprocess
import sys
import tomllib
from glob import glob
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.deploy.checks import ROOT

PACKAGE = ROOT / "src" / "secondread"
FOLDERS = ("tasks", "images", "reading", "service", "web")
EXTRAS = ("dev", "train", "pretrained")  # what they bring must not be needed for serving
# Brought by Flask and its kind; and what only the audit of a collection asks images/ for.
PARTS = {"imagehash", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "marshmallow"}


def test_every_file_of_the_package_is_installed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "src/secondread"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    files = {Path(line).relative_to("src/secondread") for line in listed.stdout.splitlines()}
    needed = {path for path in files if path.suffix != ".py" and (PACKAGE / path).exists()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["secondread"]
    # As setuptools looks for them, which pathlib does not.
    found = [glob(pattern, root_dir=PACKAGE, recursive=True) for pattern in patterns]  # noqa: PTH207
    installed = {Path(path) for paths in found for path in paths}
    assert sorted(needed - installed) == []


def test_every_package_that_reading_and_serving_import_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for name, extra in project["optional-dependencies"].items() if name not in EXTRAS for one in extra]
    asked = PARTS | {_plain(re.split(r"[\[<>=~! ]", one)[0]) for one in project["dependencies"] + extras}
    imported = {name for folder in FOLDERS for path in (PACKAGE / folder).rglob("*.py") for name in _imports(path)}
    owners = packages_distributions()
    third = {name: owners.get(name, [name]) for name in imported - set(sys.stdlib_module_names) - {"secondread"}}
    assert {name: found for name, found in third.items() if not asked & set(map(_plain, found))} == {}


def _imports(path: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def _plain(name: str) -> str:
    """As names of distributions are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
