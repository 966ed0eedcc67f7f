"""What is installed: every file that the program reads while it runs comes with the package."""

import subprocess
import tomllib
from glob import glob
from pathlib import Path

import pytest

from tests.deploy.checks import ROOT

PACKAGE = ROOT / "src" / "secondread"


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
