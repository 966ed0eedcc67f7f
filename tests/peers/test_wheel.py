"""The package as a user gets it: sdist and wheel, installed into an empty environment, no checkout in reach."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import secondread
from secondread.testing.phantoms import chest_phantom, encode
from tests.deploy.checks import ROOT

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1200)]

TWINE = "twine==7.0.0"
LARGEST = 100e6  # bytes of a file that the package index takes
OTHERS = ("3.12", "3.13")  # besides the one that these tests run with
READ = ("read", "--json", "--task", "tuberculosis", "--no-gate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def built(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that was made of it and of nothing else."""
    # A build leaves folders beside what it builds, so it is given a copy of what git knows, or would.
    copy = folder / "source"
    copy.mkdir()
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("src/", "pyproject.toml", "README.md", "LICENSE")) and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    code = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder / 'dist')!r})"
    _run(sys.executable, "-c", code, cwd=copy)
    (sdist,) = (folder / "dist").glob("secondread-*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    _run(*pip, "--wheel-dir", folder / "dist", sdist)
    (wheel,) = (folder / "dist").glob("secondread-*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(folder: Path, built: tuple[Path, Path]) -> Path:
    """The environment's folder of programs."""
    return _installed(folder / "env", built[1], sys.executable)


@pytest.fixture(scope="module")
def image(folder: Path) -> Path:
    (folder / "chest.png").write_bytes(encode(chest_phantom(256, random_state=1), "PNG"))
    return folder / "chest.png"


def _installed(place: Path, wheel: Path, python: str | Path) -> Path:
    _run(python, "-m", "venv", place)
    pip = (place / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps")
    _run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "serve.lock")
    _run(*pip, wheel)
    return place / "bin"


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Nothing of this process's packages: an environment that saw them would seem to have all that it lacks.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd, env=env
    )
    assert done.returncode == 0, done.stderr
    return done


def test_both_files_are_what_the_package_index_takes(built: tuple[Path, Path], folder: Path) -> None:
    venv.create(folder / "twine", with_pip=True)
    programs = folder / "twine" / "bin"
    _run(programs / "python", "-m", "pip", "install", "--quiet", TWINE)
    said = _run(programs / "twine", "check", "--strict", *built).stdout
    assert said.count("PASSED") == 2
    assert all(secondread.__version__ in path.name and path.stat().st_size < LARGEST for path in built)


def test_both_hold_the_same_package_and_no_tests_or_data(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with tarfile.open(sdist) as archive:
        told = {name.partition("/src/")[2] for name in archive.getnames() if "/src/secondread/" in name}
        assert {f"{sdist.name.removesuffix('.tar.gz')}/LICENSE"} <= set(archive.getnames())
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    package = {name for name in names if name.startswith("secondread/")}
    assert {name for name in names - package if ".dist-info/" not in name} == set()
    assert package <= told
    for needed in ("tasks/fracture.toml", "bundles/fracture/best/model.onnx", "web/static/base.css", "py.typed"):
        assert f"secondread/{needed}" in package


def test_a_wheel_reads_an_image_and_says_the_same_as_the_checkout(installed: Path, image: Path, tmp_path: Path) -> None:
    there = _run(installed / "secondread", *READ, image, cwd=tmp_path)
    here = _run(sys.executable, "-m", "secondread.cli", *READ, image, cwd=tmp_path)
    found, expected = json.loads(there.stdout), json.loads(here.stdout)
    assert found["bundle"] == expected["bundle"]
    assert found["probability"] == pytest.approx(expected["probability"], abs=1e-6)


@pytest.mark.parametrize("version", OTHERS)
def test_another_python_reads_too(version: str, built: tuple[Path, Path], folder: Path, image: Path) -> None:
    programs = _installed(folder / f"env-{version}", built[1], _python(version))
    found = json.loads(_run(programs / "secondread", *READ, image, cwd=folder).stdout)
    expected = json.loads(_run(sys.executable, "-m", "secondread.cli", *READ, image, cwd=folder).stdout)
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
    _run(installed / "python", "-c", code, cwd=tmp_path)
    listed = json.loads(_run(installed / "python", "-m", "pip", "list", "--format", "json").stdout)
    assert not {"torch", "monai", "scikit-learn"} & {row["name"] for row in listed}


def test_what_was_installed_goes_again(installed: Path) -> None:
    """Last, as nothing is left to test with."""
    _run(installed / "python", "-m", "pip", "uninstall", "--yes", "--quiet", "secondread")
    assert not (installed / "secondread").exists()
    assert [path.name for path in (installed.parent / "lib").glob("python*/site-packages/secondread*")] == []


def _python(version: str) -> Path:
    """The interpreter of that version, on the path or pyenv's; a skip where there is none."""
    own = Path.home() / ".pyenv" / "versions"
    for candidate in (Path(f"python{version}"), *sorted(own.glob(f"{version}.*/bin/python"))):
        try:
            done = subprocess.run([candidate, "-c", "import venv, ensurepip"], capture_output=True, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip(f"there is no Python {version} here")
