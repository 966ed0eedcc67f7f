"""Boxes as teachers: on prepared images, through every movement, and in the error that a detector learns from."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from secondread.data import Manifest, PreparedSet, Row
from secondread.errors import UsageError
from secondread.images import PrepareSpec
from secondread.models import create_model
from secondread.models.cam import MapGeometry
from secondread.tasks import load_task
from secondread.training.boxes import (
    KnownBoxes,
    assigned,
    box_loss,
    boxes_at,
    cell_centres,
    giou,
    known_boxes,
)
from secondread.training.device_batches import DeviceBatches, Draws, augment_on_device
from secondread.training.fit import fit
from secondread.training.recipe import load_recipe

CPU = torch.device("cpu")
SIDE = 96
GEOMETRY = MapGeometry(first_centre=4.0, stride=8.0)
PLAIN = replace(load_recipe("paper", load_task("fracture")), augmentations=())
NO_BOX = float("nan")


def ellipses(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Black images with one bright ellipse each (n, 1, S, S) and the box around it (n, 1, 4)."""
    rng = np.random.default_rng(4)
    images, boxes = np.zeros((n, 1, SIDE, SIDE), np.uint8), np.zeros((n, 1, 4), np.float32)
    for image, box in zip(images, boxes, strict=True):
        x, y = rng.integers(34, SIDE - 34, 2)
        wide, high = rng.integers(5, 12, 2)
        cv2.ellipse(image[0], (int(x), int(y)), (int(wide), int(high)), 0, 0, 360, 255, -1)
        box[0] = around(image[0])
    return torch.from_numpy(images).float(), torch.from_numpy(boxes)


def around(image: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is bright, in pixels from the image's edge."""
    x, y, wide, high = cv2.boundingRect((image > 100).astype(np.uint8))
    return x, y, x + wide, y + high


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentations": ("horizontal_flip", "vertical_flip")},
        {"augmentations": ("rotation",), "rotation_degrees": 40.0},
        {"zoom": (0.7, 1.4), "stretch": 1.3},
        {"shift": 0.15},
        {
            "augmentations": ("rotation", "horizontal_flip", "vertical_flip", "contrast"),
            "zoom": (0.8, 1.3),
            "stretch": 1.2,
            "shift": 0.1,
        },
    ],
)
def test_boxes_move_with_their_pixels(changes):
    images, boxes = ellipses()
    draw = Draws(np.random.default_rng(1), CPU)
    moved, _, found = augment_on_device(images, replace(PLAIN, **changes), draw, boxes=boxes)
    away = [
        np.abs(np.array(around(image[0])) - box[0].numpy()) for image, box in zip(moved.numpy(), found, strict=True)
    ]
    assert np.max(away) <= 2.0  # pixels; half of one is the ellipse's own edge
    assert np.mean(away) <= 0.6


def test_a_box_that_leaves_the_image_counts_no_longer_and_one_that_half_does_is_cut():
    boxes = torch.tensor([[[-30.0, 10, 8, 20], [-10, 10, 10, 20], [NO_BOX] * 4]])
    _, _, found = augment_on_device(
        torch.zeros(1, 1, SIDE, SIDE), PLAIN, Draws(np.random.default_rng(0), CPU), boxes=boxes
    )
    assert found[0, 0].isnan().all()
    assert found[0, 1].tolist() == [0, 10, 10, 20]
    assert found[0, 2].isnan().all()


def test_batches_scale_boxes_with_their_images():
    images = np.zeros((4, 64, 64, 1), np.uint8)
    rows = tuple(Row(None, str(number), number % 2) for number in range(4))
    boxes = np.full((4, 2, 4), np.nan, np.float32)
    boxes[1, 0] = (8, 16, 24, 32)
    known = known_of(boxes)
    prepared = PreparedSet(images, np.arange(4) % 2 == 1, rows)
    made = DeviceBatches(prepared, images, replace(PLAIN, batch_size=4), CPU, boxes=known)
    (batch,) = made.epoch(rng=np.random.default_rng(0), size=32)
    there = batch.boxes[batch.boxes[..., 0].isfinite()]
    assert there.tolist() == [[4, 8, 12, 16]]
    assert batch.boxes_known.sum() == 3


def known_of(boxes):
    return KnownBoxes(boxes, np.array([True, True, True, False]), 64)


def test_boxes_in_mixed_images_are_refused():
    images = np.zeros((4, 64, 64, 1), np.uint8)
    prepared = PreparedSet(images, np.arange(4) % 2 == 1, tuple(Row(None, str(i), i % 2) for i in range(4)))
    with pytest.raises(UsageError, match="mixed"):
        DeviceBatches(prepared, images, replace(PLAIN, mixup=0.2), CPU, boxes=known_of(np.full((4, 1, 4), np.nan)))


def test_boxes_and_masks_are_found_on_trimmed_and_padded_input(tmp_path):
    film = np.zeros((120, 220), np.uint8)
    film[10:110, 20:220] = 120  # 200 × 100 of it are not border: the input shows them in 100 × 50, 25 below its edge
    mask = np.zeros_like(film)
    mask[30:50, 60:100] = 255
    mask[80:90, 150:170] = 255
    cv2.imwrite(str(tmp_path / "film.png"), film)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "boxes.json").write_text(json.dumps({"film.png": [{"bbox": [60, 30, 40, 20]}]}))
    film_row = Row(tmp_path / "film.png", "film.png", 1)
    masked = replace(film_row, mask=tmp_path / "mask.png")
    healthy, unknown = replace(film_row, label=0), Row(tmp_path / "film.png", "other.png", 1)
    spec = PrepareSpec(size=100, trim_border=True, aspect="pad")
    found = known_boxes(Manifest((film_row,), tmp_path), [film_row, masked, healthy, unknown], spec)
    assert found.known.tolist() == [True, True, True, False]
    assert found.counts().tolist() == [1, 2, 0, 0]
    assert np.allclose(found.boxes[0, 0], (20, 35, 40, 45), atol=0.6)
    assert np.allclose(sorted(found.boxes[1].tolist()), [(20, 35, 40, 45), (65, 60, 75, 65)], atol=0.6)


def test_every_box_is_answered_for_and_the_smaller_of_two_first():
    centres = cell_centres((12, 12), GEOMETRY, CPU)
    boxes = torch.tensor(
        [
            [[41.0, 41, 43, 43], [NO_BOX] * 4],  # far smaller than a cell
            [[10.0, 10, 90, 90], [44, 44, 56, 56]],  # one inside the other
        ]
    )
    answers, inside, target = assigned(centres, boxes, stride=8.0)
    assert answers.sum(dim=1).tolist()[0] == 1
    assert target[0][answers[0]].tolist() == [[41, 41, 43, 43]]
    small = (target[1] == torch.tensor([44.0, 44, 56, 56])).all(dim=1) & answers[1]
    assert small.sum() >= 1
    assert answers[1].sum() > small.sum()  # the larger one has cells of its own
    assert inside[1].sum() > answers[1].sum()  # and cells that neither answer nor count as healthy


def test_giou_is_that_of_its_paper():
    one = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    other = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])
    assert torch.allclose(giou(one, other), torch.tensor([1.0, 1 / 3, -1 / 3]), atol=1e-5)
    assert torch.equal(giou(one, other), giou(other, one))


def test_a_loss_falls_with_scores_and_boxes_that_are_right_and_forgets_what_is_not_known():
    boxes = torch.full((2, 1, 4), NO_BOX)
    boxes[0, 0] = torch.tensor([24.0, 24, 56, 48])
    centres = cell_centres((12, 12), GEOMETRY, CPU)
    answers, _, _ = assigned(centres, boxes, stride=8.0)
    right = torch.where(answers, 6.0, -6.0).view(2, 12, 12)
    sides = torch.cat([centres - boxes[0, 0, :2], boxes[0, 0, 2:] - centres], dim=1).T.reshape(1, 4, 12, 12)
    reach = sides.expand(2, -1, -1, -1).clamp(min=0.1)
    known = torch.tensor([True, True])
    best = box_loss(right, reach, boxes, known, GEOMETRY)
    assert best < 0.01
    assert box_loss(-right, reach, boxes, known, GEOMETRY) > best + 1
    assert box_loss(right, 3 * reach, boxes, known, GEOMETRY) > best + 0.3
    alarm = right.clone()
    alarm[1] = 6.0  # in the image without a lesion
    assert box_loss(alarm, reach, boxes, known, GEOMETRY) > best + 1
    assert box_loss(alarm, reach, boxes, torch.tensor([True, False]), GEOMETRY) == pytest.approx(float(best), abs=1e-3)
    assert torch.allclose(boxes_at(centres, sides)[0][answers[0]], boxes[0, 0])


@pytest.mark.parametrize("box_weight", [0.0, 1.0])
def test_a_recipe_lets_boxes_teach_the_sides(box_weight):
    images = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 1), dtype=np.uint8)
    prepared = PreparedSet(images, np.arange(8) % 2 == 1, tuple(Row(None, str(i), i % 2) for i in range(8)))
    boxes = np.full((8, 1, 4), np.nan, np.float32)
    boxes[1::2, 0] = (8, 8, 40, 40)
    torch.manual_seed(0)
    model = create_model("lesion-boxes0", in_chans=1, input_size=64)
    before = model.head.bias.detach().clone()
    recipe = replace(PLAIN, epochs=1, batch_size=4, box_weight=box_weight)
    known = KnownBoxes(boxes, np.ones(8, bool), 64)
    result = fit(model, prepared, prepared, recipe, boxes=known, device=CPU)
    changed = (result.model.head.bias - before).abs() > 1e-7
    assert changed[0]  # the score, by labels
    assert changed[1:].any() == bool(box_weight)
