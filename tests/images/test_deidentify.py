"""What identifies goes, the pixels stay, and what was left is said."""

import io
from contextlib import suppress

import numpy as np
import pydicom
import pytest
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from secondread.errors import ImageError, NotAnImage
from secondread.images import decode, deidentify
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

KEY = b"k" * 32
FILM = chest_phantom(96, random_state=0)
SECRETS = ("Doe", "JANE", "19700101", "Saint Elsewhere", "4711-PID", "ACC123", "Dr. House", "OBS7")


def _named(**more) -> bytes:
    item = Dataset()
    item.PatientName, item.ReferencedSOPInstanceUID = "Doe^JANE", "1.2.3.4"
    return dicom_bytes(
        FILM,
        PatientName="Doe^JANE",
        PatientID="4711-PID",
        PatientBirthDate="19700101",
        InstitutionName="Saint Elsewhere",
        AccessionNumber="ACC123",
        ReferringPhysicianName="Dr. House",
        OtherPatientIDsSequence=Sequence([item]),
        StudyInstanceUID="1.2.840.1",
        SeriesInstanceUID="1.2.840.2",
        **more,
    )


def test_no_name_date_place_or_private_element_survives_in_dicom() -> None:
    ds = pydicom.dcmread(io.BytesIO(_named()))
    ds.private_block(0x0011, "Some maker", create=True).add_new(1, "LO", "OBS7 Doe")
    ds.add_new(0x60003000, "OW", b"Doe!")  # an overlay may be a picture of the name
    ds.preamble = b"Doe" + b"\0" * 125
    source = io.BytesIO()
    ds.save_as(source)
    found = deidentify(source.getvalue(), key=KEY)
    assert found.changed
    assert not [secret for secret in SECRETS if secret.encode() in found.data]
    after = pydicom.dcmread(io.BytesIO(found.data))
    assert after.PatientIdentityRemoved == "YES"
    assert not [element for element in after if element.tag.is_private]
    assert after.StudyInstanceUID.startswith("2.25.")
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless]
)
@pytest.mark.parametrize("bits", [8, 16])
def test_dicom_pixels_and_their_window_stay(syntax: str, bits: int) -> None:
    film = FILM if bits == 8 else FILM.astype(np.uint16) * 16
    data = dicom_bytes(film, syntax=syntax, WindowCenter=100, WindowWidth=80, PatientName="Doe")
    before, after = decode(data), decode(deidentify(data, key=KEY).data)
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.modality, before.body_part) == (after.modality, after.body_part)


def test_images_of_one_person_and_study_still_belong_together_and_only_under_one_key() -> None:
    first, second = deidentify(_named(), key=KEY), deidentify(_named(InstanceNumber=2, SOPInstanceUID="1.2"), key=KEY)
    other = deidentify(dicom_bytes(FILM, PatientID="another"), key=KEY)
    elsewhere = deidentify(_named(), key=b"x" * 32)
    assert first.patient == second.patient
    assert len({first.patient, other.patient, elsewhere.patient}) == 3
    uids = {pydicom.dcmread(io.BytesIO(found.data)).StudyInstanceUID for found in (first, second)}
    assert len(uids) == 1


def test_the_same_file_always_gives_the_same_bytes_and_doing_it_twice_keeps_the_pixels() -> None:
    once = deidentify(_named(), key=KEY)
    assert once.data == deidentify(_named(), key=KEY).data
    assert np.array_equal(decode(deidentify(once.data, key=KEY).data).pixels, decode(once.data).pixels)


@pytest.mark.parametrize(
    ("elements", "warned"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({}, "does not say"),  # the phantom is a secondary capture
        ({"BurnedInAnnotation": "NO"}, ""),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "ConversionType": "WSD"}, "does not say"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}, ""),
    ],
)
def test_likely_text_in_the_picture_is_warned_of(elements: dict[str, str], warned: str) -> None:
    warnings = deidentify(dicom_bytes(FILM, **elements), key=KEY).warnings
    assert warned in " ".join(warnings) if warned else not warnings


def test_png_loses_its_text_and_nothing_else() -> None:
    info = PngInfo()
    info.add_text("Author", "Doe, Jane")
    info.add_itxt("Comment", "Doe")
    data = encode(FILM, "PNG", pnginfo=info) + b"Doe behind the end"
    found = deidentify(data, key=KEY)
    assert b"Doe" in data
    assert b"Doe" not in found.data
    assert np.array_equal(decode(found.data).pixels, FILM)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_goes_and_the_picture_stays_upright(kind: str, orientation: int) -> None:
    exif = PillowImage.Exif()
    exif[0x0112], exif[0x013B], exif[0x9286] = orientation, "Doe", "Jane was here"
    data = encode(FILM[:, :64].copy(), kind, exif=exif)
    found = deidentify(data, key=KEY)
    assert b"Doe" in data
    assert b"Doe" not in found.data
    assert b"Jane" not in found.data
    assert np.array_equal(decode(data).pixels, decode(found.data).pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_orientation_that_stands_where_it_seldom_does_is_kept(kind: str) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = encode(FILM[:, :64].copy(), kind, exif=exif)
    if kind == "PNG":  # behind the pixels
        at = data.index(b"eXIf") - 4
        chunk = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
        data = data.replace(chunk, b"").replace(data[-12:], chunk + data[-12:])
    else:  # behind padding
        data = data.replace(b"\xff\xe1", b"\xff\xff\xff\xe1", 1)
    assert decode(data).pixels.shape == (64, 96)
    assert decode(deidentify(data, key=KEY).data).pixels.shape == (64, 96)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 100}])
def test_jpeg_scans_are_copied_as_they_are(options: dict[str, int]) -> None:
    data = encode(np.dstack([FILM] * 3), "JPEG", comment=b"Doe", **options)
    found = deidentify(data + b"Doe behind the end", key=KEY)
    assert b"Doe" not in found.data
    assert np.array_equal(decode(data).pixels, decode(found.data).pixels)


def test_what_is_no_image_is_refused_and_damage_never_escapes_as_another_error() -> None:
    with pytest.raises(NotAnImage):
        deidentify(b"Doe", key=KEY)
    rng = np.random.default_rng(0)
    for whole in (_named(), encode(FILM, "JPEG"), encode(FILM, "PNG")):
        for _ in range(60):
            damaged = bytearray(whole[: rng.integers(1, len(whole))])
            damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
            with suppress(ImageError):
                deidentify(bytes(damaged), key=KEY)


def test_a_name_that_ends_like_a_sequence_is_no_sequence() -> None:
    """ScanningSequence is a word of nearly every MR file."""
    data = dicom_bytes(chest_phantom(64, random_state=0), Modality="MR", ScanningSequence="SE", PatientName="Doe^Jane")
    done = deidentify(data, key=KEY)
    assert b"Doe" not in done.data
    assert np.array_equal(decode(done.data).pixels, decode(data).pixels)
