"""DICOM: stored values become what PS3.3 and PS3.4 say is shown, for every way they can be stored."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from secondread.errors import ImageTooLarge, TruncatedImage, UnsupportedImage
from secondread.images import Limits, decode, decode_frames, whole_range
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode, without_preamble

GREY = chest_phantom((64, 80), random_state=0)
DEEP = GREY.astype(np.uint16) * 16  # 12 bits
SIGNED = DEEP.astype(np.int16) - 1000
RGB = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
STEP = 1 / 65535


def lut(first: int, table: np.ndarray, bits: int = 16) -> Dataset:
    """An item of a modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(table) % 65536, first, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in table])
    item.ModalityLUTType = "US"
    return item


def linear(x: np.ndarray, c: float, w: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, output 0 to 1."""
    inside = (x - (c - 0.5)) / (w - 1) + 0.5
    return np.where(x <= c - 0.5 - (w - 1) / 2, 0, np.where(x > c - 0.5 + (w - 1) / 2, 1, inside))


def linear_exact(x: np.ndarray, c: float, w: float) -> np.ndarray:
    """PS3.3 C.11.2.1.3.2, output 0 to 1."""
    return np.where(x <= c - w / 2, 0, np.where(x > c + w / 2, 1, (x - c) / w + 0.5))


def sigmoid(x: np.ndarray, c: float, w: float) -> np.ndarray:
    """PS3.3 C.11.2.1.3.1, output 0 to 1."""
    return 1 / (1 + np.exp(-4 * (x - c) / w))


def ramp(x: np.ndarray) -> np.ndarray:
    """From the lowest to the highest value."""
    return (x - x.min()) / (float(x.max()) - float(x.min()))


CURVE = (np.linspace(0, 1, 4096) ** 2 * 60000).astype(np.int64)
X = DEEP.astype(np.float64)
HU = SIGNED * 1.5 - 20.0
WINDOW: dict[str, Any] = {"WindowCenter": 1800, "WindowWidth": 2500}

PIPELINE: dict[str, tuple[np.ndarray, dict[str, Any], np.ndarray]] = {
    "no window": (DEEP, {}, ramp(X)),
    "8 bits": (GREY, {"WindowCenter": 100, "WindowWidth": 120}, linear(GREY.astype(float), 100, 120)),
    "12 bits": (DEEP, {"bits_stored": 12, **WINDOW}, linear(X, 1800, 2500)),
    "16 bits": (DEEP, WINDOW, linear(X, 1800, 2500)),
    "signed": (SIGNED, {"WindowCenter": 40, "WindowWidth": 400}, linear(SIGNED.astype(float), 40, 400)),
    "exact": (DEEP, {"VOILUTFunction": "LINEAR_EXACT", **WINDOW}, linear_exact(X, 1800, 2500)),
    "sigmoid": (DEEP, {"VOILUTFunction": "SIGMOID", **WINDOW}, sigmoid(X, 1800, 2500)),
    "first of two windows": (DEEP, {"WindowCenter": [1800, 40], "WindowWidth": [2500, 80]}, linear(X, 1800, 2500)),
    "window of one": (DEEP, {"WindowCenter": 1800, "WindowWidth": 1}, (X > 1799.5).astype(float)),
    "impossible window": (DEEP, {"WindowCenter": 1800, "WindowWidth": -3}, ramp(X)),
    "rescale": (
        SIGNED,
        {"RescaleSlope": 1.5, "RescaleIntercept": -20, "WindowCenter": 40, "WindowWidth": 400},
        linear(HU, 40, 400),
    ),
    "rescale that turns round": (DEEP, {"RescaleSlope": -1, "RescaleIntercept": 4095}, ramp(4095 - X)),
    "modality LUT": (
        DEEP,
        {"ModalityLUTSequence": [lut(0, CURVE)], "WindowCenter": 20000, "WindowWidth": 30000},
        linear(CURVE[DEEP].astype(float), 20000, 30000),
    ),
    "VOI LUT": (DEEP, {"VOILUTSequence": [lut(0, CURVE)]}, CURVE[DEEP] / 65535),
    "VOI LUT of 12 bits": (DEEP, {"VOILUTSequence": [lut(0, CURVE // 16, 12)]}, (CURVE // 16)[DEEP] / 4095),
    "VOI LUT that starts later": (
        DEEP,
        {"VOILUTSequence": [lut(500, CURVE[:2000])]},
        CURVE[np.clip(DEEP.astype(int) - 500, 0, 1999)] / CURVE[1999],  # no entry comes near 16 bits
    ),
    "VOI LUT of signed values": (
        SIGNED,
        {"VOILUTSequence": [lut(-1000, CURVE)]},
        CURVE[np.clip(SIGNED.astype(int) + 1000, 0, 4095)] / 65535,
    ),
    "VOI LUT before window": (DEEP, {"VOILUTSequence": [lut(0, CURVE)], **WINDOW}, CURVE[DEEP] / 65535),
    "MONOCHROME1": (DEEP, {"PhotometricInterpretation": "MONOCHROME1", **WINDOW}, 1 - linear(X, 1800, 2500)),
    "padding": (
        DEEP,
        {"PixelPaddingValue": int(DEEP.max())},
        np.where(DEEP.max() == DEEP, 0, (X - X.min()) / (np.unique(X)[-2] - X.min())),
    ),
    "padding range": (
        DEEP,
        {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 800, "PhotometricInterpretation": "MONOCHROME1"},
        np.where(DEEP <= 800, 0, 1 - (X - X[DEEP > 800].min()) / (X.max() - X[DEEP > 800].min())),
    ),
}


@pytest.mark.parametrize("case", PIPELINE)
def test_grey_pipeline(case: str) -> None:
    stored, elements, share = PIPELINE[case]
    image = decode(dicom_bytes(stored, **elements))
    assert image.pixels.dtype == np.uint16
    assert image.full_scale == 65535
    np.testing.assert_allclose(image.pixels / 65535, np.clip(share, 0, 1), atol=STEP)


def test_without_a_window_a_file_is_shown_by_its_own_range_and_a_plain_picture_by_its_bits() -> None:
    """A PNG's format says what is black and white, and in DICOM the window alone: see docs/reference/formats.md."""
    plain = decode(encode(DEEP, "PNG"))
    share, white = plain.pixels / plain.full_scale, plain.full_scale
    bare = decode(dicom_bytes(DEEP)).pixels.astype(int)
    whole = {"WindowCenter": (white + 1) // 2, "WindowWidth": white + 1}  # identity: C.11.2.1.2.1, note 4
    np.testing.assert_allclose(decode(dicom_bytes(DEEP, **whole)).pixels / 65535, share, atol=STEP)
    assert np.abs(bare / 65535 - share).max() > 0.01
    for other in (
        dicom_bytes(DEEP + 1000),
        dicom_bytes(DEEP, RescaleSlope="2", RescaleIntercept="-1024"),
        dicom_bytes(4095 - DEEP, PhotometricInterpretation="MONOCHROME1"),
    ):
        assert np.abs(decode(other).pixels.astype(int) - bare).max() <= 1


def test_modality_then_window_then_inversion() -> None:
    """The three steps do not commute here: any other order gives another picture."""
    rescaled: dict[str, Any] = {"RescaleSlope": 2, "RescaleIntercept": -3000}
    window: dict[str, Any] = {"WindowCenter": 500, "WindowWidth": 2000}
    shown = decode(dicom_bytes(DEEP, PhotometricInterpretation="MONOCHROME1", **rescaled, **window)).pixels / 65535
    right = 1 - linear(X * 2 - 3000, 500, 2000)
    window_first = 1 - ramp(linear(X, 500, 2000) * 2 - 3000)
    inverted_first = linear((4095 - X) * 2 - 3000, 500, 2000)
    np.testing.assert_allclose(shown, right, atol=STEP)
    for wrong in (window_first, inverted_first):
        assert np.abs(shown - wrong).max() > 0.2


PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", [*PLAIN, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("stored", [GREY, DEEP, SIGNED], ids=["8", "16", "signed"])
def test_lossless_syntaxes_agree(syntax: str, stored: np.ndarray) -> None:
    image = decode(dicom_bytes(stored, syntax=syntax))
    np.testing.assert_allclose(image.pixels / 65535, ramp(stored.astype(float)), atol=STEP)


def test_jpeg_baseline() -> None:
    stream = encode(GREY, "JPEG", quality=95)
    window: dict[str, Any] = {"WindowCenter": 128, "WindowWidth": 256}
    image = decode(dicom_bytes(GREY, syntax=JPEGBaseline8Bit, codestreams=[stream], **window))
    np.testing.assert_allclose(image.pixels / 65535, decode(stream).pixels / 255, atol=STEP)


# Compressed twins of uncompressed files, as they ship inside pydicom.
TWINS = (
    ("MR_small.dcm", "MR_small_RLE.dcm", 0),
    ("MR_small.dcm", "MR_small_jp2klossless.dcm", 0),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm", 0),
    ("MR_small.dcm", "MR_small_bigendian.dcm", 0),
    ("MR_small.dcm", "MR_small_implicit.dcm", 0),
    ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm", 0),
    ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm", 30),
    ("SC_rgb_rle.dcm", "SC_rgb_jls_lossy_line.dcm", 30),
    ("SC_rgb_rle.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", 30),
    ("SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", 0),
    ("SC_rgb_rle.dcm", "SC_rgb_rle_32bit.dcm", 0),
    ("SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm", 60),
)


def shipped(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        pytest.skip(f"this pydicom does not carry {name}")
    with open(path, "rb") as file:  # noqa: PTH123 - pydicom hands out a string
        return file.read()


@pytest.mark.parametrize(("plain", "other", "tolerance"), TWINS)
def test_twins_show_the_same(plain: str, other: str, tolerance: int) -> None:
    a, b = decode(shipped(plain)), decode(shipped(other))
    assert a.pixels.dtype == b.pixels.dtype
    assert np.abs(a.pixels.astype(int) - b.pixels.astype(int)).mean() <= tolerance


def test_jpeg_of_12_bits() -> None:
    """pydicom carries the same picture as JPEG 2000 and, compressed far harder, as JPEG."""
    fine, coarse = (decode(shipped(name)).pixels.ravel().astype(float) for name in ("JPEG2000.dcm", "JPEG-lossy.dcm"))
    assert np.corrcoef(fine, coarse)[0, 1] > 0.95


SHIPPED_COLOUR = ("examples_rgb_color.dcm", "examples_palette.dcm", "examples_jpeg2k.dcm", "examples_ybr_color.dcm")


@pytest.mark.parametrize("name", SHIPPED_COLOUR)
def test_colour_is_eight_bit_rgb(name: str) -> None:
    data = shipped(name)
    ds = pydicom.dcmread(io.BytesIO(data))
    image = decode(data)
    assert image.pixels.shape == (ds.Rows, ds.Columns, 3)
    assert image.pixels.dtype == np.uint8
    if ds.PhotometricInterpretation in ("RGB", "YBR_RCT"):
        np.testing.assert_array_equal(image.pixels, pixel_array(ds))


def test_palette_colours() -> None:
    steps = np.arange(256, dtype=np.uint16)
    tables = {"Red": steps, "Green": 255 - steps, "Blue": steps // 2}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in tables.items():
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{colour}PaletteColorLookupTableData"] = (table * 257).astype("<u2").tobytes()
    expected = np.dstack([table[GREY] for table in tables.values()])
    np.testing.assert_array_equal(decode(dicom_bytes(GREY, **elements)).pixels, expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_frames_come_in_order(syntax: str) -> None:
    stack = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]])
    data = dicom_bytes(stack, syntax=syntax, multi_frame=True, **WINDOW)
    images = list(decode_frames(data))
    assert [(image.frame, image.n_frames) for image in images] == [(0, 3), (1, 3), (2, 3)]
    for index, image in enumerate(images):
        np.testing.assert_allclose(image.pixels / 65535, linear(stack[index].astype(float), 1800, 2500), atol=STEP)
        np.testing.assert_array_equal(image.pixels, decode(data, frame=index).pixels)
    with pytest.raises(UnsupportedImage, match="no frame 4"):
        decode(data, frame=3)


def test_functional_groups_win_over_the_image() -> None:
    """Enhanced objects: each frame's own values, then the shared ones (PS3.3 C.7.6.16)."""
    frames = [functional_groups(WindowCenter=c, WindowWidth=1000) for c in (500, 3000)]
    shared = functional_groups(RescaleSlope=2, RescaleIntercept=-100)
    data = dicom_bytes(
        np.stack([DEEP, DEEP]),
        multi_frame=True,
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
        **WINDOW,
    )
    for index, centre in enumerate((500, 3000)):
        share = linear(X * 2 - 100, centre, 1000)
        np.testing.assert_allclose(decode(data, frame=index).pixels / 65535, share, atol=STEP)


def functional_groups(**elements: float) -> Dataset:
    macro, groups = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(macro, keyword, value)
    name = "FrameVOILUTSequence" if "WindowCenter" in elements else "PixelValueTransformationSequence"
    setattr(groups, name, [macro])
    return groups


def test_facts_come_along() -> None:
    image = decode(dicom_bytes(DEEP, bits_stored=12, Modality="CR", BodyPartExamined="CHEST "))
    facts = (image.format, image.bit_depth, image.photometric, image.modality, image.body_part)
    assert facts == ("DICOM", 12, "MONOCHROME2", "CR", "CHEST")


@pytest.mark.parametrize("syntax", PLAIN[:3], ids=lambda uid: uid.keyword)
def test_files_without_preamble_are_dicom(syntax: str) -> None:
    """Old devices write the data set alone; how it is encoded is then found out."""
    data = dicom_bytes(DEEP, syntax=syntax, **WINDOW)
    np.testing.assert_array_equal(decode(without_preamble(data)).pixels, decode(data).pixels)


def test_reports_hold_no_image() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY)))
    for keyword in ("PixelData", "Rows", "Columns"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"  # Basic Text SR
    target = io.BytesIO()
    ds.save_as(target)
    with pytest.raises(UnsupportedImage, match="no image"):
        decode(target.getvalue())


@pytest.mark.parametrize("length", [350, 400, 600])
def test_an_image_cut_short_within_its_header_is_no_report(length: int) -> None:
    with pytest.raises(TruncatedImage, match="send it again"):
        decode(dicom_bytes(GREY)[:length])


@pytest.mark.parametrize(
    ("said", "square"),
    [
        ({"PixelSpacing": [0.2, 0.2]}, True),
        ({"PixelSpacing": [0.2, 0.201]}, True),
        ({"PixelSpacing": [0.1, 0.4]}, False),
        ({"ImagerPixelSpacing": [0.2, 0.1], "Modality": "DX"}, False),
        ({"PixelAspectRatio": [1, 4]}, False),
        ({"PixelAspectRatio": [3, 3], "PixelSpacing": [0.1, 0.4]}, True),
        ({"PixelSpacing": [0, 0.4]}, True),
    ],
)
def test_pixels_that_are_not_square_are_told(said: dict[str, object], square: bool) -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY)))
    for name, value in said.items():
        setattr(ds, name, value)
    target = io.BytesIO()
    ds.save_as(target)
    assert any("not square" in note for note in decode(target.getvalue()).notes) is not square


def test_float_pixels_whose_depth_makes_no_sense_are_damaged() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY)))
    del ds.PixelData
    ds.BitsAllocated = 32
    ds.FloatPixelData = (GREY / 100.0 - 1).astype("<f4").tobytes()
    ds.BitsStored = [16, 16]
    target = io.BytesIO()
    ds.save_as(target)
    for look in (decode, whole_range):
        with pytest.raises(TruncatedImage, match="damaged"):
            look(target.getvalue())


def test_float_pixels() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(GREY)))
    del ds.PixelData
    ds.BitsAllocated = 32
    ds.FloatPixelData = (GREY / 100.0 - 1).astype("<f4").tobytes()
    target = io.BytesIO()
    ds.save_as(target)
    np.testing.assert_allclose(decode(target.getvalue()).pixels / 65535, ramp(GREY.astype(float)), atol=1e-4)


def test_wide_integers_are_shown_too() -> None:
    wide = GREY.astype(np.uint32) << 20
    np.testing.assert_allclose(decode(dicom_bytes(wide)).pixels / 65535, ramp(wide.astype(float)), atol=STEP)


def test_inflated_size_is_bounded() -> None:
    data = dicom_bytes(np.zeros((500, 500), np.uint8), syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 10_000
    with pytest.raises(ImageTooLarge, match="MB"):
        decode(data, limits=Limits(max_bytes=100_000))


def test_damage_in_an_apart_decoder_is_damage_of_the_file() -> None:
    data = bytearray(shipped("MR_small_jpeg_ls_lossless.dcm"))
    data[-3000:-100] = b"\xff\xd8" * 1450
    with pytest.raises(TruncatedImage):
        decode(bytes(data))


def test_threads_may_ask_for_the_apart_decoder_at_once() -> None:
    data = shipped("MR_small_jpeg_ls_lossless.dcm")
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(decode, [data] * 8))
    for image in images:
        np.testing.assert_array_equal(image.pixels, images[0].pixels)


SHORTENED = (
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", SHORTENED)
def test_half_a_compressed_frame_is_not_shown(name: str, share: float) -> None:
    """A picture whose lower half is missing must not be read as if it were whole."""
    ds = pydicom.dcmread(io.BytesIO(shipped(name)))
    stream = get_frame(ds.PixelData, 0, number_of_frames=1)
    whole, cut = (with_frame(ds, part) for part in (stream, stream[: int(len(stream) * share)]))
    assert decode(whole).pixels.size
    with pytest.raises(TruncatedImage):
        decode(cut)


def with_frame(ds: Dataset, stream: bytes) -> bytes:
    ds.PixelData = encapsulate([stream])
    target = io.BytesIO()
    ds.save_as(target)
    return target.getvalue()


@pytest.mark.parametrize(
    ("picture", "slope", "window", "low", "high"),
    [
        ("a slice that is nearly all background", 1, (600, 1200), 0.7, 1.0),
        ("a crop of soft tissue in a wide window", 1, (400, 2000), 0.25, 0.4),
    ],
)
def test_a_window_that_meets_its_picture_is_kept(picture, slope, window, low, high) -> None:
    """Also where it shows little contrast, or a picture that fills less than a hundredth of the frame."""
    rng = np.random.default_rng(0)
    if "background" in picture:
        values = np.zeros((256, 256), dtype=np.int16)
        values[100:116, 100:116] = rng.integers(950, 1150, (16, 16))
        shown = np.s_[100:116, 100:116]
    else:
        values = rng.integers(-30, 90, (256, 256)).astype(np.int16)
        shown = np.s_[:]
    data = dicom_bytes(values, WindowCenter=window[0], WindowWidth=window[1], RescaleSlope=slope, RescaleIntercept=0)
    image = decode(data)
    found = image.pixels[shown] / image.full_scale
    assert low < found.min() <= found.max() < high
    assert not any("far from" in note for note in image.notes)
