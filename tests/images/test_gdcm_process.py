"""GDCM's processes: one at hand forks one for each frame, a damaged frame harms no other, and nothing is left over."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from secondread.errors import TruncatedImage
from secondread.images import decode, gdcm_process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that can fork")


@pytest.fixture
def packed():
    """A DICOM file in JPEG-LS, which GDCM decodes."""
    return Path(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)).read_bytes()


@pytest.fixture
def plain():
    """The same picture, uncompressed."""
    return decode(Path(get_testdata_file("MR_small.dcm", download=False)).read_bytes()).pixels


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """The commands that were started, each test from none at hand; none is left over."""
    found = []
    popen = subprocess.Popen

    def counting(command, *args, **options):
        found.append(command)
        return popen(command, *args, **options)

    monkeypatch.setattr(gdcm_process, "_idle", [])
    monkeypatch.setattr(gdcm_process.subprocess, "Popen", counting)
    yield found
    for one in gdcm_process._idle:
        one._ended()


def test_many_files_start_one_process(packed, plain, started):
    for _ in range(5):
        assert (decode(packed).pixels == plain).all()
    assert len(started) == 1


def test_no_more_processes_than_threads_that_ask_at_once(packed, plain, started):
    with ThreadPoolExecutor(3) as pool:
        pictures = list(pool.map(decode, [packed] * 12))
    assert all((picture.pixels == plain).all() for picture in pictures)
    assert 1 <= len(started) <= 3


def test_a_damaged_frame_ends_its_own_process_alone(packed, plain):
    decode(packed)
    start = packed.rindex(b"\xff\xda")  # of the scan: what follows is coded data
    damaged = packed[: start + 40] + b"\xff\x01" * 40 + packed[start + 120 :]
    with suppress(TruncatedImage):
        assert decode(damaged).pixels.shape == plain.shape
    assert (decode(packed).pixels == plain).all()


def test_a_frame_that_kills_its_process_is_refused_and_the_next_one_read(packed, plain, monkeypatch, started):
    whole = gdcm_process.json.dumps
    monkeypatch.setattr(gdcm_process.json, "dumps", lambda facts: whole(facts | {"syntax": "1.2.3", "columns": -1}))
    with pytest.raises(TruncatedImage, match="damaged"):
        decode(packed)
    monkeypatch.setattr(gdcm_process.json, "dumps", whole)
    assert (decode(packed).pixels == plain).all()
    assert len(started) == 2


def test_a_process_that_has_left_is_replaced_without_a_word(packed, plain, started):
    decode(packed)
    process = gdcm_process._idle[-1]._process
    process.terminate()
    process.wait(10)
    assert (decode(packed).pixels == plain).all()
    assert len(started) == 2


def test_a_process_that_has_waited_long_enough_leaves_by_itself():
    said, told = os.pipe()
    worker = gdcm_process._WORKER.read_text(encoding="utf-8").replace("_WAITS = 30.0", "_WAITS = 0.1")
    command = [gdcm_process.sys.executable, "-P", "-c", worker, "--fork", str(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(told,)) as process:
        assert process.wait(60) == 0
    for end in (said, told):
        os.close(end)


def test_a_forked_program_starts_a_process_of_its_own(packed, plain):
    decode(packed)
    child = os.fork()
    if child == 0:
        fine = not gdcm_process._idle and bool((decode(packed).pixels == plain).all())
        for one in gdcm_process._idle:
            one._ended()
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert gdcm_process._idle[-1]._process.poll() is None, "the parent's is still there"
    assert (decode(packed).pixels == plain).all()


def test_where_nothing_can_be_forked_each_frame_has_a_process(packed, plain, monkeypatch, started):
    monkeypatch.delattr(gdcm_process.os, "fork")
    for _ in range(2):
        assert (decode(packed).pixels == plain).all()
    assert len(started) == 2
