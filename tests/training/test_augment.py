"""Augmentation of batches: what each kind does, and what it leaves alone."""

from dataclasses import replace

import pytest
import torch

from secondread.tasks import load_task
from secondread.training.augment import augment
from secondread.training.recipes import load_recipe

PAPER = load_recipe("paper", load_task("tuberculosis"))


def run(x, *names, seed=0, **changes):
    recipe = replace(PAPER, augmentations=names, **changes)
    return augment(x, recipe, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch():
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_nothing_chosen_changes_nothing(batch):
    assert torch.equal(run(batch), batch)


@pytest.mark.parametrize(("name", "dim"), [("horizontal_flip", 3), ("vertical_flip", 2)])
def test_a_flip_mirrors_some_images_and_leaves_the_others(batch, name, dim):
    out = run(batch, name)
    mirrored = [torch.allclose(o, i.flip(dim - 1), atol=1e-5) for o, i in zip(out, batch, strict=True)]
    kept = [torch.allclose(o, i, atol=1e-5) for o, i in zip(out, batch, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert any(mirrored)
    assert any(kept)


def test_rotation_stays_within_its_degrees():
    x = torch.zeros(64, 1, 65, 65)
    x[:, :, 32, 32:] = 1  # a ray from the centre to the right
    out = run(x, "rotation", rotation_degrees=15.0)
    for image in out[:, 0]:
        rows, columns = torch.nonzero(image > 0.3, as_tuple=True)
        far = columns > 55
        angle = torch.rad2deg(torch.atan2(rows[far] - 32.0, columns[far] - 32.0))
        assert angle.abs().max() <= 16.5
    assert not torch.allclose(out[0], out[1])


def test_contrast_keeps_the_mean_and_the_range(batch):
    grey = 0.4 + 0.2 * batch
    out = run(grey, "contrast")
    torch.testing.assert_close(out.mean(dim=(1, 2, 3)), grey.mean(dim=(1, 2, 3)), atol=1e-4, rtol=0)
    ratio = out.std(dim=(1, 2, 3)) / grey.std(dim=(1, 2, 3))
    assert 0.8 - 1e-3 <= ratio.min() < ratio.max() <= 1.2 + 1e-3


def test_gaussian_filter_removes_noise_from_its_share(batch):
    out = run(batch, "gaussian_blur", blur_share=0.5)
    smoother = (out.std(dim=(1, 2, 3)) < 0.7 * batch.std(dim=(1, 2, 3))).sum()
    assert 3 <= smoother <= 13
    flat = torch.full((4, 1, 32, 32), 0.5)
    torch.testing.assert_close(run(flat, "gaussian_blur", blur_share=1.0), flat)


def test_same_generator_same_batch(batch):
    names = PAPER.augmentations
    assert torch.equal(run(batch, *names, seed=4), run(batch, *names, seed=4))
    assert not torch.equal(run(batch, *names, seed=4), run(batch, *names, seed=5))
    assert run(batch, *names).min() >= 0
    assert run(batch, *names).max() <= 1


def test_upright_recipe_never_turns_a_chest_film_upside_down():
    chest = load_recipe("upright", load_task("tuberculosis"))
    assert "vertical_flip" not in chest.augmentations
    assert "vertical_flip" in PAPER.augmentations
