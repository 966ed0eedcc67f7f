"""A part of an epoch: the parts together are the whole, whatever the size of a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from secondread.data import PreparedSet
from secondread.errors import TrainingError
from secondread.images import PrepareSpec
from secondread.tasks import load_task
from secondread.training import load_recipe
from secondread.training.prepare import LesionMaps, new_network
from secondread.training.rounds import gradient_of_part

CPU = torch.device("cpu")
SPEC = PrepareSpec(size=32, channels=1)
PLAIN = replace(load_recipe("paper", load_task("tuberculosis")), augmentations=(), batch_size=4)


@pytest.fixture(scope="module")
def films():
    """22 images of noise, each brighter than the last; the last ten are all diseased."""
    rng = np.random.default_rng(0)
    labels = np.arange(22) % 2 == 1
    labels[12:] = True
    noise = rng.integers(0, 40, (22, 32, 32, 1), dtype=np.uint8)
    brighter = noise + np.arange(0, 220, 10, dtype=np.uint8)[:, None, None, None]
    return PreparedSet(brighter, labels, tuple(range(22)))


def _gradient(films, recipe, part, parts):
    model = new_network("lenet", SPEC, recipe, random_state=0)
    loss = gradient_of_part(model, films, recipe, epoch=1, part=part, parts=parts, device=CPU)
    return {name: one.grad for name, one in model.named_parameters()}, loss


@pytest.mark.parametrize("balance", [False, True])
def test_the_parts_of_an_epoch_are_the_whole_of_it(films, balance):
    recipe = replace(PLAIN, balance=balance)
    whole, loss = _gradient(films, replace(recipe, batch_size=22), 0, 1)
    sizes = [len(dealt) for dealt in np.array_split(np.arange(22), 3)]
    parts = [_gradient(films, recipe, part, 3) for part in range(3)]
    shares = [size / 22 for size in sizes]
    for name, gradient in whole.items():
        together = sum(share * found[name] for share, (found, _) in zip(shares, parts, strict=True))
        assert torch.allclose(together, gradient, atol=1e-6), name
    assert sum(share * found for share, (_, found) in zip(shares, parts, strict=True)) == pytest.approx(loss, rel=1e-5)
    assert max(float(part.abs().max()) for part in whole.values()) > 1e-3


def test_a_part_of_one_class_teaches_and_the_same_part_gives_the_same_gradient(films):
    recipe = replace(load_recipe("paper", load_task("tuberculosis")), batch_size=4)
    once = _gradient(films, recipe, 5, 22)[0]
    again, elsewhere = _gradient(films, recipe, 5, 22)[0], _gradient(films, recipe, 6, 22)[0]
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert any(not torch.equal(once[name], elsewhere[name]) for name in once)


class Cells(nn.Module):
    """The least that has a lesion map: one score for every 8×8 pixels."""

    def __init__(self):
        super().__init__()
        self.score = nn.Conv2d(1, 1, 8, stride=8)
        nn.init.constant_(self.score.weight, 0.05)
        nn.init.zeros_(self.score.bias)

    def lesions(self, x):
        cells = self.score(x)[:, 0]  # (B, 4, 4)
        return cells.flatten(1).mean(1, keepdim=True), cells


def test_lesions_go_with_their_images(films):
    recipe = replace(PLAIN, lesion_weight=1.0, batch_size=22)
    covered = {number: np.full((32, 32), 255 * (number % 3 == 0), dtype=np.uint8) for number in range(1, 22, 2)}
    maps = LesionMaps(covered, np.arange(22) != 7, 32)
    turned = np.arange(22)[::-1]
    mirror = PreparedSet(films.images[turned], films.labels[turned], films.rows)
    their = LesionMaps({21 - number: cover for number, cover in covered.items()}, maps.known[turned], 32)

    def loss(films, lesions):
        return gradient_of_part(Cells(), films, recipe, epoch=1, part=0, parts=1, lesions=lesions, device=CPU)

    assert loss(mirror, their) == pytest.approx(loss(films, maps), rel=1e-5)
    assert loss(films, their) != pytest.approx(loss(films, maps), rel=1e-3)


def test_fewer_images_than_parts_and_one_class_are_told(films):
    with pytest.raises(TrainingError, match="fewer than the 23 parts"):
        _gradient(films, PLAIN, 0, 23)
    with pytest.raises(TrainingError, match="both classes"):
        _gradient(PreparedSet(films.images, np.ones(22, dtype=bool), films.rows), PLAIN, 0, 1)
