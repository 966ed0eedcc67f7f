"""What a file's header says is never quoted: a field that should hold a code may hold a name."""

import pytest

from secondread.errors import UnsupportedImage
from secondread.images import decode
from secondread.reading import Reader, load
from secondread.tasks import MODALITIES, intent_said, modality_said, part_said
from secondread.testing.phantoms import chest_phantom, dicom_bytes

NAME = "QUIX JANE"
FILM = chest_phantom(128, random_state=1)
HEADERS = {
    "modality": {"Modality": NAME},
    "body part": {"Modality": "DX", "BodyPartExamined": NAME},
    "both": {"Modality": NAME, "BodyPartExamined": NAME},
    "view": {"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": f"LL {NAME}"},
    "intent": {"Modality": "DX", "BodyPartExamined": "CHEST", "PresentationIntentType": NAME},
    "age": {"Modality": "DX", "BodyPartExamined": "CHEST", "PatientAge": "007Y"},
    "photometric interpretation": {"PhotometricInterpretation": NAME},
}


@pytest.mark.parametrize("what", HEADERS)
def test_no_refusal_quotes_a_header(what: str) -> None:
    data = dicom_bytes(FILM, **HEADERS[what])
    for reader in (Reader.load("tuberculosis/paper", gate=False), load("auto", gate=False)):
        refusal = reader.read(data).refusal
        said = "" if refusal is None else refusal.message.upper()
        assert not any(part in said for part in ("QUIX", "JANE", "007", "7 YEARS")), said
    if what not in ("body part", "both"):
        assert Reader.load("tuberculosis/paper", gate=False).read(data).refusal is not None


def test_an_unknown_transfer_syntax_is_not_quoted() -> None:
    uid = b"1.2.840.10008.1.2.1\0"
    data = dicom_bytes(FILM)
    assert data.count(uid) == 1
    with pytest.raises(UnsupportedImage, match="transfer syntax is not known") as caught:
        decode(data.replace(uid, b"9.123456789.1970.10\0"))
    assert not any(letter.isdigit() for letter in str(caught.value))


def test_words_of_the_standard_are_said_and_nothing_else() -> None:
    assert (modality_said("dx "), modality_said(NAME), modality_said("")) == ("DX", "", "")
    assert (part_said("Chest"), part_said(NAME), part_said("")) == ("CHEST", "", "")
    assert (intent_said("FOR PROCESSING"), intent_said(NAME)) == ("FOR PROCESSING", "")
    assert {"CR", "DX", "MR", "CT"} <= MODALITIES
