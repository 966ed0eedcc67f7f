"""A reader in the hands of scikit-learn: probabilities and classes as arrays, and no refusal passed over."""

import numpy as np
import pytest
from sklearn.metrics import get_scorer

from secondread.errors import ReadingRefused, UnknownName, UsageError
from secondread.reading import Reader
from secondread.testing.phantoms import encode, film

FILMS = [film(128, number, disease=number % 2 == 1) for number in range(6)]
BLANK = np.zeros((128, 128), np.uint8)


@pytest.fixture(scope="module")
def reader(phantom_bundle) -> Reader:
    return Reader.load(phantom_bundle)


def test_probabilities_are_those_of_read_in_its_order(reader: Reader) -> None:
    found = reader.predict_proba(FILMS)
    assert found.shape == (6, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found[:, 1], [reader.read(one).probability for one in FILMS])
    np.testing.assert_array_equal(reader.predict_proba(np.stack(FILMS)), found)
    assert reader.predict_proba([]).shape == (0, 2)
    assert list(reader.classes_) == [0, 1]


def test_scikit_learn_scores_a_reader(reader: Reader) -> None:
    y_true = [number % 2 for number in range(6)]
    positive = np.array([reader.read(one).decision == "positive" for one in FILMS])
    assert get_scorer("roc_auc")(reader, FILMS, y_true) == 1
    assert get_scorer("accuracy")(reader, FILMS, y_true) == np.mean(positive == y_true)


def test_a_refused_image_is_told_with_its_place_or_gets_nan(reader: Reader, tmp_path) -> None:
    path = tmp_path / "blank.png"
    path.write_bytes(encode(BLANK, "PNG"))
    with pytest.raises(ReadingRefused, match=r"image 2 \('.*blank.png'\) was refused \(blank\)") as told:
        reader.predict_proba([*FILMS[:2], path])
    assert (told.value.index, told.value.code) == (2, "blank")
    with pytest.raises(ReadingRefused, match=r"image 0 .*cannot_open"):
        reader.predict([tmp_path / "none.png"])
    found = reader.predict_proba([FILMS[0], path, FILMS[1]], on_refusal="nan")
    assert np.isnan(found).any(axis=1).tolist() == [False, True, False]
    with pytest.raises(UnknownName):
        reader.predict_proba(FILMS, on_refusal="skip")  # type: ignore[arg-type]


@pytest.mark.parametrize("one", ["film.png", b"...", FILMS[0], np.dstack([FILMS[0]] * 3), 3], ids=str)
def test_one_image_in_place_of_many_is_a_mistake(reader: Reader, one) -> None:
    with pytest.raises(TypeError, match="several images"):
        reader.predict_proba(one)


def test_an_uncertain_answer_is_no_class(reader: Reader) -> None:
    with pytest.raises(UsageError, match=r"'triage' may answer 'uncertain'.*screening"):
        reader.at("triage").predict(FILMS)
    assert reader.at("confirm").operating_point.name == "confirm"
