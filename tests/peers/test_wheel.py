"""The package as a user gets it: a wheel, installed into an empty environment with nothing of the checkout in reach."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.deploy.checks import ROOT
from tests.phantoms import chest_phantom, encode

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment's folder of programs."""
    folder = tmp_path_factory.mktemp("wheel")
    # A build leaves folders beside what it builds, so it is given a copy of what git knows.
    copy = folder / "source"
    copy.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("src/", "pyproject.toml", "README.md", "LICENSE")) and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy)
    (wheel,) = folder.glob("secondread-*.whl")
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / "bin"
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-deps")
    _run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "serve.lock")
    _run(*pip, wheel)
    return programs


def _run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done


def _clean(**more: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | more


def test_a_wheel_reads_an_image_and_says_the_same_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    image = tmp_path / "chest.png"
    image.write_bytes(encode(chest_phantom(256, random_state=1), "PNG"))
    command = ("read", "--json", "--task", "tuberculosis", "--no-gate", image)
    there = _run(installed / "secondread", *command, cwd=tmp_path, env=_clean())
    here = _run(sys.executable, "-m", "secondread.cli", *command, cwd=tmp_path)
    found, expected = json.loads(there.stdout), json.loads(here.stdout)
    assert found["bundle"] == expected["bundle"]
    assert found["probability"] == pytest.approx(expected["probability"], abs=1e-6)


def test_a_wheel_brings_what_serving_needs_and_no_torch(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom secondread.web import create_app\n"
        f"app = create_app({{'DATA_FOLDER': {str(tmp_path / 'data')!r}}})\n"
        "client = app.test_client()\n"
        "paths = ('/', '/worklist', '/api/v1/tasks', '/api/v1/bundles', '/api/v1/openapi.json')\n"
        "answers = {path: client.get(path).status_code for path in paths}\n"
        "assert set(answers.values()) == {200}, answers\n"
        "assert 'torch' not in sys.modules\n"
    )
    _run(installed / "python", "-c", code, cwd=tmp_path, env=_clean())
    listed = json.loads(_run(installed / "python", "-m", "pip", "list", "--format", "json").stdout)
    assert not {"torch", "monai", "scikit-learn"} & {row["name"] for row in listed}
