"""What a DICOM header says of how an image was taken, and nothing of who was imaged."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage

from secondread.images import decode
from secondread.testing.phantoms import bone_phantom, chest_phantom, dicom_bytes, encode

FILM = chest_phantom(32, random_state=0)


def test_how_it_was_taken_is_told_in_the_words_of_the_standard() -> None:
    file = dicom_bytes(
        FILM,
        ViewPosition="PA",
        KVP="120",
        PixelSpacing=[0.5, 0.25],
        Manufacturer="Maker",
        EchoTime="",
        RepetitionTime=None,
    )
    assert dict(decode(file).header) == {
        "View Position": "PA",
        "KVP": "120",
        "Pixel Spacing": "0.5 × 0.25",
        "Manufacturer": "Maker",
    }


def test_nothing_that_identifies_is_told() -> None:
    names = {
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19500101",
        "InstitutionName": "North",
        "StationName": "Room 3",
    }
    file = dicom_bytes(FILM, SOPClassUID=CTImageStorage, AccessionNumber="A1", SeriesDescription="Doe", **names)
    assert decode(file).header == ()


def test_values_are_printable_and_other_formats_have_none() -> None:
    film = dicom_bytes(FILM, Manufacturer="maker", KVP="90")
    assert decode(film.replace(b"maker", b"m\x1b$zz")).header == (("KVP", "90"),)  # damaged, and no reason to refuse
    assert decode(encode(FILM, "PNG")).header == ()


@pytest.mark.parametrize("said", [{"Modality": "DX"}, {"Modality": "OT", "WindowCenter": 32768, "WindowWidth": 65535}])
@pytest.mark.parametrize("random_state", range(4))
def test_what_the_rest_of_a_header_says_of_the_sign_goes_before_how_the_picture_looks(said, random_state) -> None:
    """A picture of high contrast may look smoother with its brightest values as the least."""
    picture = bone_phantom(64, random_state=random_state).astype(np.uint16) * 257
    ds = pydicom.dcmread(io.BytesIO(dicom_bytes(picture, **said)))
    del ds.PixelRepresentation
    target = io.BytesIO()
    ds.save_as(target)
    found = decode(target.getvalue())
    assert any("read as unsigned" in note for note in found.notes)
    np.testing.assert_array_equal(found.pixels, decode(dicom_bytes(picture, **said)).pixels)
