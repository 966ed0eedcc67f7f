"""A name planted wherever a file can hold one is in no byte of what is kept, and the pixels are the same."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import pydicom
import pytest
from PIL import Image as PillowImage
from PIL import TiffImagePlugin
from PIL.PngImagePlugin import PngInfo
from pydicom.datadict import DicomDictionary, keyword_dict
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, parse_fragments
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from secondread.errors import ImageError, TruncatedImage
from secondread.images import Image, decode, deidentify, open_frames
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode
from tests.images.variants import VARIANTS

KEY = b"k" * 32
CANARY = "Zq7Canary"  # in no standard's words
HIDDEN = CANARY.encode()
FILM = chest_phantom(64, random_state=0)
COLOUR = np.dstack([FILM, FILM[::-1], FILM.T])
_TEXTS = {"AE", "AS", "CS", "DS", "DA", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}


def pictures(data: bytes) -> list[Image]:
    frames = open_frames(data)
    return [frames.frame(at) for at in range(frames.n)]


def check(data: bytes) -> bytes:
    """The canary was there and is not; every frame, and all that a reading hangs on, is what it was."""
    assert HIDDEN in data
    found = deidentify(data, key=KEY)
    assert HIDDEN not in found.data
    assert CANARY not in str((found.header, found.warnings))
    assert found.changed
    for before, after in zip(pictures(data), pictures(found.data), strict=True):
        same(before, after)
    assert deidentify(found.data, key=KEY).data == found.data or found.format == "DICOM"
    return found.data


def same(before: Image, after: Image) -> None:
    assert np.array_equal(before.pixels, after.pixels)
    for name in ("full_scale", "format", "bit_depth", "photometric", "parts", "views", "age", "intent", "notes"):
        assert getattr(before, name) == getattr(after, name), name


def every_text_element() -> Iterator[tuple[int, str]]:
    """Each attribute of the standard that holds text and fits an image: all, since a file may hold any."""
    for tag, (vr, *_) in DicomDictionary.items():
        if vr in _TEXTS and 0x00080000 <= tag < 0x7FE00000 and tag not in _NEEDED:
            yield tag, vr


_NEEDED = {keyword_dict[name] for name in ("PhotometricInterpretation", "Modality", "NumberOfFrames", "SOPClassUID")}


@pytest.mark.filterwarnings("ignore")  # of pydicom, about the values planted here
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_no_text_element_of_the_standard_survives(syntax: str) -> None:
    film = dicom_bytes(FILM.astype(np.uint16) * 16, syntax=syntax)
    plain = pydicom.dcmread(io.BytesIO(film))
    with pydicom.config.disable_value_validation():
        for tag, vr in every_text_element():
            plain.add(pydicom.DataElement(tag, "LO" if vr in ("DS", "IS", "AS") else vr, HIDDEN.decode()))
        item = Dataset()
        item.PatientName, item.PatientID, item.CodeMeaning, item.CodeValue = CANARY, CANARY, CANARY, CANARY
        item.SOPInstanceUID, item.WindowCenterWidthExplanation, item.BodyPartExamined = CANARY, CANARY, CANARY
        item.ImageType, item.RescaleType, item.LUTExplanation = ["ORIGINAL", CANARY], CANARY, CANARY
        groups = Dataset()
        groups.PixelMeasuresSequence = Sequence([item])
        groups.FrameVOILUTSequence = Sequence([item])
        plain.SharedFunctionalGroupsSequence = Sequence([groups])
        for keyword in (
            "AnatomicRegionSequence",
            "ViewCodeSequence",
            "PixelMeasuresSequence",
            "OtherPatientIDsSequence",
        ):
            setattr(plain, keyword, Sequence([item]))
        plain.private_block(0x0029, CANARY, create=True).add_new(1, "UT", CANARY)
        for tag, vr in (
            (0x60003000, "OW"),
            (0x60000022, "LO"),
            (0x50003000, "OW"),
            (0x00282000, "OB"),
            (0xFFFCFFFC, "OB"),
        ):
            plain.add_new(tag, vr, HIDDEN + b"\0" if vr != "LO" else CANARY)
        plain.ImageType = ["ORIGINAL", "PRIMARY", CANARY]
        plain.file_meta.SourceApplicationEntityTitle = CANARY
        plain.file_meta.PrivateInformationCreatorUID, plain.file_meta.PrivateInformation = "1.2", HIDDEN
        plain.preamble = HIDDEN.ljust(128, b"\0")
        target = io.BytesIO()
        plain.save_as(target, enforce_file_format=True)
    data = target.getvalue()
    assert HIDDEN in data[:128]
    found = deidentify(data, key=KEY)
    assert HIDDEN not in found.data
    assert CANARY not in str((found.header, found.warnings))
    assert np.array_equal(decode(found.data).pixels, decode(film).pixels)
    after = pydicom.dcmread(io.BytesIO(found.data))
    assert list(after.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert after.file_meta.get("SourceApplicationEntityTitle") is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("keyword", "vr", "kept"),
    [
        ("WindowCenter", "DS", ["40", "50"]),
        ("KVP", "DS", "120.5"),
        ("PixelSpacing", "DS", ["0.1", "0.1"]),
        ("Rows", "US", None),
        ("Laterality", "CS", "L"),
        ("RescaleType", "LO", "HU"),
        ("ViewPosition", "CS", "AP left lateral decubitus"),
        ("BodyPartExamined", "CS", "CHEST LAT"),
        ("PatientOrientation", "CS", ["L", "F"]),
        ("ScanningSequence", "CS", ["GR", "IR"]),
    ],
)
def test_what_fits_its_attribute_stays_as_it_is(keyword: str, vr: str, kept: object) -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(FILM)))
    if kept is not None:
        ds[keyword] = pydicom.DataElement(keyword_dict[keyword], vr, kept)
    target = io.BytesIO()
    ds.save_as(target)
    after = pydicom.dcmread(io.BytesIO(deidentify(target.getvalue(), key=KEY).data))
    assert str(after.get(keyword)) == str(ds.get(keyword))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"{CANARY} LATERAL", "LATERAL"),
        ("CHEST 4711", None),
        ("Cervical spine", "Cervical spine"),
        (f"{CANARY}", None),
    ],
)
def test_of_a_written_body_part_the_words_for_views_stay(said: str, kept: str | None) -> None:
    with pydicom.config.disable_value_validation():
        data = dicom_bytes(FILM, BodyPartExamined=said)
    after = deidentify(data, key=KEY).data
    with pydicom.config.disable_value_validation():
        assert pydicom.dcmread(io.BytesIO(after)).get("BodyPartExamined") == kept
        before = decode(data)
    assert before.views == decode(after).views


def test_a_code_keeps_what_it_comes_to_and_none_of_its_words() -> None:
    def code(scheme: str, value: str, meaning: str) -> Dataset:
        item = Dataset()
        item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning = scheme, value, meaning
        return item

    for view, expected in (
        (code("SCT", "399198007", CANARY), ("lateral",)),
        (code("99X", CANARY, f"{CANARY} oblique"), ("oblique",)),
        (code("99X", CANARY, CANARY), ()),
    ):
        region = Sequence([code("SCT", "51185008", f"Thorax of {CANARY}")])
        data = dicom_bytes(FILM, ViewCodeSequence=Sequence([view]), AnatomicRegionSequence=region)
        cleaned = check(data)
        assert decode(cleaned).views == expected
        assert decode(cleaned).parts == ("CHEST",)


def commented_jpeg(array: np.ndarray) -> bytes:
    data = encode(array, "JPEG", comment=HIDDEN, quality=90)
    extra = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body
        for marker, body in [
            (0xE1, b"Exif\0\0" + HIDDEN), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + HIDDEN),
            (0xE2, b"ICC_PROFILE\0" + HIDDEN), (0xED, b"Photoshop 3.0\0" + HIDDEN),
            (0xEE, b"Adobe" + HIDDEN), (0xE0, b"JFXX\0" + HIDDEN),
        ]
    )  # fmt: skip
    thumbnail = b"JFIF\0\1\1\0\0\1\0\1\2\2" + (HIDDEN * 2)[:12]
    jfif = b"\xff\xe0" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:2] + jfif + data[at:].replace(b"\xff\xdb", extra + b"\xff\xdb", 1) + HIDDEN


@pytest.mark.parametrize("array", [FILM, COLOUR])
def test_jpeg(array: np.ndarray) -> None:
    check(commented_jpeg(array).replace(b"Adobe" + HIDDEN, b"AdobX" + HIDDEN))


@pytest.mark.parametrize("cut", [2, 40])
def test_a_jpeg_without_its_end_is_not_kept(cut: int) -> None:
    with pytest.raises(TruncatedImage, match="cannot be taken out"):
        deidentify(encode(FILM, "JPEG", comment=HIDDEN)[:-cut], key=KEY)


def test_a_jpeg_with_something_odd_between_its_segments_is_cleaned_all_the_same() -> None:
    data = encode(FILM, "JPEG", comment=HIDDEN)
    at = data.index(b"\xff\xc4")
    check(data[:at] + HIDDEN[:2] + data[at:])


def outcome(data: bytes) -> object:
    try:
        return pictures(data)
    except ImageError as error:
        return error


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("array", [FILM, COLOUR, FILM.astype(np.uint16) * 200])
def test_png(array: np.ndarray) -> None:
    info = PngInfo()
    info.add_text("Author", CANARY)
    info.add_itxt("XML:com.adobe.xmp", CANARY)
    data = encode(array, "PNG", pnginfo=info, icc_profile=HIDDEN * 20)
    end = data.index(b"IEND") - 4
    planted = b"".join(
        chunk(kind, HIDDEN)
        for kind in (b"eXIf", b"zTXt", b"tIME", b"sPLT", b"caBX", b"prVt", b"gAMA", b"pHYs", b"cHRM", b"IDAT")
    )
    check(data[:end] + planted + data[end:] + HIDDEN)


def test_png_that_says_something_behind_its_pixels_inside_their_chunk() -> None:
    data = encode(FILM, "PNG")
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at], "big")
    body = data[at + 4 : at + 4 + length] + HIDDEN
    check(data[: at - 4] + chunk(b"IDAT", body) + data[at + 8 + length :])


def test_an_animated_png_keeps_its_pictures() -> None:
    target = io.BytesIO()
    films = [PillowImage.fromarray(np.roll(FILM, shift)) for shift in (0, 9, 20)]
    info = PngInfo()
    info.add_text("Author", CANARY)
    films[0].save(target, format="PNG", save_all=True, append_images=films[1:], pnginfo=info)
    assert len(pictures(check(target.getvalue()))) == 3


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("orientation", [1, 6])
def test_webp(lossless: bool, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112], exif[0x013B] = orientation, CANARY
    data = encode(COLOUR[:, :48].copy(), "WebP", exif=exif, xmp=HIDDEN, icc_profile=HIDDEN * 20, lossless=lossless)
    check(data + HIDDEN)


def test_an_animated_webp_keeps_its_pictures() -> None:
    target = io.BytesIO()
    films = [PillowImage.fromarray(np.roll(COLOUR, shift)) for shift in (0, 9, 20)]
    films[0].save(target, format="WebP", save_all=True, append_images=films[1:], xmp=HIDDEN, lossless=True)
    assert len(pictures(check(target.getvalue()))) == 3


def tagged(kind: str, arrays: list[np.ndarray], **options: object) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (269, 270, 271, 272, 285, 305, 306, 315, 316, 333, 33432):
        info[tag] = CANARY
    for tag in (700, 33723, 34377, 34675, 37500, 65000):
        info.tagtype[tag] = 7
        info[tag] = HIDDEN * 3
    target = io.BytesIO()
    films = [PillowImage.fromarray(array) for array in arrays]
    films[0].save(target, format=kind, save_all=True, append_images=films[1:], tiffinfo=info, **options)
    return target.getvalue()


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw", "packbits", "jpeg"])
@pytest.mark.parametrize("array", [FILM, COLOUR, FILM.astype(np.uint16) * 200, FILM.astype(np.float32) / 7])
def test_tiff(compression: str | None, array: np.ndarray) -> None:
    if compression == "jpeg" and array.dtype != np.uint8:
        pytest.skip("JPEG has 8 bits")
    check(tagged("TIFF", [array, array[::-1].copy()], compression=compression) + HIDDEN)


def test_tiff_of_the_other_order_of_bytes_and_a_palette() -> None:
    picture = PillowImage.fromarray(FILM).convert("P")
    target = io.BytesIO()
    picture.save(target, format="TIFF", tiffinfo={270: CANARY})
    check(target.getvalue())
    check(big_endian_tiff(FILM))


def big_endian_tiff(array: np.ndarray) -> bytes:
    """A strip whose length says more than its rows have: a name is behind them."""
    pixels = array.tobytes() + HIDDEN
    entries = [(256, 3, array.shape[1]), (257, 3, array.shape[0]), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (278, 3, array.shape[0]), (279, 4, len(pixels))]  # fmt: skip
    values = {3: ">HHIHxx", 4: ">HHII"}
    listed = b"".join(struct.pack(values[kind], tag, kind, 1, value) for tag, kind, value in entries)
    pixels += b"\0" * (len(pixels) % 2)
    return (
        b"MM\0*"
        + struct.pack(">I", 8 + len(pixels))
        + pixels
        + struct.pack(">H", len(entries))
        + listed
        + bytes(4)
        + HIDDEN
    )


@pytest.mark.parametrize("picture", ["L", "RGB", "1", "P"])
def test_bmp(picture: str) -> None:
    target = io.BytesIO()
    PillowImage.fromarray(FILM).convert(picture).save(target, format="BMP")
    data = bytearray(target.getvalue())
    data[6:10] = HIDDEN[:4]
    at = int.from_bytes(data[10:14], "little")
    data[10:14] = struct.pack("<I", at + 20)  # a gap before the pixels
    check(bytes(data[:at]) + (HIDDEN * 3)[:20] + bytes(data[at:]) + HIDDEN)


def test_a_bmp_with_a_profile() -> None:
    rows = np.flipud(COLOUR[:, :, ::-1]).tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, 64, 64, 1, 24, 0, len(rows), 2835, 2835, 0, 0)
    head += bytes(16) + b"DEBM" + (HIDDEN * 8)[:48] + struct.pack("<IIII", 4, 14 + 124 + len(rows), 9, 0)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(head)) + head + rows + HIDDEN
    check(data)


@pytest.mark.parametrize("extended", [False, True])
def test_compressed_frames_lose_their_comments_and_keep_their_tables(extended: bool) -> None:
    frames = [commented_jpeg(np.roll(FILM, at)).replace(b"Adobe" + HIDDEN, b"AdobX" + HIDDEN) for at in range(3)]
    stack = np.stack([FILM] * 3)
    data = dicom_bytes(stack, multi_frame=True, syntax=JPEGBaseline8Bit, codestreams=frames)
    if extended:
        ds = pydicom.dcmread(io.BytesIO(data))
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
        target = io.BytesIO()
        ds.save_as(target)
        data = target.getvalue()
    check(data)


def test_jpeg_2000_frames_lose_their_comments() -> None:
    data = dicom_bytes(FILM, syntax=JPEG2000Lossless)
    ds = pydicom.dcmread(io.BytesIO(data))
    start = ds.PixelData.index(b"\xff\x4f\xff\x51")
    stream = ds.PixelData[start:].rstrip(b"\0")
    comment = b"\xff\x64" + struct.pack(">HH", 4 + len(HIDDEN), 1) + HIDDEN
    at = stream.index(b"\xff\x52")
    ds.PixelData = encapsulate([stream[:at] + comment + stream[at:]])
    target = io.BytesIO()
    ds.save_as(target)
    check(target.getvalue())


@pytest.mark.filterwarnings("ignore:The pixel data is:UserWarning")
def test_what_follows_the_last_pixel_goes_and_a_false_offset_table_too() -> None:
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(FILM)))
    ds.PixelData += HIDDEN + b"\0"
    target = io.BytesIO()
    ds.save_as(target)
    check(target.getvalue())
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(FILM, syntax=RLELossless)))
    n, _ = parse_fragments(ds.PixelData)
    assert n == 2
    length = 8 + int.from_bytes(ds.PixelData[4:8], "little")
    table = HIDDEN.ljust(12, b"\0")
    ds.PixelData = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(table)) + table + ds.PixelData[length:]
    target = io.BytesIO()
    ds.save_as(target)
    check(target.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_kind_of_file_is_read_as_before(name: str) -> None:
    """The law over the table of files right and wrong: what a reading hangs on is the same, or the same refusal."""
    data = VARIANTS[name].data()
    before = outcome(data)
    try:
        after = outcome(deidentify(data, key=KEY).data)
    except ImageError:
        assert isinstance(before, ImageError)
        return
    if isinstance(before, ImageError):
        assert (type(before), str(before)) == (type(after), str(after))
        return
    assert isinstance(before, list)
    assert isinstance(after, list)
    for one, other in zip(before, after, strict=True):
        same(one, other)


@pytest.mark.parametrize(
    "make", [lambda: encode(FILM, "TIFF"), lambda: encode(FILM, "WebP"), lambda: encode(FILM, "BMP")]
)
def test_damage_never_escapes_as_another_error(make: Callable[[], bytes]) -> None:
    rng = np.random.default_rng(0)
    whole = make()
    for _ in range(150):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for _ in range(3):
            damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
        with suppress(ImageError):
            deidentify(bytes(damaged), key=KEY)
