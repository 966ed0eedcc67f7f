"""The pictures of one file, one at a time: each as it is by itself, whatever becomes of the others."""

import io
import logging
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as PillowImage
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEGBaseline8Bit

from secondread.errors import ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images import Frames, Image, Limits, decode, gdcm_process, open_frames, open_picture
from secondread.testing.phantoms import encode
from tests.several import dicom_of, raster_of, stack

FRAMES = stack(6, (), blank=())
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of test files that it does not find


def test_frames_can_be_asked_for_in_any_order() -> None:
    for data in (dicom_of(FRAMES), raster_of(FRAMES, "TIFF"), raster_of(FRAMES, "PNG")):
        frames = open_frames(data)
        assert frames.n == 6
        for index in (3, 1, 1, 5, 0):
            np.testing.assert_array_equal(frames.frame(index).pixels, decode(data, frame=index).pixels)
        for beyond in (6, -1):
            with pytest.raises(UnsupportedImage, match="has 6"):
                frames.frame(beyond)


def test_a_file_of_one_picture_has_one_frame() -> None:
    frames = open_frames(encode(FRAMES[0], "JPEG"))
    assert (frames.n, [one.frame for one in frames if isinstance(one, Image)]) == (1, [0])


def test_what_follows_a_frame_that_raises_is_still_given() -> None:
    def one(index: int) -> Image:
        if index == 1:
            raise TruncatedImage("cut")
        return Image.from_array(FRAMES[index])

    assert [type(found) for found in Frames(3, one)] == [Image, TruncatedImage, Image]


def _of_streams(*, damaged: int | None = None) -> bytes:
    """Six frames of JPEG-LS, which GDCM decodes in a process of its own."""
    path = get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)
    assert isinstance(path, str)
    ds = pydicom.dcmread(path)
    whole = get_frame(ds.PixelData, 0, number_of_frames=1)
    streams = [whole[:200] + bytes(40) + whole[240:600] if index == damaged else whole for index in range(6)]
    ds.NumberOfFrames, ds.PixelData = 6, encapsulate(streams)
    target = io.BytesIO()
    ds.save_as(target)
    return target.getvalue()


@pytest.mark.parametrize(("damaged", "starts"), [(None, 1), (2, 2)])
def test_one_process_decodes_all_frames_of_a_file(
    monkeypatch: pytest.MonkeyPatch, damaged: int | None, starts: int
) -> None:
    # pydicom logs an exception with all that led to it, and pytest keeps what is logged.
    monkeypatch.setattr(logging.getLogger("pydicom.pixels.decoders.base"), "disabled", True)
    started: list[gdcm_process._AtHand] = []
    start = gdcm_process._AtHand.__init__
    monkeypatch.setattr(gdcm_process, "_idle", [])
    monkeypatch.setattr(gdcm_process._AtHand, "__init__", lambda one: started.append(one) or start(one))
    data = _of_streams(damaged=damaged)
    kinds, last = [], None
    for last in open_frames(data):
        kinds.append(type(last))
    assert kinds == [TruncatedImage if index == damaged else Image for index in range(6)]
    assert isinstance(last, Image)
    np.testing.assert_array_equal(last.pixels, decode(_of_streams(), frame=5).pixels)
    assert len(started) == starts
    *damaged_ones, at_hand = started
    assert all(one._process.poll() is not None for one in damaged_ones)
    assert gdcm_process._idle == [at_hand]
    at_hand._ended()
    assert at_hand._process.poll() is not None


def test_limits_hold_for_frames() -> None:
    Limits(max_frames=6).check_frames(6)
    with pytest.raises(ImageTooLarge, match="7 frames, more than the 6"):
        Limits(max_frames=6).check_frames(7)


def _changed(data: bytes, *, frames: int | None, **elements: Any) -> bytes:
    """The file with another number of frames, or with none that the header tells."""
    ds = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    del ds.NumberOfFrames
    if frames is not None:
        ds.NumberOfFrames = frames
    target = io.BytesIO()
    ds.save_as(target)
    return target.getvalue()


JPEGS = [encode(one, "JPEG", quality=95) for one in FRAMES]


def _compressed(*, frames: int | None, table: str = "right", pieces: int = 1) -> bytes:
    """Six frames of JPEG. table: how the basic offset table is: right, none, zeros, or wild."""
    ds = pydicom.dcmread(io.BytesIO(dicom_of(FRAMES)))
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    pixels = bytearray(encapsulate(JPEGS, has_bot=table != "none", fragments_per_frame=pieces))
    if table in ("zeros", "wild"):
        pixels[8:32] = b"".join((7001 * index * (table == "wild")).to_bytes(4, "little") for index in range(6))
    ds.PixelData = bytes(pixels)
    ds["PixelData"].VR = "OB"
    target = io.BytesIO()
    ds.save_as(target)
    return _changed(target.getvalue(), frames=frames)


DEEP = FRAMES.astype(np.uint16) * 16
COLOURED = np.repeat(FRAMES[..., None], 3, axis=-1)


@pytest.mark.parametrize("said", [None, 1, 3, 0, -1])
@pytest.mark.parametrize(
    "data",
    [
        dicom_of(FRAMES),
        dicom_of(DEEP, bits_stored=12, WindowCenter=2048, WindowWidth=4096),
        dicom_of(COLOURED),
        _compressed(frames=6),
        _compressed(frames=6, pieces=2),
        _compressed(frames=6, table="none"),
    ],
    ids=["8 bits", "12 bits", "colour", "JPEG", "JPEG in pieces", "JPEG without a table"],
)
def test_frames_that_the_header_does_not_speak_of_are_read_and_that_is_said(data: bytes, said: int | None) -> None:
    frames = open_frames(_changed(data, frames=said))
    assert frames.n == 6
    for index in range(6):
        found = frames.frame(index)
        np.testing.assert_array_equal(found.pixels, decode(data, frame=index).pixels)
        assert any("how many frames" in note for note in found.notes)


@pytest.mark.parametrize("said", [None, 1, 2])
def test_pixels_of_twice_the_bits_that_are_said_are_not_taken_for_twice_the_frames(said: int | None) -> None:
    data = dicom_of(DEEP[: said or 1], bits_stored=12, WindowCenter=2048, WindowWidth=4096)
    frames = open_frames(_changed(data, frames=said, BitsAllocated=8, BitsStored=8, HighBit=7))
    assert frames.n == (said or 1)
    assert any("how many bits" in note for note in frames.frame(0).notes)


@pytest.mark.parametrize(("data", "said"), [(dicom_of(DEEP, bits_stored=12), 12), (dicom_of(COLOURED), 18)])
def test_files_that_lack_frames_are_cut_short_and_not_of_fewer_bits_or_without_colour(data: bytes, said: int) -> None:
    with pytest.raises(TruncatedImage, match="promises"):
        open_frames(_changed(data, frames=said))


@pytest.mark.parametrize("table", ["zeros", "wild"])
def test_a_wrong_table_of_offsets_mixes_up_no_frames(table: str) -> None:
    frames = open_frames(_compressed(frames=6, table=table))
    assert frames.n == 6
    right = _compressed(frames=6)
    for index in range(6):
        np.testing.assert_array_equal(frames.frame(index).pixels, decode(right, frame=index).pixels)


def test_pixels_beyond_the_last_frame_are_mentioned() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_of(FRAMES)))
    data = _changed(dicom_of(FRAMES), frames=2, PixelData=ds.PixelData[:-100])
    frames = open_frames(data)
    assert frames.n == 2
    assert any("more pixels" in note for note in frames.frame(0).notes)


def test_pages_of_a_tiff_that_is_cut_short_do_not_go_unmentioned() -> None:
    whole = raster_of(FRAMES, "TIFF")
    cut = whole[: len(whole) * 2 // 3]
    frames = open_frames(cut)
    found = list(frames)
    n_read = sum(isinstance(one, Image) for one in found)
    assert 2 <= n_read < frames.n
    assert [type(one) for one in found[n_read:]] == [TruncatedImage] * (frames.n - n_read)
    for index in range(n_read):
        np.testing.assert_array_equal(frames.frame(index).pixels, FRAMES[index])
    held = open_picture(PillowImage.open(io.BytesIO(cut)), limits=Limits())
    assert (held.n, [type(one) for one in held]) == (frames.n, [type(one) for one in found])


def test_an_empty_first_frame_does_not_settle_the_sign_or_the_planes_of_the_others() -> None:
    signed = FRAMES.astype(np.int16) * 16 - 1000
    signed[0] = -1000
    ds = pydicom.dcmread(io.BytesIO(dicom_of(signed, WindowCenter=1040, WindowWidth=4080)))
    by_plane = np.ascontiguousarray(np.moveaxis(COLOURED, -1, 1))
    by_plane[0] = 0
    silent = pydicom.dcmread(io.BytesIO(dicom_of(COLOURED)))
    silent.PixelData, silent.PlanarConfiguration = by_plane.tobytes(), 1
    for whole, keyword in ((ds, "PixelRepresentation"), (silent, "PlanarConfiguration")):
        files = [io.BytesIO(), io.BytesIO()]
        whole.save_as(files[0])
        delattr(whole, keyword)
        whole.save_as(files[1])
        right, read = (open_frames(file.getvalue()) for file in files)
        for index in (0, 1, 5):
            np.testing.assert_array_equal(read.frame(index).pixels, right.frame(index).pixels)
