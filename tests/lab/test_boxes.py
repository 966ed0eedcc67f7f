"""What validation says of networks that find boxes: with one that sees bright squares, whose answers are known."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secondread.data import Manifest, PreparedSet, Row
from secondread.images import PrepareSpec, decode, prepare
from secondread.lab.boxes import Detector, answers, boxes_table, found_in
from secondread.models.cam import MapGeometry

SPEC = PrepareSpec(size=96, aspect="pad")
HALF = 12.0  # pixels of the input from a cell to each side of its box
SHRUNK = 180 / 96


class Bright(nn.Module):
    """Scores every cell of 8 pixels by its brightness; a box of 24 pixels around each. `sure`: a factor."""

    def __init__(self, sure: float = 1.0):
        super().__init__()
        self.sure = nn.Parameter(torch.tensor(sure))

    def forward(self, image):
        scores = self.sure * (F.avg_pool2d(image.permute(0, 3, 1, 2).float(), 8)[:, 0] / 16 - 8)
        reach = torch.full((len(scores), 4, *scores.shape[1:]), HALF, device=scores.device)
        return scores.amax(dim=(1, 2)), scores, reach


class Cells(Bright):
    """The same without boxes."""

    def forward(self, image):
        return super().forward(image)[:2]


def detector(network):
    return Detector(network, SPEC, MapGeometry(first_centre=4.0, stride=8.0))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """24 films of 180 × 120, every second one with a bright square and its box, of two hospitals and three parts."""
    folder, rows, boxes = tmp_path_factory.mktemp("films"), [], {}
    rng = np.random.default_rng(2)
    for number in range(24):
        film = np.full((120, 180), 40, np.uint8)
        name = f"{number}.png"
        if number % 2:
            x, y = (int(corner) for corner in rng.integers(5, (130, 70)))
            film[y : y + 45, x : x + 45] = 250
            boxes[name] = [{"bbox": [x, y, 45, 45]}]
        cv2.imwrite(str(folder / name), film)
        part = ("hand", "leg", "hand")[number % 3]
        rows.append(
            Row(folder / name, name, number % 2, source="north" if number < 16 else "south", note=part, group=name)
        )
    (folder / "boxes.json").write_text(json.dumps(boxes))
    manifest = Manifest(tuple(rows), folder)
    images = np.stack([prepare(decode(row.path.read_bytes()), SPEC).pixels for row in rows])
    return PreparedSet(images, manifest.labels, manifest.rows), manifest


def test_boxes_are_found_where_people_drew_them_and_counted_by_part_and_hospital(films):
    prepared, manifest = films
    seen, logits, pointed = found_in([detector(Bright())], prepared, manifest)
    for one, row in zip(seen, manifest.rows, strict=True):
        assert len(one.truth) == row.label
        if row.label:  # the box of the best cell: 24 pixels of the input, about the middle of the square
            assert np.abs(one.boxes[0] - one.truth[0]).max() <= 8 * SHRUNK
    assert np.nanmin(pointed) == 1
    assert np.isnan(pointed).sum() == 12
    table = boxes_table(seen, logits, pointed, manifest.rows, n_resamples=50)
    assert {name: area["roc_auc"]["value"] for name, area in table["areas"].items()} == {
        "all": 1.0,
        "north": 1.0,
        "south": 1.0,
    }
    assert table["boxes"]["n_boxes"] == 12
    assert table["boxes"]["froc"]["0.3"]["1"]["value"] == 1.0
    assert table["by_size"]["medium"]["n_boxes"] == 12
    assert table["by_size"]["large"]["n_boxes"] == 0
    assert table["pointing"]["value"] == 1.0
    json.dumps(table)


def test_the_mean_of_networks_is_of_their_scores_and_leans_to_the_surer_box(films):
    prepared, _ = films
    one, _, _ = answers([detector(Bright(1.0))], prepared.images)
    other, _, _ = answers([detector(Bright(0.5))], prepared.images)
    both, scores, boxes = answers([detector(Bright(1.0)), detector(Bright(0.5))], prepared.images)
    assert np.allclose(both, (one + other) / 2, atol=1e-5)
    assert np.allclose(both, scores.max(axis=(1, 2)))
    assert np.allclose(boxes, HALF)


def test_of_a_network_without_boxes_areas_and_pointing_are_told_alone(films):
    prepared, manifest = films
    seen, logits, pointed = found_in([detector(Cells())], prepared, manifest)
    table = boxes_table(seen, logits, pointed, manifest.rows, n_resamples=50)
    assert table["areas"]["all"]["roc_auc"]["value"] == 1.0
    assert table["pointing"]["value"] == 1.0
    assert "boxes" not in table
