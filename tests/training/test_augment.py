"""Augmentation of batches: what each kind does, what it leaves alone, and that it repeats."""

from dataclasses import replace

import numpy as np
import pytest

from secondread.data import PreparedSet
from secondread.tasks import load_task
from secondread.training.augment import augment
from secondread.training.batches import epoch_batches, without_copies
from secondread.training.recipe import load_recipe

_FACTORS = np.linspace(0.2, 1, 24)
PAPER = load_recipe("paper", load_task("tuberculosis"))


def run(images, *names, seed=0, **changes):
    recipe = replace(PAPER, augmentations=names, **changes)
    return augment(images, recipe, rng=np.random.default_rng(seed))


@pytest.fixture(params=[1, 3])
def batch(request):
    return np.random.default_rng(1).integers(0, 256, (24, 32, 32, request.param), dtype=np.uint8)


def test_nothing_chosen_changes_nothing(batch):
    assert np.array_equal(run(batch), batch)


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_a_flip_mirrors_some_images_and_leaves_the_others(batch, name, axis):
    out = run(batch, name)
    mirrored = [np.array_equal(o, np.flip(i, axis)) for o, i in zip(out, batch, strict=True)]
    kept = [np.array_equal(o, i) for o, i in zip(out, batch, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert any(mirrored)
    assert any(kept)


def test_rotation_stays_within_its_degrees_both_ways():
    images = np.zeros((64, 65, 65, 1), np.uint8)
    images[:, 32, 32:] = 255  # a ray from the centre to the right
    out = run(images, "rotation", rotation_degrees=15.0)
    angles = []
    for image in out[..., 0]:
        rows, columns = np.nonzero(image > 80)
        far = columns > 55
        angles.append(np.degrees(np.arctan2(rows[far] - 32.0, columns[far] - 32.0)).mean())
    assert -16 < min(angles) < -8
    assert 8 < max(angles) < 16


def test_tones_are_another_images_and_the_order_of_its_own_pixels_stays(batch):
    dark_to_bright = np.stack(
        [(image * factor).astype(np.uint8) for image, factor in zip(batch, _FACTORS, strict=True)]
    )
    out = run(dark_to_bright, tones=1.0)
    brightest = np.percentile(dark_to_bright, 99, axis=(1, 2, 3))
    taken = np.percentile(out, 99, axis=(1, 2, 3))
    assert np.abs(taken[:, None] - brightest[None]).min(axis=1).max() <= 3
    assert np.abs(taken - brightest).max() > 60
    for before, after in zip(dark_to_bright, out, strict=True):
        order = np.argsort(before.ravel(), kind="stable")
        assert (np.diff(after.ravel()[order].astype(int)) >= 0).all()


def test_contrast_keeps_the_mean(batch):
    grey = (100 + batch // 5).astype(np.uint8)
    out = run(grey, "contrast")
    assert np.abs(out.mean(axis=(1, 2, 3)) - grey.mean(axis=(1, 2, 3))).max() < 0.6
    ratio = out.std(axis=(1, 2, 3)) / grey.std(axis=(1, 2, 3))
    assert 0.78 <= ratio.min() < 0.9
    assert 1.1 < ratio.max() <= 1.22


def test_gaussian_filter_removes_noise_from_its_share(batch):
    out = run(batch, "gaussian_blur", blur_share=0.5)
    smoother = (out.std(axis=(1, 2, 3)) < 0.7 * batch.std(axis=(1, 2, 3))).sum()
    assert 4 <= smoother <= 20
    assert not np.shares_memory(out, batch)


def test_same_generator_same_batch(batch):
    names = PAPER.augmentations
    assert np.array_equal(run(batch, *names, seed=4), run(batch, *names, seed=4))
    assert not np.array_equal(run(batch, *names, seed=4), run(batch, *names, seed=5))


def test_grey_in_three_channels_is_augmented_as_in_one():
    one = np.random.default_rng(2).integers(0, 256, (6, 32, 32, 1), dtype=np.uint8)
    three = np.repeat(one, 3, axis=3)
    names = PAPER.augmentations
    assert np.abs(run(three, *names)[..., :1].astype(int) - run(one, *names)).max() <= 1
    assert without_copies(three).shape == one.shape
    coloured = three.copy()
    coloured[0, 0, 0, 0] ^= 1
    assert without_copies(coloured).shape == three.shape


def test_an_epoch_holds_every_image_once_and_repeats_exactly():
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    prepared = PreparedSet(images, np.arange(50) % 2 == 0, ())
    recipe = replace(PAPER, augmentations=(), batch_size=16)

    def epoch(seed):
        batches = epoch_batches(prepared, images, recipe, rng=np.random.default_rng(seed))
        return [(np.round(255 * batch.images), batch.labels) for batch in batches]

    first, again, other = epoch(0), epoch(0), epoch(1)
    values = np.concatenate([x[:, 0, 0, 0] for x, _ in first])
    assert sorted(values) == list(range(50))
    assert all(((x[:, 0, 0, 0] % 2 == 0) == (y == 1)).all() for x, y in first), "labels stay with their images"
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


def test_upright_recipe_never_turns_a_chest_film_upside_down():
    chest = load_recipe("upright", load_task("tuberculosis"))
    assert "vertical_flip" not in chest.augmentations
    assert "vertical_flip" in PAPER.augmentations


def test_what_goes_beyond_the_paper_changes_what_it_should(batch):
    smooth = np.full((24, 64, 64, 1), 100, np.uint8)
    darker_or_brighter = run(smooth, gamma=(0.5, 2.0)).mean(axis=(1, 2, 3))
    assert darker_or_brighter.min() < 70
    assert darker_or_brighter.max() > 130
    noisy = run(smooth, noise=12.0)
    assert 8 < noisy.std(axis=(1, 2, 3)).max() < 13
    assert abs(noisy.mean() - 100) < 1
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (24, 64, 1, 1)).reshape(24, 64, 64, 1)
    erased = (run(ramp, erase=0.5) != ramp).mean(axis=(1, 2, 3))
    assert 0.05 < erased.max() <= 0.25


def test_zoom_and_shift_move_a_square_within_their_limits():
    images = np.zeros((60, 101, 101, 1), np.uint8)
    images[:, 40:61, 40:61] = 255
    sides = np.sqrt((run(images, zoom=(0.8, 1.25)) > 127).sum(axis=(1, 2, 3))) / 21
    assert 0.75 < sides.min() < 0.87
    assert 1.17 < sides.max() < 1.3
    y = np.arange(101)
    moved = run(images, shift=0.1)[..., 0].astype(float)
    centres = (moved.sum(axis=2) * y).sum(axis=1) / moved.sum(axis=(1, 2))
    assert 6 < np.abs(centres - 50).max() < 10.6
    stretched = run(images, zoom=(1.0, 1.0), stretch=1.4)[..., 0] > 127
    ratio = stretched.any(axis=1).sum(axis=1) / stretched.any(axis=2).sum(axis=1)
    assert 0.65 < ratio.min() < 0.85  # whole pixels of a side of 21
    assert 1.18 < ratio.max() < 1.5
