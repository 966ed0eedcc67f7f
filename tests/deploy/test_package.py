"""What is installed: every file that the program reads while it runs comes with the package."""

import re
import subprocess
import sys
import tomllib
from glob import glob
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import secondread
from tests.deploy.checks import ROOT
from tests.deploy.test_supply_chain import APART, DEV, imports, pins

PACKAGE = ROOT / "src" / "secondread"
FOLDERS = ("tasks", "images", "reading", "service", "web")
EXTRAS = ("dev", "train", "lab", "pretrained")  # what they bring must not be needed for serving
# Brought by Flask and its kind; and what only the audit of a collection asks images/ for.
PARTS = {"imagehash", "limits", "werkzeug", "markupsafe", "itsdangerous", "marshmallow"}


def test_every_file_of_the_package_is_installed() -> None:
    ask = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/secondread"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False)
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
    project = _project()
    extras = [one for name, extra in project["optional-dependencies"].items() if name not in EXTRAS for one in extra]
    shown = {"matplotlib", "scikit-learn"}  # in notebooks, imported there alone: tests/test_public_names.py
    asked = PARTS | shown | {_plain(Requirement(one).name) for one in project["dependencies"] + extras}
    imported = {name for folder in FOLDERS for path in (PACKAGE / folder).rglob("*.py") for name in imports(path)}
    owners = packages_distributions()
    third = {name: owners.get(name, [name]) for name in imported - set(sys.stdlib_module_names) - {"secondread"}}
    assert {name: found for name, found in third.items() if not asked & set(map(_plain, found))} == {}


def test_each_package_is_asked_for_once_and_has_a_version_that_was_tested() -> None:
    project = _project()
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = [[_plain(Requirement(one).name) for one in wanted] for wanted in lists]
    assert [name for found in names for name in found if found.count(name) > 1] == []
    assert set(names[0]) & {name for found in names[1:] for name in found} == set(), "in an extra and without it"
    tested = pins(DEV) | pins(APART)
    wanted = [Requirement(one) for found in lists for one in found if not one.startswith("secondread")]
    assert [str(one) for one in wanted if not one.specifier.contains(tested[_plain(one.name)])] == []


def test_an_error_names_an_extra_that_there_is() -> None:
    """And `dev` brings every one of them."""
    extras = set(_project()["optional-dependencies"])
    code = re.compile(r'ExtraMissing\.of\([^\n]*"([a-z]+)"')
    named = {name for path in PACKAGE.rglob("*.py") for name in code.findall(path.read_text(encoding="utf-8"))}
    assert {"train", "lab", "oidc", "postgresql", "pretrained"} <= named <= extras
    (own,) = (Requirement(one) for one in _project()["optional-dependencies"]["dev"] if one.startswith("secondread"))
    assert own.extras == extras - {"dev"}


def test_the_oldest_onnxruntime_that_is_asked_for_reads_the_shipped_models() -> None:
    """1.20 reads IR version 10 and opset 21 (its Compatibility.md); it gave the same answers as the newest."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra 'train' brings it")
    assert "onnxruntime>=1.20,<2" in _project()["dependencies"]
    models = [onnx.load(path) for path in (PACKAGE / "bundles").rglob("*.onnx")]
    assert len(models) > 1
    assert all(model.ir_version <= 10 for model in models)
    assert all(used.version <= 21 for model in models for used in model.opset_import if not used.domain)


def test_the_changelog_is_in_the_form_that_people_know_and_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    released = [name for name, _ in versions if name != "Unreleased"]
    assert released[0] == secondread.__version__
    assert all(date for name, date in versions if name != "Unreleased")
    assert released == sorted(released, key=Version, reverse=True)
    assert len(re.findall("^## ", text, re.MULTILINE)) == len(versions)
    kinds = set(re.findall("^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_is_written_once() -> None:
    assert "version" in _project()["dynamic"]
    assert "version" not in _project()


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def _plain(name: str) -> str:
    """As names of distributions are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
