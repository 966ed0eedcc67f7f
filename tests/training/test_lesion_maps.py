"""Lesions stay on their place through preprocessing, augmentation and mixing; shared collections are divided once."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from secondread.data import Manifest, PreparedSet, Row
from secondread.data.split import held_out_share, part_of, training_share, validation_share
from secondread.images import PrepareSpec, decode, prepare
from secondread.tasks import load_task
from secondread.testing.phantoms import encode
from secondread.training.batches import epoch_batches
from secondread.training.prepare import LesionMaps, lesion_maps
from secondread.training.recipe import load_recipe

TRANSFER = load_recipe("transfer", load_task("brain-tumour"), batch_size=4)


def centre(picture):
    """(x, y) of the weight, in pixels."""
    y, x = np.indices(picture.shape)
    total = picture.sum()
    return np.array([(x * picture).sum(), (y * picture).sum()]) / total


@pytest.mark.parametrize("spec", [
    PrepareSpec(size=96),
    PrepareSpec(size=64, aspect="pad"),
    PrepareSpec(size=96, aspect="pad", trim_border=True),
])  # fmt: skip
def test_a_mask_lands_where_the_prepared_image_shows_the_lesion(tmp_path, spec):
    picture = np.zeros((150, 230), np.uint8)
    picture[20:140, 30:200] = 60  # a body with a dark border
    mask = np.zeros_like(picture)
    cv2.circle(mask, (120, 55), 14, 255, -1)
    bright = np.where(mask > 0, 250, picture).astype(np.uint8)
    (tmp_path / "image.png").write_bytes(encode(bright, "PNG"))
    (tmp_path / "mask.png").write_bytes(encode(mask, "PNG"))
    row = Row(tmp_path / "image.png", "image.png", 1, mask=tmp_path / "mask.png")
    healthy = replace(row, label=0, mask=None)
    unknown = replace(row, mask=None)
    maps = lesion_maps(Manifest((row,), tmp_path), [row, healthy, unknown], spec)
    assert maps.known.tolist() == [True, True, False]
    drawn = maps.pixels(np.arange(3))
    assert not drawn[1:].any()
    shown = prepare(decode((tmp_path / "image.png").read_bytes()), spec).pixels[..., 0].astype(float)
    lesion = np.where(shown > 150, shown - 60, 0)
    assert np.abs(centre(drawn[0].astype(float)) - centre(lesion)).max() < 0.6
    assert (drawn[0] > 127).sum() == pytest.approx((shown > 150).sum(), rel=0.12)


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_lesions_move_and_mix_with_their_images(changes):
    rng = np.random.default_rng(0)
    pictures = np.zeros((12, 64, 64, 1), np.uint8)
    for picture in pictures:
        x, y = rng.integers(20, 44, 2)
        cv2.circle(picture, (int(x), int(y)), 7, 255, -1)
    covers = {number: picture[..., 0].copy() for number, picture in enumerate(pictures)}
    maps = LesionMaps(covers, np.ones(12, bool), 64)
    recipe = replace(TRANSFER, noise=0.0, gamma=None, augmentations=("rotation", "horizontal_flip"), **changes)
    prepared = PreparedSet(pictures, np.ones(12, bool), ())
    seen = 0
    for batch in epoch_batches(prepared, pictures, recipe, rng=rng, lesions=maps, n_labelled=6, size=32):
        assert batch.images.shape == (4, 1, 32, 32)
        assert np.abs(batch.images[:, 0] - batch.lesions).max() < 0.02, "the picture is its own mask here"
        assert batch.lesion_known.all()
        seen += batch.label_weights.sum()
    assert seen == 6 if not changes else seen <= 6


def test_mixed_labels_are_the_share_of_the_pictures():
    pictures = np.concatenate([np.zeros((8, 32, 32, 1)), np.full((8, 32, 32, 1), 255)]).astype(np.uint8)
    labels = np.arange(16) >= 8
    for changes in ({"mixup": 0.4}, {"cutmix": 1.0}):
        recipe = replace(load_recipe("paper", load_task("fracture")), augmentations=(), batch_size=16, **changes)
        (batch,) = epoch_batches(PreparedSet(pictures, labels, ()), pictures, recipe, rng=np.random.default_rng(3))
        assert np.allclose(batch.images.mean(axis=(1, 2, 3)), batch.labels, atol=1e-6)
        assert ((batch.labels > 0) & (batch.labels < 1)).any()


def test_groups_of_shared_splits_stay_whole_and_every_row_is_in_one_part():
    rows = tuple(
        Row(None, f"{n}.png", 1, group=f"g{n // 4}", split=split)  # type: ignore[arg-type]
        for split in ("localisation", "test", "train")
        for n in range(400)
    )
    manifest = Manifest(rows, None)  # type: ignore[arg-type]
    train = training_share(manifest, "localisation")
    val = validation_share(manifest, "localisation")
    left = held_out_share(manifest, "localisation", checked=True)
    parts = [{row.group for row in part.rows} for part in (train, val, left)]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert len(train) + len(val) + len(left) == 400
    assert len(held_out_share(manifest, "localisation", checked=False)) == len(val) + len(left)
    assert 0.45 < len(train) / 400 < 0.75
    assert part_of("train", "any") == "train"
    assert part_of("val", "any") == "val"
    assert part_of("external", "any") == "test"
    assert len(held_out_share(manifest, "test", checked=True)) == 400
