"""The example extension, as a package that somebody installs: its contracts, training, serving, and the page."""

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from secondread.testing.phantoms import encode, film
from tests.deploy.checks import ROOT
from tests.web.chromium import chromium, opened

pytestmark = [pytest.mark.peers, pytest.mark.browser, pytest.mark.timeout(1200)]

TASK = "phantom-nodule"
SICK = encode(film(64, 501, disease=True), "PNG")


class Installed:
    """An environment with the extension, which sees what this one has, too."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.programs = folder / "env" / "bin"
        self.bundles = folder / "own"

    def run(self, *command: str | Path, **more: str) -> str:
        """A program of the environment; what it printed."""
        name, *words = map(str, command)
        done = subprocess.run(
            [self.programs / name, *words],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def environment(self, **more: str) -> dict[str, str]:
        """Without what the session says of secondread."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SECONDREAD_", "PYTEST_"))}
        return kept | {"OMP_NUM_THREADS": "1"} | more


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The extension built and installed from a copy, with nothing from a registry."""
    folder = tmp_path_factory.mktemp("extension")
    venv.create(folder / "env", with_pip=False)
    here = Installed(folder)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "beside.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n", encoding="utf-8"
    )
    shutil.copytree(
        ROOT / "examples" / "secondread-example", folder / "source", ignore=shutil.ignore_patterns("__pycache__")
    )
    pip = ("python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    here.run(*pip, folder / "source")
    return here


@pytest.fixture(scope="module")
def trained(installed: Installed) -> Path:
    """A bundle of the extension's task and network, from a folder that its importer knows; a few seconds."""
    write = (
        "from pathlib import Path; import secondread_example.wards as w; w.write_example(Path('wards'), patients=60)"
    )
    installed.run("python", "-c", write)
    asked = ("data", "import", "wards", "--importer", "wards", "--task", TASK, "--out", "all.csv")
    assert "120 images, 60 positive" in program(installed, *asked)
    program(installed, "data", "split", "all.csv", "--out", "split.csv", "--fractions", "60,20,20")
    out = installed.bundles / TASK / "best"
    settings = ("--epochs", "12", "--set", "batch_size=8", "--set", "learning_rate=0.005")
    program(installed, "train", "--task", TASK, "--model", "dots", "--data", "split.csv", "--out", out, *settings)
    return out


def program(installed: Installed, *words: str | Path, **more: str) -> str:
    return installed.run("python", "-m", "secondread.cli", *words, **more)


def test_it_keeps_the_contracts_by_name_and_as_what_is_installed(installed: Installed) -> None:
    quiet = ("-q", "-p", "no:cacheprovider")
    own = installed.run("python", "-m", "pytest", *quiet, "source/tests")
    assert "failed" not in own
    every = installed.run("python", "-m", "pytest", *quiet, "--pyargs", "secondread.testing")
    assert "failed" not in every
    listed = installed.run("python", "-m", "pytest", *quiet, "--collect-only", "--pyargs", "secondread.testing")
    for one in ("[dots", f"[{TASK}]", "[wards]"):
        assert one in listed


def test_it_is_listed(installed: Installed) -> None:
    assert f"{TASK}: Does this film" in program(installed, "tasks")
    assert "dots: four convolutions" in program(installed, "models")
    assert "wards: Folders WARD/PATIENT" in program(installed, "data", "importers")


def test_its_bundle_reads_from_a_folder_and_from_the_package(installed: Installed, trained: Path) -> None:
    record = json.loads((trained / "bundle.json").read_text(encoding="utf-8"))
    assert (record["task"], record["model"]["architecture"]) == (TASK, "dots")
    assert (trained / "task.toml").is_file(), "the bundle reads where the extension is not installed"
    (installed.folder / "sick.png").write_bytes(SICK)
    asked = ("read", "--json", "--task", TASK, "sick.png")
    found = json.loads(program(installed, *asked, SECONDREAD_BUNDLES=str(installed.bundles)))
    assert (found["task"], found["decision"]) == (TASK, "positive")
    by_path = json.loads(program(installed, "read", "--json", "--bundle", str(trained), "sick.png"))
    assert by_path["probability"] == found["probability"]
    (package,) = (installed.folder / "env" / "lib").glob("python*/site-packages/secondread_example/bundles")
    shutil.copytree(trained, package / TASK / "best")
    try:
        assert json.loads(program(installed, *asked))["probability"] == found["probability"]
        assert f"{TASK}/best@" in program(installed, "bundles")
    finally:
        shutil.rmtree(package / TASK)


@pytest.fixture
def address(installed: Installed, trained: Path, tmp_path: Path) -> Iterator[str]:
    """Of the real program, serving the bundle."""
    settings = {
        "SECONDREAD_BUNDLES": str(installed.bundles),
        "SECONDREAD_DATA_FOLDER": str(tmp_path),
        "SECONDREAD_LOGIN": "off",
    }
    command = [installed.programs / "python", "-u", "-m", "secondread.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environment(**settings), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        yield said.split("open ")[1].split(" ")[0]
        process.terminate()
        process.stdout.read()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_the_page_offers_the_task_and_reads_with_its_bundle(address: str, browser: Browser, tmp_path: Path) -> None:
    image = tmp_path / "phantom.png"
    image.write_bytes(SICK)
    with opened(browser, address) as page:
        page.goto("/")
        page.get_by_role("radio", name="Nodule in a phantom").check(force=True)
        page.locator("input[type=file]").first.set_input_files(image)
        card = page.get_by_role("listitem").filter(has_text="phantom.png")
        expect(card.locator(".decision strong")).to_have_text("Positive")
        expect(card.locator(".decision span")).to_contain_text("opacity suspected")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        known = page.request.get("/api/v1/tasks").json()["tasks"]
        assert TASK in {task["name"] for task in known}
        listed = page.request.get("/api/v1/bundles").json()["bundles"]
        assert f"{TASK}/best" in {f"{one['task']}/{one['name']}" for one in listed}
