"""What may be read: one picture is one answer, whether it comes as a path, bytes, an open file or Pillow's image."""

import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from secondread.errors import CannotOpen
from secondread.images import Limits
from secondread.images.raster import is_picture
from secondread.reading import Reader
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

FILM = chest_phantom((150, 128), random_state=3, lesion=True)


def _turned() -> bytes:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    return encode(FILM, "JPEG", exif=exif)


def _see_through() -> bytes:
    rgba = np.dstack([FILM, FILM, FILM, np.where(FILM > 40, 255, 0).astype(np.uint8)])
    return encode(rgba, "PNG")


FILES = {
    "PNG": encode(FILM, "PNG"),
    "PNG of 16 bits": encode(FILM.astype(np.uint16) * 257, "PNG"),
    "PNG of 12 bits": encode(FILM.astype(np.uint16) * 16, "PNG"),
    "PNG that is transparent": _see_through(),
    "JPEG": encode(FILM, "JPEG"),
    "JPEG turned by its EXIF": _turned(),
    "TIFF": encode(FILM, "TIFF"),
    "WebP": encode(np.dstack([FILM] * 3), "WebP", lossless=True),
    "BMP": encode(FILM, "BMP"),
}


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tuberculosis/paper", gate=False)


@pytest.mark.parametrize("kind", FILES)
def test_one_picture_is_one_answer_however_it_is_given(reader: Reader, kind: str, tmp_path: Path) -> None:
    data = FILES[kind]
    path = tmp_path / "film"
    path.write_bytes(data)
    expected = reader.read(data, keep_image=True)
    assert expected.refusal is None
    with path.open("rb") as file, PillowImage.open(io.BytesIO(data)) as picture:
        for source in (path, str(path), file, io.BytesIO(data), picture):
            found = reader.read(source, keep_image=True)
            assert (found.probability, found.warnings) == (expected.probability, expected.warnings)
            assert found.image is not None
            assert expected.image is not None
            assert np.array_equal(found.image.pixels, expected.image.pixels)


def test_a_picture_that_pillow_made_is_read_and_left_as_it_was(reader: Reader) -> None:
    picture = PillowImage.fromarray(FILM)
    assert reader.read(picture).probability == reader.read(FILM).probability
    assert np.array_equal(np.asarray(picture), FILM)
    found = list(reader.read_many([picture, io.BytesIO(FILES["PNG"]), FILM]))
    assert [one.refusal for one in found] == [None] * 3


def test_a_dicom_file_may_be_open_too(reader: Reader) -> None:
    data = dicom_bytes(FILM)
    assert reader.read(io.BytesIO(data)).probability == reader.read(data).probability


def test_an_open_file_that_is_too_large_or_no_image_is_refused(phantom_bundle: Path) -> None:
    small = Reader.load(phantom_bundle, limits=Limits(max_bytes=1000))
    codes = [
        reading.refusal and reading.refusal.code
        for reading in (small.read(io.BytesIO(FILES["PNG"])), small.read(io.BytesIO(b"hello")))
    ]
    assert codes == ["too_large", "not_an_image"]
    refusal = Reader.load(phantom_bundle, limits=Limits(max_pixels=100)).read(PillowImage.fromarray(FILM)).refusal
    assert refusal is not None
    assert refusal.code == "too_large"


def test_a_programmers_mistake_is_told(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(FILES["PNG"])
    with (tmp_path / "film.png").open(encoding="latin-1") as text, pytest.raises(TypeError, match="binary mode"):
        reader.read(text)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an image is a path"):
        reader.read(3)  # type: ignore[arg-type]
    closed = io.BytesIO(FILES["PNG"])
    closed.close()
    with pytest.raises(CannotOpen):
        reader.read(closed)


def test_a_pillow_that_is_still_being_imported_is_no_picture(monkeypatch):
    """Threads of `read_many` ask while another one decodes the first image and imports Pillow."""
    monkeypatch.setitem(sys.modules, "PIL.Image", types.ModuleType("PIL.Image"))
    assert not is_picture("film.png")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no device without an end")
def test_a_device_without_an_end_is_too_large(phantom_bundle: Path) -> None:
    reader = Reader.load(phantom_bundle, limits=Limits(max_bytes=1000))
    refusal = reader.read("/dev/zero").refusal
    assert refusal is not None
    assert refusal.code == "too_large"
