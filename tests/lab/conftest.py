"""One thread a process: these networks are small, and tests share the cores. And a manifest of two hospitals."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from secondread.data import Manifest, Row, write_manifest
from secondread.testing.phantoms import encode, film
from tests.exported import traced_once

_COUNTS = {"train": 28, "val": 8, "test": 8}


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def two_hospitals(tmp_path_factory) -> Path:
    """A manifest of chest phantoms: two hospitals with both classes in three splits, and one that is external."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "images").mkdir()
    rows, number = [], 0
    parts = [(source, split, n) for source in ("north", "south") for split, n in _COUNTS.items()]
    for source, split, count in [*parts, ("away", "external", 8)]:
        for _ in range(count):
            label, path = number % 2, folder / "images" / f"{number}.png"
            path.write_bytes(encode(film(128, number, disease=bool(label)), "PNG"))
            rows.append(Row(path, f"images/{path.name}", label, source=source, split=split, group=f"g{number}"))
            number += 1
    write_manifest(Manifest(tuple(rows), folder), folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture(autouse=True, scope="module")
def _traced_once() -> Iterator[None]:
    with traced_once():
        yield
