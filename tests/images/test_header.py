"""What a DICOM header says of how an image was taken, and nothing of who was imaged."""

from pydicom.uid import CTImageStorage

from secondread.images import decode
from secondread.testing.phantoms import chest_phantom, dicom_bytes, encode

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
