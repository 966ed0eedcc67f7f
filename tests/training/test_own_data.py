"""Training on one's own images: a bundle that can be used as it is, and whose card speaks of these images."""

from pathlib import Path

import pytest

from secondread.data import load_data, write_manifest
from secondread.data.manifest import Manifest
from secondread.reading import Reader, load_bundle
from secondread.testing.phantoms import film, write_phantom_data
from tests.cli.test_cli import call


def train(capsys: pytest.CaptureFixture[str], data: Path, out: Path, *more: str) -> str:
    quick = ("--epochs", 10, "--batch-size", 8, "--learning-rate", 0.003)
    code, said, err = call(capsys, "train", "--task", "fracture", "--data", data, "--out", out, *quick, *more)
    assert code == 0, err
    return said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECONDREAD_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_point_that_decides_finds_the_diseased_and_the_card_names_ones_own_sources(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    data = write_phantom_data(folder / "data")
    train(capsys, data, folder / "mine")
    bundle = load_bundle(folder / "mine")
    point = bundle.operating_point()
    assert point.name == "screening"
    assert point.sensitivity.value >= 0.8
    reader = Reader.load(folder / "mine")
    found = [reader.read(film(128, number, disease=True)).decision for number in range(200, 212)]
    assert found.count("positive") >= 9
    assert "FracAtlas" not in bundle.card
    assert all(f"| site{number} |" in bundle.card for number in range(3))
    assert "not stated here" in bundle.card
    assert "learnt from other images" in bundle.card


def test_a_manifest_without_sources_is_said_to_have_none(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    from dataclasses import replace

    data = write_phantom_data(folder / "data")
    rows = tuple(replace(row, source="") for row in load_data(data).rows)
    write_manifest(Manifest(rows, data.parent), data)
    train(capsys, data, folder / "mine", "--operating-point", "paper")
    bundle = load_bundle(folder / "mine")
    assert bundle.operating_point().name == "paper"
    assert "whose source the manifest does not name" in bundle.card
    assert "FracAtlas" not in bundle.card
