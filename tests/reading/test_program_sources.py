"""What a program holds is read as its file is: arrays, Pillow's modes, data sets of pydicom, a file read before."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image as PillowImage
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless

import secondread
from secondread.errors import UnsupportedImage
from secondread.images import Limits, dataset_bytes
from secondread.reading import Reader
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode, without_preamble

FILM = chest_phantom((150, 128), random_state=3, lesion=True)
DEEP = FILM.astype(np.uint16) * 16
COLOUR = np.dstack([FILM, np.roll(FILM, 9, 0), FILM // 2])
ALPHA = np.where(FILM > 40, 255, np.arange(150)[:, None]).astype(np.uint8)
RGBA = np.dstack([COLOUR, ALPHA])
PNG = encode(FILM, "PNG")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.load("tuberculosis/paper", gate=False)


ARRAYS = {
    "uint8": (FILM, PNG),
    "one channel": (FILM[:, :, None], PNG),
    "float64": (FILM / 255, PNG),
    "float32": ((FILM / 255).astype(np.float32), PNG),
    "uint16": (DEEP, encode(DEEP, "PNG")),
    "float of 12 bits": (np.minimum(DEEP, 4095) / 4095, encode(DEEP, "PNG")),
    "float of 16 bits": (
        FILM.astype(np.uint16) * 257 / 65535,
        PNG,
    ),
    "RGB": (COLOUR, encode(COLOUR, "PNG")),
    "RGBA": (RGBA, encode(RGBA, "PNG")),
    "opaque RGBA": (np.dstack([COLOUR, np.full_like(FILM, 255)]), encode(COLOUR, "PNG")),
    "bool": (FILM > 90, encode((FILM > 90).astype(np.uint8) * 255, "PNG")),
    "not in one piece": (np.asfortranarray(FILM)[:, ::-1], encode(FILM[:, ::-1].copy(), "PNG")),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_read_as_its_file(reader: Reader, name: str) -> None:
    array, file = ARRAYS[name]
    found, expected = reader.read(array), reader.read(file)
    assert expected.refusal is None
    assert found.probability == pytest.approx(expected.probability, abs=1e-6)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (FILM.astype(np.int64), "not int64: what is white is not known"),
        (FILM.astype(float), "goes from 13 to 237"),
        (np.full((9, 9), np.nan), "no numbers"),
        (np.moveaxis(COLOUR, 2, 0), "transpose"),
        (np.zeros((5, 64, 64), np.uint8), "read_many"),
        (np.zeros((64, 64, 2), np.uint8), r"not \(64, 64, 2\)"),
        (FILM[0], r"not \(128,\)"),
    ],
)
def test_an_array_that_could_be_meant_in_two_ways_is_refused_by_name(reader: Reader, array, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        reader.read(array)


def _palette() -> PillowImage.Image:
    return PillowImage.fromarray(COLOUR).quantize(64)


MODES = {
    "1": lambda: PillowImage.fromarray(FILM > 90),
    "P": _palette,
    "LA": lambda: PillowImage.fromarray(np.dstack([FILM, ALPHA]), "LA"),
    "I;16": lambda: PillowImage.fromarray(DEEP),
    "RGBA": lambda: PillowImage.fromarray(RGBA),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow_is_read_as_its_file(reader: Reader, mode: str) -> None:
    picture = MODES[mode]()
    assert picture.mode == mode
    target = io.BytesIO()
    picture.save(target, format="PNG")
    found, expected = reader.read(picture), reader.read(target.getvalue())
    assert expected.refusal is None
    assert found.probability == pytest.approx(expected.probability, abs=1e-6)


DICOM = {
    "plain": {},
    "implicit": {"syntax": ImplicitVRLittleEndian},
    "big endian": {"syntax": ExplicitVRBigEndian},
    "compressed": {"syntax": JPEG2000Lossless},
}


@pytest.mark.parametrize("kind", DICOM)
def test_a_data_set_is_read_as_its_file_and_stays_as_it_was(reader: Reader, kind: str) -> None:
    data = dicom_bytes(DEEP, bits_stored=12, **DICOM[kind])
    ds = pydicom.dcmread(io.BytesIO(data))
    before = ds.to_json()
    assert reader.read(ds).probability == pytest.approx(reader.read(data).probability, abs=1e-6)
    assert ds.to_json() == before
    assert ds.file_meta.TransferSyntaxUID == pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID


def test_a_data_set_without_file_meta_information_is_read(reader: Reader) -> None:
    data = dicom_bytes(DEEP, bits_stored=12)
    expected = reader.read(data).probability
    made = pydicom.dcmread(io.BytesIO(data))
    del made.file_meta
    found = pydicom.dcmread(io.BytesIO(without_preamble(data)), force=True)
    for ds in (made, found):
        assert reader.read(ds).probability == pytest.approx(expected, abs=1e-6)


def test_a_data_set_that_does_not_say_how_it_is_compressed_is_refused() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(FILM, syntax=JPEG2000Lossless)))
    del ds.file_meta
    with pytest.raises(UnsupportedImage, match="TransferSyntaxUID"):
        dataset_bytes(ds, limits=Limits())


def test_an_open_file_is_read_from_its_start_and_left_where_it_was(reader: Reader) -> None:
    file = io.BytesIO(PNG)
    file.seek(500)
    assert reader.read(file).probability == reader.read(PNG).probability
    assert file.tell() == 500


def test_the_shortest_way_reads_too() -> None:
    found = secondread.read(PNG, "tuberculosis")
    assert (found.task, found.refusal and found.refusal.code) == ("tuberculosis", "wrong_kind")
