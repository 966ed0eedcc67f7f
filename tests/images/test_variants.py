"""Whatever way a picture is stored or its header is wrong, it is shown as meant or refused with the true reason."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from secondread.errors import ImageError
from secondread.images import Image, decode, decode_frames, deidentify
from tests.images.variants import P12, VARIANTS, Refused, Shown, dicom, relabelled, with_dead

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of headers that are wrong
SHOWN = {name: variant for name, variant in VARIANTS.items() if isinstance(variant, Shown)}
REFUSED = {name: variant for name, variant in VARIANTS.items() if isinstance(variant, Refused)}
USUAL = ("names no window", "turned upright", "transparent")
KEY = b"k" * 32


def test_the_table_is_long_enough() -> None:
    assert len(VARIANTS) >= 200


@pytest.mark.parametrize("name", SHOWN)
def test_the_picture_is_shown_as_it_was_meant_and_what_was_mended_is_said(name: str) -> None:
    variant = SHOWN[name]
    image = decode(variant.data())
    share = image.pixels / image.full_scale
    assert share.shape == variant.share.shape
    assert np.abs(share - variant.share).mean() <= variant.tolerance
    unusual = [note for note in image.notes if not any(word in note for word in USUAL)]
    assert variant.note in " ".join(image.notes) if variant.note else not unusual


@pytest.mark.parametrize("name", [name for name, variant in SHOWN.items() if "PNG" not in name and "TIFF" not in name])
def test_the_file_that_is_kept_shows_the_same(name: str) -> None:
    data = SHOWN[name].data()
    found = deidentify(data, key=KEY)
    before, after = decode(data), decode(found.data)
    np.testing.assert_array_equal(before.pixels, after.pixels)
    assert after.notes == before.notes
    assert np.array_equal(decode(deidentify(found.data, key=KEY).data).pixels, after.pixels)


@pytest.mark.parametrize("name", REFUSED)
def test_the_refusal_gives_the_true_reason(name: str) -> None:
    with pytest.raises(ImageError, match=REFUSED[name].word) as caught:
        decode(REFUSED[name].data())
    said = str(caught.value)
    assert ";" in said, "the sentence says what to do"
    assert not [word for word in ("Traceback", "site-packages", "/", "0x", "exception") if word in said]


SHIPPED = ("MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_RLE.dcm", "JPGExtended.dcm")


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("name", SHIPPED)
def test_a_compression_is_told_by_its_own_signature(name: str, syntax: str) -> None:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        pytest.skip(f"this pydicom does not carry {name}")
    data = Path(path).read_bytes()
    np.testing.assert_array_equal(decode(relabelled(data, syntax)).pixels, decode(data).pixels)


@pytest.mark.parametrize("frame", range(3))
def test_every_frame_is_mended_and_kept(frame: int) -> None:
    stack = np.stack([P12, P12[::-1], P12[:, ::-1]])
    raw = (stack << 4).astype("<u2").tobytes()
    header = {"HighBit": 15, "PhotometricInterpretation": "Monochrome2", "SamplesPerPixel": None}
    data = dicom(P12, bits=12, NumberOfFrames=3, PixelData=raw, **header)
    image, kept = decode(data, frame=frame), decode(deidentify(data, key=KEY).data, frame=frame)
    np.testing.assert_allclose(image.pixels / 65535, stack[frame] / 4095, atol=1e-4)
    np.testing.assert_array_equal(kept.pixels, image.pixels)
    assert kept.notes == image.notes
    assert [one.notes for one in decode_frames(data)] == [image.notes] * 3


ARRAYS = {
    "12 bits": (P12, P12 / 4095),
    "a dead pixel": (with_dead(P12, one=65535), with_dead(P12, one=4095) / 4095),
    "16 bits": (P12 * 16, P12 * 16 / 65535),
    "ends at 16,500": (P12 * 4 + 120, (P12 * 4 + 120) / 16500),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_have_the_white_of_files(name: str) -> None:
    array, share = ARRAYS[name]
    image = Image.from_array(array)
    np.testing.assert_allclose(image.pixels / image.full_scale, share, atol=1e-4)
    assert bool(image.notes) == (name != "16 bits")
    np.testing.assert_array_equal(Image.from_array(np.dstack([array] * 3)).pixels[:, :, 0], image.pixels)
