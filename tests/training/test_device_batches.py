"""Batches made on the device: the same changes as the processor makes, a whole batch at once."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from skimage.exposure import match_histograms

from secondread.data import PreparedSet, Row
from secondread.models import create_model
from secondread.tasks import load_task
from secondread.training.augment import augment
from secondread.training.batches import epoch_batches, epoch_pieces
from secondread.training.device_batches import DeviceBatches, Draws, augment_on_device, match_tones, paste_pieces
from secondread.training.fit import fit
from secondread.training.optimise import lesion_loss, lesion_loss_unasked
from secondread.training.prepare import LesionMaps
from secondread.training.recipe import load_recipe

CPU = torch.device("cpu")
PLAIN = replace(load_recipe("paper", load_task("tuberculosis")), augmentations=())


def draws(seed=0):
    return Draws(np.random.default_rng(seed), CPU)


def films(n=16, size=48):
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return np.stack([cv2.resize(film, (size, size), interpolation=cv2.INTER_CUBIC) for film in small])[..., None]


def as_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def test_nothing_chosen_changes_nothing():
    pixels = as_tensor(films())
    out, covers, _ = augment_on_device(pixels, PLAIN, draws())
    assert torch.equal(out, pixels)
    assert covers is None


@pytest.mark.parametrize(
    "changes",
    [
        {"zoom": (0.6, 0.6)},
        {"zoom": (1.3, 1.3)},
        {"gamma": (1.7, 1.7)},
        {"augmentations": ("contrast",), "contrast": (0.5, 0.5)},
        {"augmentations": ("gaussian_blur",), "blur_share": 1.0, "blur_sigma": 1.5},
    ],
)
def test_a_change_without_chance_is_the_one_that_the_processor_makes(changes):
    images, recipe = films(), replace(PLAIN, **changes)
    theirs = augment(images, recipe, rng=np.random.default_rng(0))
    own, *_ = augment_on_device(as_tensor(images), recipe, draws())
    assert np.abs(own.permute(0, 2, 3, 1).numpy() - theirs).max() <= 1.5


def test_movement_takes_covers_along_and_stays_within_the_recipe():
    image = np.zeros((64, 65, 65, 1), np.uint8)
    image[:, 32, 32:] = 255
    recipe = replace(PLAIN, augmentations=("rotation", "horizontal_flip"), rotation_degrees=15.0)
    pixels = as_tensor(image)
    out, covers, _ = augment_on_device(pixels, recipe, draws(), covers=pixels / 255)
    assert torch.allclose(out / 255, covers, atol=1e-5)
    angles = []
    for film in out[:, 0].numpy():
        rows, columns = np.nonzero(film > 80)
        far = np.abs(columns - 32) > 22
        angles.append(np.degrees(np.arctan2(rows[far] - 32.0, np.abs(columns[far] - 32.0))).mean())
    assert -16 < min(angles) < -8
    assert 8 < max(angles) < 16
    sides = out[:, 0, :, 40:].sum(dim=(1, 2)) > out[:, 0, :, :25].sum(dim=(1, 2))
    assert 0.25 < sides.float().mean() < 0.75


def test_shift_moves_by_its_share_of_the_side_at_most():
    image = np.zeros((200, 41, 41, 1), np.uint8)
    image[:, 20, 20] = 255
    out, *_ = augment_on_device(as_tensor(image), replace(PLAIN, shift=0.2), draws())
    places = np.array([np.unravel_index(film.argmax(), film.shape) for film in out[:, 0].numpy()]) - 20
    assert 6 <= np.abs(places).max() <= 9


def test_tones_are_those_of_the_donor():
    images = films()
    donors = np.random.default_rng(1).permutation(images)[::-1].copy()
    theirs = [match_histograms(image, donor) for image, donor in zip(images, donors, strict=True)]
    own = match_tones(as_tensor(images), as_tensor(donors)).permute(0, 2, 3, 1).numpy()
    assert np.abs(own - np.stack(theirs)).mean() < 1


def test_a_loss_of_detail_takes_the_finest_structure_alone():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    images = np.repeat(board[None, ..., None], 40, axis=0).astype(np.uint8)
    out, *_ = augment_on_device(as_tensor(images), replace(PLAIN, coarsest=0.3), draws())
    spread = out.std(dim=(1, 2, 3))
    assert (spread < 60).any()
    assert (spread > 120).sum() >= 10  # half of them stay
    assert torch.allclose(out.mean(dim=(1, 2, 3)), torch.tensor(127.5), atol=4)


def test_amplitudes_of_others_leave_the_phases():
    images = films()
    out, *_ = augment_on_device(as_tensor(images), replace(PLAIN, fourier=0.5), draws())
    same = (out - as_tensor(images)).abs().amax(dim=(1, 2, 3)) < 0.01
    assert 2 <= same.sum() <= 14
    pairs = zip(out.numpy(), as_tensor(images).numpy(), strict=True)
    correlations = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
    assert min(correlations) > 0.5


def test_pasted_lesions_come_with_their_covers_and_only_to_the_healthy():
    pixels = torch.full((40, 1, 56, 56), 100.0) + as_tensor(films(40, 56)) * 0.1
    covers = torch.zeros(40, 1, 56, 56)
    covers[:10, :, 20:30, 20:30] = 1
    pixels[:10, :, 20:30, 20:30] = 255
    known = torch.arange(40) < 30
    out, moved, pasted = paste_pieces(pixels, covers, known, 1.0, draws())
    assert not pasted[:10].any()
    assert not pasted[30:].any()
    assert 5 <= pasted[10:30].sum() <= 15  # every second piece is of an image without a lesion
    assert torch.equal(moved.amax(dim=(1, 2, 3)) > 0, pasted | (torch.arange(40) < 10))
    assert (out[pasted][:, 0, 24:26, 24:26].mean() > 130).item()
    assert torch.equal(out[30:], pixels[30:])
    assert torch.equal(out[:10], pixels[:10])


def test_an_epoch_shows_every_image_once_with_its_label_and_lesion():
    images = np.arange(10, dtype=np.uint8).repeat(32 * 32).reshape(10, 32, 32, 1)
    labels = np.arange(10) % 2 == 1
    rows = tuple(Row(None, str(i), int(label), source="a") for i, label in enumerate(labels))
    maps = LesionMaps({3: np.full((32, 32), 255, np.uint8)}, np.arange(10) < 5, 32)
    recipe = replace(PLAIN, batch_size=4)
    made = DeviceBatches(PreparedSet(images, labels, rows), images, recipe, CPU, lesions=maps, n_labelled=6)
    batches = list(made.epoch(rng=np.random.default_rng(0)))
    numbers = torch.cat([batch.images[:, 0, 0, 0] * 255 for batch in batches]).round().long()
    assert sorted(numbers.tolist()) == list(range(10))
    assert torch.cat([batch.labels for batch in batches]).tolist() == (numbers % 2).tolist()
    assert torch.cat([batch.label_weights for batch in batches]).tolist() == (numbers < 6).tolist()
    assert torch.cat([batch.lesion_known for batch in batches]).tolist() == (numbers < 5).tolist()
    covered = torch.cat([batch.lesions for batch in batches]).mean(dim=(1, 2))
    assert covered.tolist() == (numbers == 3).float().tolist()


def test_sources_are_drawn_alike_where_they_are_balanced():
    rows = tuple(Row(None, str(i), i % 2, source="few" if i < 20 else "many") for i in range(400))
    prepared = PreparedSet(np.zeros((400, 8, 8, 1), np.uint8), np.arange(400) % 2 == 1, rows)
    recipe = replace(PLAIN, balance_sources=True, batch_size=50)
    drawn = np.concatenate(epoch_pieces(prepared, recipe, rng=np.random.default_rng(0)))
    assert len(drawn) == 400
    assert 0.4 < (drawn < 20).mean() < 0.6
    once = np.concatenate(epoch_pieces(prepared, PLAIN, rng=np.random.default_rng(0)))
    assert sorted(once) == list(range(400))


@pytest.mark.parametrize("n_known", [0, 1, 5])
@pytest.mark.parametrize("empty", [False, True])
def test_the_lesion_loss_of_a_gpu_is_the_processors(n_known, empty):
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(5, 4, 4)).astype(np.float32))
    covers = torch.from_numpy((rng.random((5, 32, 32)) < (0 if empty else 0.01)).astype(np.float32))
    known = torch.arange(5) < n_known
    assert torch.allclose(lesion_loss(scores, covers, known), lesion_loss_unasked(scores, covers, known), atol=1e-6)


def test_a_network_learns_from_batches_made_on_the_device():
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2 == 1
    images = rng.integers(60, 120, (64, 64, 64, 1), dtype=np.uint8)
    covers = np.zeros((64, 64, 64), np.uint8)
    covers[labels, 16:48, 16:48] = 255
    images[labels, 16:48, 16:48] += 100
    rows = tuple(Row(None, str(i), int(label), source=f"s{i % 3}") for i, label in enumerate(labels))
    prepared = PreparedSet(images, labels, rows)
    maps = LesionMaps({int(i): covers[i] for i in np.flatnonzero(labels)}, np.ones(64, bool), 64)
    recipe = replace(
        load_recipe("best", load_task("tuberculosis")), epochs=3, prepare={"size": 64}, pretrained=False,
        frozen_stages=0, mixstyle=0.3, paste=0.2, tones=0.2, coarsest=0.5, local_contrast=0.3, fourier=0.3,
        balance_sources=True, keep="last", mixup=0.2, cutmix=0.2, batch_size=16, learning_rate=0.003, erase=0.1,
    )  # fmt: skip
    results = []
    for _ in range(2):
        torch.manual_seed(0)  # initial weights and dropout
        model = create_model("lesion-lite0", in_chans=1, input_size=64)
        results.append(fit(model, prepared, prepared, recipe, lesions=maps, n_labelled=40, batches_on_device=True))
    first, second = results
    assert first.best_epoch == 3
    assert [line.loss for line in first.history] == [line.loss for line in second.history]
    assert first.history[-1].loss < first.history[0].loss


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.5}])
@pytest.mark.parametrize("on_device", [False, True])
def test_an_image_brings_its_sources_prior_and_a_mixed_one_its_share_of_two(changes, on_device):
    """Each image's prior is here its label, so that a batch's priors must be its labels, however they are mixed."""
    labels = np.arange(16) % 3 == 0
    rows = tuple(Row(f"{number}.png", int(label), "train") for number, label in enumerate(labels))
    prepared, recipe = PreparedSet(films(), labels, rows), replace(PLAIN, batch_size=5, **changes)
    given, rng = labels.astype(np.float32), np.random.default_rng(2)
    if on_device:
        made = DeviceBatches(prepared, prepared.images, recipe, CPU, priors=given).epoch(rng=rng)
    else:
        made = epoch_batches(prepared, prepared.images, recipe, rng=rng, priors=given)
    for batch in made:
        np.testing.assert_allclose(np.asarray(batch.priors), np.asarray(batch.labels), atol=1e-6)
