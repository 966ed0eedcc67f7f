"""The pictures: original pixels with what was found over them, and words that cannot be turned off."""

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, SecondaryCaptureImageStorage

from secondread.dicom.results import make, picture
from secondread.service import NODE, Service
from tests.dicom.answered import BOXES, WHO, answer, answered


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that was written into pictures."""
    found: list[str] = []
    real = picture._wrapped

    def noted(text: str, *more: Any) -> list[str]:
        found.append(text)
        return real(text, *more)

    monkeypatch.setattr(picture, "_wrapped", noted)
    return found


def _inner(ds: Dataset) -> np.ndarray:
    """The image between the strips: the rows that are as high as the original is, enlarged to 768 pixels."""
    pixels = ds.pixel_array
    text = pixels.shape[0] - 768
    assert text > 0
    start = max(range(text + 1), key=lambda at: float(pixels[at : at + 768].mean()))
    found: np.ndarray = pixels[start : start + 768]
    return found


@pytest.mark.parametrize("found", [answer(0.9), answer(0.1), answer(refusal="blank")], ids=["yes", "no", "refused"])
def test_every_picture_says_what_it_is_not_for(service: Service, texts: list[str], found: Any) -> None:
    ds = make(service, answered(service, found), "capture", actor=NODE, identified=True)
    assert ds.SOPClassUID == SecondaryCaptureImageStorage
    assert ds.PhotometricInterpretation == "RGB"
    assert texts.count("NOT FOR DIAGNOSIS") == 2
    assert any("no medical device" in text for text in texts)
    assert "no medical device" in ds.ImageComments
    assert ds.SourceImageSequence[0].ReferencedSOPInstanceUID == WHO["SOPInstanceUID"]
    top, bottom = ds.pixel_array[:60], ds.pixel_array[-60:]
    for strip in (top, bottom):
        assert (strip.max(axis=2) > 200).any()  # letters
        assert (strip[:, 0].max(axis=1) == 0).all()  # on black


def test_no_word_on_it_names_a_person(service: Service, texts: list[str]) -> None:
    make(service, answered(service, answer()), "capture", actor=NODE, identified=True)
    assert not any(word in text for text in texts for word in ("Doe", "Jane", "P-123", "ACC-1"))


def test_a_negative_shows_the_original_pixels_and_a_positive_the_map_over_them(service: Service) -> None:
    plain = _inner(make(service, answered(service, answer(0.1)), "capture", actor=NODE, identified=True))
    assert (plain[:, :, 0] == plain[:, :, 1]).all()
    assert (plain[:, :, 0] == plain[:, :, 2]).all()


def test_the_map_colours_its_place_and_nothing_else(service: Service) -> None:
    shown = _inner(make(service, answered(service, answer(0.9)), "capture", actor=NODE, identified=True)).astype(int)
    coloured = np.ptp(shown, axis=2) > 12
    rows, columns = np.nonzero(coloured)
    assert coloured.any()
    height, width = coloured.shape
    assert 0.2 < rows.mean() / height < 0.6
    assert 0.1 < columns.mean() / width < 0.6
    assert not coloured[:, int(0.7 * width) :].any()


def test_boxes_are_drawn_where_they_are(service: Service) -> None:
    number = answered(service, answer(0.9, map_cells=None, findings=BOXES[:1]))
    shown = _inner(make(service, number, "capture", actor=NODE, identified=True))
    yellow = (np.ptp(shown.astype(int), axis=2) > 90).nonzero()
    x, y, width, height = BOXES[0]["box"]
    scale = 768 / 300
    assert yellow[1].max() == pytest.approx((x + width) * scale, abs=6)
    assert yellow[0].max() == pytest.approx((y + height) * scale, abs=6)


def test_a_viewer_can_lay_the_boxes_over_the_original(service: Service) -> None:
    ds = make(service, answered(service, answer(0.9, findings=BOXES[:1])), "gsps", actor=NODE, identified=True)
    assert ds.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    assert ds.StudyInstanceUID == WHO["StudyInstanceUID"]
    [annotation] = ds.GraphicAnnotationSequence
    [line] = annotation.GraphicObjectSequence
    assert line.GraphicType == "POLYLINE"
    x, y, width, height = BOXES[0]["box"]
    left, top, right, bottom = x + 0.5, y + 0.5, x + width + 0.5, y + height + 0.5
    assert list(line.GraphicData) == [left, top, right, top, right, bottom, left, bottom, left, top]
    assert "Not for diagnosis" in annotation.TextObjectSequence[0].UnformattedTextValue
    referred = ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert referred.ReferencedSOPInstanceUID == WHO["SOPInstanceUID"]
