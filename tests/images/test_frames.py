"""The pictures of one file, one at a time: each as it is by itself, whatever becomes of the others."""

import gc
import io
import logging

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame

from secondread.errors import ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images import Frames, Image, Limits, codecs, decode, open_frames
from tests.phantoms import encode
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
    started = []
    start = codecs.Helper._started
    monkeypatch.setattr(codecs.Helper, "_started", lambda helper: started.append(start(helper)) or started[-1])
    data = _of_streams(damaged=damaged)
    kinds, last = [], None
    for last in open_frames(data):  # an error would hold all that led to it
        kinds.append(type(last))
    assert kinds == [TruncatedImage if index == damaged else Image for index in range(6)]
    assert isinstance(last, Image)
    np.testing.assert_array_equal(last.pixels, decode(_of_streams(), frame=5).pixels)
    gc.collect()
    assert len(started) - 1 == starts
    assert all(process.poll() is not None for process in started)


def test_limits_hold_for_frames() -> None:
    Limits(max_frames=6).check_frames(6)
    with pytest.raises(ImageTooLarge, match="7 frames, more than the 6"):
        Limits(max_frames=6).check_frames(7)
