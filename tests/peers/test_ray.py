"""Archives on a Ray cluster of this machine: the rows of the local engine, whatever becomes of a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from secondread.errors import CannotOpen, Conflict, UsageError
from secondread.screening import screen
from secondread.screening.cluster import connected
from tests.screening.test_screening import PAPER, films, folder, interrupted, pack, rows_of  # noqa: F401

ray = pytest.importorskip("ray", reason="ray is not installed")

pytestmark = [pytest.mark.peers, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    """Of two cores, in a folder of its own, for all that follows."""
    with connected(None, workers=2) as here:
        yield here


def run(source, out, *, engine="ray", workers=2, **more):
    return screen(source, out=out, reference=PAPER, gate=False, engine=engine, workers=workers, **more)


def test_one_and_two_workers_give_the_rows_of_the_local_engine(cluster, folder, films, tmp_path):  # noqa: F811
    pack(films, tmp_path / "films.zip")
    for source in (folder, tmp_path / "films.zip"):
        run(source, tmp_path / "local.csv", engine="local")
        for workers in (1, 2):
            found = run(source, tmp_path / "out.csv", workers=workers)
            assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
            assert (found.n, found.resumed) == (15, 0)


def test_a_stopped_run_goes_on_with_either_engine(cluster, folder, tmp_path):  # noqa: F811
    run(folder, tmp_path / "whole.csv", engine="local")
    out = tmp_path / "out.csv"
    interrupted(folder, out, at=4)
    found = run(folder, out)
    assert found.resumed >= 4
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_cluster_that_is_there_is_used_and_left(cluster, folder, tmp_path):  # noqa: F811
    run(folder, tmp_path / "local.csv", engine="local")
    command = [
        sys.executable, "-m", "secondread.cli", "screen", str(folder), "--task", "tuberculosis", "--bundle", "paper",
        "--no-gate", "--engine", "ray", "--address", cluster.get_runtime_context().gcs_address,
        "--out", str(tmp_path / "out.csv"),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr
    assert "15 pictures" in found.stdout
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert cluster.is_initialized()
    assert cluster.cluster_resources()["CPU"] == 2


def test_what_cannot_be_read_says_so(cluster, folder, films, tmp_path):  # noqa: F811
    with pytest.raises(UsageError, match="leave out --engine ray"):
        run(folder, tmp_path / "out.csv", store=object())
    (tmp_path / "films.zip").write_bytes(b"PK\x03\x04 is no archive")
    with pytest.raises(UsageError, match="damaged"):
        run(tmp_path / "films.zip", tmp_path / "out.csv")
    interrupted(folder, tmp_path / "out.csv", at=3)
    journal = tmp_path / "out.csv.journal"
    first, *lines = journal.read_text().splitlines()
    lines = [line for line in lines if not line.startswith("[1,")]  # a hole: what is behind it is looked at beside Ray
    journal.write_text("\n".join([first, *lines, ""]))
    names = [json.loads(line)[2]["path"] for line in lines if json.loads(line)[0] > 1]
    (folder / names[0]).write_bytes(films["11.png"])
    with pytest.raises(Conflict, match="another size or date"):
        run(folder, tmp_path / "out.csv")


KILLED = """
import sys
from pathlib import Path
from secondread.screening import screen
source, out, log, engine_workers = sys.argv[1:]
def told(done, total):
    Path(log).write_text(str(done))
found = screen(source, out=out, reference="tuberculosis/paper", gate=False, engine="ray", workers=int(engine_workers),
               progress=told)
print(found.n, found.resumed)
"""


@pytest.fixture
def many(tmp_path, films):  # noqa: F811
    """600 files, which take two workers some seconds, and the table that the local engine makes of them."""
    here = tmp_path / "many"
    here.mkdir()
    pictures = [data for name, data in films.items() if name.endswith(".png") and data]
    for number in range(600):
        (here / f"{number:04d}.png").write_bytes(pictures[number % len(pictures)])
    run(here, tmp_path / "local.csv", engine="local")
    return here


def actors_of(pid: int) -> list[int]:
    """Processes of that run's actors, by their titles."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            title = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"MapWorker" in title and f"OF_TEST={pid}".encode() in environment:
            found.append(int(entry.name))
    return found


@contextmanager
def started(many, out, log, *, mark):
    """A run in a process of its own, which is not left behind."""
    command = [sys.executable, "-c", KILLED, str(many), str(out), str(log), "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OF_TEST": str(mark)}
    environment.pop("RAY_ADDRESS", None)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(what, *, seconds=180.0):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)
    return found


def done_so_far(log):
    """How many pictures the run has told of; it may be writing the number just now."""
    said = log.read_text() if log.is_file() else ""
    return int(said or 0)


def test_a_worker_that_is_killed_in_the_middle_takes_nothing_with_it(many, tmp_path):
    out, log = tmp_path / "out.csv", tmp_path / "log"
    with started(many, out, log, mark=os.getpid()) as process:
        wait_for(lambda: done_so_far(log))
        os.kill(wait_for(lambda: actors_of(os.getpid()))[0], signal.SIGKILL)
        at = done_so_far(log)
        said, _ = process.communicate(timeout=300)
    assert at < 600, "all was read before the kill"
    assert said.split()[-2:] == [b"600", b"0"]  # behind what Ray says of the worker
    assert out.read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_a_run_that_is_killed_goes_on(many, tmp_path):
    out, log = tmp_path / "out.csv", tmp_path / "log"
    with started(many, out, log, mark=f"{os.getpid()}-whole"):
        wait_for(lambda: done_so_far(log))
    assert not out.exists()
    found = run(many, out, engine="local")
    assert 0 < found.resumed < 600
    assert found.n == 600
    assert out.read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_a_cluster_that_is_not_there(folder, tmp_path):  # noqa: F811
    command = [
        sys.executable, "-m", "secondread.cli", "screen", str(folder), "--task", "tuberculosis", "--engine", "ray",
        "--address", "127.0.0.1:1", "--out", str(tmp_path / "out.csv"),
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 1
    assert "no Ray cluster" in found.stderr
    assert not (tmp_path / "out.csv.journal").exists()
    assert CannotOpen.__name__ not in found.stderr
