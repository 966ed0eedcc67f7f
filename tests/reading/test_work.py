"""What one reading does, counted: no time is saved by a faster step that is taken twice."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from secondread.images import raster
from secondread.reading import Reader, heatmap
from secondread.testing.phantoms import chest_phantom, encode


class Counted:
    """A session that counts its answers."""

    def __init__(self, session, name, counts):
        self._session, self._name, self._counts = session, name, counts

    def run(self, names, feed):
        """As the session's own."""
        self._counts[self._name] += 1
        return self._session.run(names, feed)


@pytest.fixture
def counts(monkeypatch):
    """How often each step was taken."""
    found = Counter()

    def count(module, name, label):
        work = getattr(module, name)

        def counted(*args, **options):
            found[label] += 1
            return work(*args, **options)

        monkeypatch.setattr(module, name, counted)

    count(simplejpeg, "decode_jpeg", "pixels decoded")
    count(raster, "plain", "headers read")
    count(raster, "_open", "headers read")  # by Pillow, where there is more to know
    count(heatmap, "place_map", "maps drawn")
    return found


@pytest.fixture
def reader(counts):
    """Its sessions count."""
    found = Reader.load("tuberculosis/paper")
    found._session = Counted(found._session, "networks run", counts)
    found.gate = type(found.gate)(found.gate.record, Counted(found.gate.session, "gates run", counts))
    return found


ONCE = {"pixels decoded": 1, "headers read": 1, "gates run": 1}


@pytest.fixture
def film(tmp_path):
    """A film in a file."""
    path = tmp_path / "film.jpg"
    path.write_bytes(encode(chest_phantom(400, random_state=0), "JPEG"))
    return path


def test_a_reading_takes_each_step_once_and_draws_nothing(reader, counts, film):
    reading = reader.read(film)
    assert counts == ONCE | ({} if reading.refusal else {"networks run": 1})


def test_without_the_gate_the_network_alone_is_run(counts, film):
    reader = Reader.load("tuberculosis/paper", gate=False)
    reader._session = Counted(reader._session, "networks run", counts)
    reading = reader.read(film)
    assert counts == {"pixels decoded": 1, "headers read": 1, "networks run": 1}
    reading.heatmap.strength(longest_side=64)
    assert counts["maps drawn"] == 1


def test_a_small_file_is_asked_for_no_more_than_it_holds(counts, film, monkeypatch):
    asked = []
    opened = Path.open

    class Asked:
        def __init__(self, file):
            self._file = file
            self.fileno = file.fileno

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def read(self, n):
            asked.append(n)
            return self._file.read(n)

    reader = Reader.load("tuberculosis/paper", gate=False)
    monkeypatch.setattr(Path, "open", lambda path, *args: Asked(opened(path, *args)))
    assert reader.read(film).probability is not None
    assert asked == [film.stat().st_size + 1]


def test_a_file_that_grows_while_it_is_read_is_read_whole(film, monkeypatch):
    reader, whole = Reader.load("tuberculosis/paper", gate=False), film.stat().st_size
    stat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result([*stat(handle)[:6], whole // 3, 0, 0, 0]))
    assert reader.read(film).probability == reader.read(film.read_bytes()).probability


def test_a_blank_picture_is_seen_by_its_histogram(reader):
    assert reader.read(np.full((200, 200), 7, np.uint8)).refusal.code == "blank"
