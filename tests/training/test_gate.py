"""What the gate is trained on: parts of the data, and pictures varied and inverted."""

import numpy as np
import pytest

from secondread.training.gate import part_of
from secondread.training.gate_pictures import invert, vary
from tests.phantoms import chest_phantom

FILM = np.repeat(chest_phantom(64, random_state=1)[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("split", "part"), [("train", "train"), ("val", "val"), ("test", "test"), ("external", "test")]
)
def test_a_split_serves_one_purpose(split, part):
    assert {part_of(split, f"patient {number}") for number in range(50)} == {part}


def test_a_shared_collection_is_divided_by_group():
    parts = [part_of("localisation", f"patient {number}") for number in range(3000)]
    shares = {part: parts.count(part) / len(parts) for part in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.03)
    assert parts == [part_of("localisation", f"patient {number}") for number in range(3000)]


@pytest.mark.parametrize("whole", [True, False])
def test_inverting_twice_gives_the_picture_back(whole):
    assert np.array_equal(invert(invert(FILM, whole=whole), whole=whole), FILM)


def test_padding_stays_black_when_what_it_surrounds_is_inverted():
    padded = np.zeros((64, 64, 3), np.uint8)
    padded[:, 12:52] = np.maximum(FILM[:, 12:52], 9)
    inverted = invert(padded, whole=False)
    assert inverted[:, :12].max() == inverted[:, 52:].max() == 0
    assert np.array_equal(inverted[:, 12:52], 255 - padded[:, 12:52])
    assert invert(padded, whole=True)[:, :12].min() == 255


def test_a_varied_picture_is_another_one_of_the_same_shape_and_the_seed_decides_which():
    first, again, other = (vary(FILM, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == FILM.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.shares_memory(first, FILM)


def test_most_of_a_varied_picture_is_still_seen():
    levels = [vary(FILM, np.random.default_rng(seed)).std() for seed in range(100)]
    assert np.quantile(levels, 0.05) > 0.4 * FILM.std()
