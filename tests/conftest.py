"""What every test may ask for."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.trained import write_phantom_data

# What an example takes says more of the machine and of what runs beside than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


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
def phantom_manifest(tmp_path_factory) -> Path:
    """A manifest of 96 chest phantoms in three splits."""
    return write_phantom_data(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def phantom_bundle(tmp_path_factory, phantom_manifest) -> Path:
    """A bundle trained on the phantoms for a few epochs, with its evidence; not to be changed."""
    from secondread.data import load_data
    from secondread.tasks import load_task
    from secondread.training import load_recipe
    from secondread.training.train import train_bundle

    task = load_task("tuberculosis")
    folder = tmp_path_factory.mktemp("bundle")
    recipe = load_recipe("paper", task, epochs=16, batch_size=8, learning_rate=0.003)
    manifest = load_data(phantom_manifest, task=task)
    cache = tmp_path_factory.mktemp("cache")
    train_bundle(
        task, manifest, recipe, model_name="lenet", out=folder / "phantom", name="phantom", cache_folder=cache,
        command="secondread train …",
    )  # fmt: skip
    return folder / "phantom"
