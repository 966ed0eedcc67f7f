"""What every test may ask for."""

import gc
import os
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from secondread.images.budget import limit
from secondread.testing.phantoms import write_phantom_data

# What an example takes says more of the machine and of what runs beside than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# A server looks twice a second whether it shall end, and some hundred tests would wait for theirs.
socketserver.BaseServer.serve_forever.__defaults__ = (0.01,)

# Long files first, with those that wait for other processes, and many short ones at the end. The first two go side by
# side: one trains the bundle that many ask for, the other asks for none.
_BEGUN_FIRST = (
    "tests/training/test_train.py",
    "tests/models/test_contract.py",
    "tests/training/",
    "tests/lab/",
    "tests/workflows/",
    "tests/dicom/",
    "tests/web/",
    "tests/deploy/",
    "tests/screening/",
    "tests/test_fuzz.py",
    "tests/audit/",
    "tests/cli/",
    "tests/service/",
    "tests/reading/",
    "tests/images/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes share the files: were a long one begun last, the others would have nothing left to do."""

    def place(item: pytest.Item) -> int:
        return next((n for n, start in enumerate(_BEGUN_FIRST) if item.nodeid.startswith(start)), len(_BEGUN_FIRST))

    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=place)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking through all of it again and again is a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(scope="module", autouse=True)
def _no_bound_on_decoding() -> Iterator[None]:
    """An application sets one for its whole process: it must not hold for the next file's tests."""
    yield
    limit(None)


@pytest.fixture(scope="session", autouse=True)
def _operators_are_read_once() -> Iterator[None]:
    """torch's exporter parses the source of all its operators at every export: a third of the time of a small one."""
    if "torch" not in sys.modules:  # nor will much be exported
        yield
        return
    from torch.onnx._internal._lazy_import import onnxscript_apis

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxscript_apis, "get_torchlib_ops", cache(onnxscript_apis.get_torchlib_ops))
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of benchmark images, or a skip where there is none."""
    named = os.environ.get("SECONDREAD_DATA")
    if not named:
        pytest.skip("SECONDREAD_DATA is not set: it names the folder of benchmark images")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"SECONDREAD_DATA names '{folder}', which is not a folder")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a disk of its own with room for 300 kB; a skip where none can be mounted."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("no small disk can be mounted here: that takes root on Linux")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all workers of this run share: whoever comes first makes it, under a lock of the folder."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own) / "phantoms"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def phantom_manifest(phantom_folder: Path) -> Path:
    """A manifest of 96 chest phantoms in three splits."""
    with FileLock(phantom_folder / "manifest.lock"):
        if (made := phantom_folder / "data" / "manifest.csv").exists():
            return made
        return write_phantom_data(phantom_folder / "data")


@pytest.fixture(scope="session")
def phantom_bundle(phantom_folder: Path, phantom_manifest: Path) -> Path:
    """A bundle trained on the phantoms for a few epochs, with its evidence; not to be changed."""
    from secondread.data import load_data
    from secondread.tasks import load_task
    from secondread.training import load_recipe
    from secondread.training.train import train_bundle

    made = phantom_folder / "bundle" / "phantom"
    with FileLock(phantom_folder / "bundle.lock"):
        if not made.exists():  # it is written whole
            task = load_task("tuberculosis")
            recipe = load_recipe("paper", task, epochs=16, batch_size=8, learning_rate=0.003)
            train_bundle(
                task, load_data(phantom_manifest, task=task), recipe, model_name="lenet", out=made, name="phantom",
                cache_folder=phantom_folder / "cache", command="secondread train …",
            )  # fmt: skip
    return made
