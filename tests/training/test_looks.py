"""How films look: detail, local contrast, texture and pasted lesions, on the processor."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from secondread.data import PreparedSet, Row
from secondread.errors import UsageError
from secondread.tasks import load_task
from secondread.training.augment import augment
from secondread.training.batches import epoch_batches
from secondread.training.looks import change_local_contrast, coarsen, mix_amplitudes, paste_pieces
from secondread.training.prepare import LesionMaps, new_network
from secondread.training.recipe import Recipe, load_recipe, prepare_spec_of

TASK = load_task("tuberculosis")
PLAIN = replace(load_recipe("paper", TASK), augmentations=())


def film(seed=0, size=64):
    small = np.random.default_rng(seed).integers(40, 216, (8, 8), dtype=np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]


def test_a_coarse_image_keeps_its_means_and_loses_its_finest_structure():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    out = coarsen(board, 0.5)
    assert out.shape == board.shape
    assert out.std() < 20
    assert abs(out.mean() - board.mean()) < 2
    assert np.abs(coarsen(film(), 0.5).astype(int) - film()).mean() < 3


def test_local_contrast_grows_and_shrinks_and_zero_leaves_it():
    image = film()
    assert np.array_equal(change_local_contrast(image, 0.0), image)
    more, less = (cv2.Laplacian(change_local_contrast(image, k), cv2.CV_64F).std() for k in (0.5, -0.5))
    assert less < cv2.Laplacian(image, cv2.CV_64F).std() < more


def test_amplitudes_come_from_the_donor_and_phases_stay():
    image, donor = film(1), film(2)
    assert np.abs(mix_amplitudes(image, donor, 0.0).astype(int) - image).max() <= 1
    out = mix_amplitudes(image, donor, 1.0)
    assert abs(out.mean() - donor.mean()) < 6
    assert np.corrcoef(out.ravel(), image.ravel())[0, 1] > 0.5


def batch_with_lesions():
    images = np.stack([film(seed) for seed in range(40)])
    covers = np.zeros((40, 64, 64), np.uint8)
    covers[:10, 20:32, 20:32] = 255
    images[:10, 20:32, 20:32] = 255
    return images, covers, np.arange(40) < 30


def test_lesions_are_pasted_into_known_healthy_images_alone():
    images, covers, known = batch_with_lesions()
    before = images.copy()
    pasted = paste_pieces(images, covers, known, replace(PLAIN, paste=1.0), rng=np.random.default_rng(0))
    assert not pasted[:10].any()
    assert not pasted[30:].any()
    assert 5 <= pasted.sum() <= 15
    assert np.array_equal(covers.any(axis=(1, 2)), pasted | (np.arange(40) < 10))
    assert np.array_equal(images[30:], before[30:])
    assert (images[10:30] != before[10:30]).any(axis=(1, 2, 3)).all()  # the others got a healthy piece
    assert images[pasted, 25:27, 25:27].mean() > before[pasted, 25:27, 25:27].mean() + 20


def test_a_batch_without_lesions_is_left_alone():
    images, covers, known = batch_with_lesions()
    before = images.copy()
    assert not paste_pieces(images, covers * 0, known, replace(PLAIN, paste=1.0), rng=np.random.default_rng(0)).any()
    assert np.array_equal(images, before)


def test_a_pasted_lesion_makes_its_image_diseased():
    images, covers, known = batch_with_lesions()
    labels = np.arange(40) < 10
    rows = tuple(Row(None, str(number), int(label), source="a") for number, label in enumerate(labels))
    maps = LesionMaps({number: covers[number] for number in range(10)}, known, 64)
    recipe = replace(PLAIN, paste=1.0, batch_size=40)
    (batch,) = epoch_batches(
        PreparedSet(images, labels, rows), images, recipe, rng=np.random.default_rng(0), lesions=maps
    )
    assert np.array_equal(batch.labels == 1, batch.lesions.any(axis=(1, 2)))
    assert batch.labels.sum() > 10
    assert labels.sum() == 10


@pytest.mark.parametrize("changes", [{"coarsest": 0.4}, {"local_contrast": 0.5}, {"fourier": 0.5}])
def test_a_look_repeats_with_its_generator_and_changes_some_images(changes):
    images = np.stack([film(seed) for seed in range(16)])
    one, two = (augment(images, replace(PLAIN, **changes), rng=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)
    assert (one != images).any()


def test_a_recipe_without_looks_draws_what_it_always_drew():
    images = np.stack([film(seed) for seed in range(4)])
    recipe = replace(load_recipe("best", TASK), tones=0.3, coarsest=0.0)
    rng = np.random.default_rng(3)
    augment(images, recipe, rng=rng)
    other = np.random.default_rng(3)
    other.random((4, 5)), other.random((4, 10)), other.integers(4, size=4)
    for _ in range(4):
        other.random()
        other.standard_normal((64, 64), dtype=np.float32)
    assert rng.random() == other.random()


def test_a_network_takes_what_its_recipe_says_of_it():
    recipe = replace(PLAIN, per_image=True, sharpness=2.0)
    model = new_network("lesion-lite0", prepare_spec_of(TASK, recipe), recipe, random_state=0)
    assert model.sharpness == 2.0
    assert model.backbone.per_image
    with pytest.raises(UsageError, match="'lenet' does not take"):
        new_network("lenet", prepare_spec_of(TASK, recipe), recipe, random_state=0)


def test_fields_that_came_later_are_recorded_where_they_are_on():
    assert "paste" not in Recipe("a", "b").to_dict()
    assert Recipe("a", "b", paste=0.2).to_dict()["paste"] == 0.2
