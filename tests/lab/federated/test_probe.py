"""What an attack on weights is made of."""

import numpy as np
import pytest
import torch

from secondread.lab.federated.probe import correlation, gradient_of, invert, label_of, summed
from secondread.models import create_model
from secondread.testing.phantoms import chest_phantom


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model("lenet", in_chans=1, input_size=31)


def _leak(network, seed, label):
    image = torch.from_numpy(np.random.default_rng(seed).random((1, 1, 31, 31), dtype=np.float32))
    return image[0, 0].numpy(), gradient_of(network, image, torch.tensor([float(label)]))


@pytest.mark.parametrize("label", [0, 1])
def test_the_label_of_a_single_image_is_seen_in_one_number(network, label):
    assert label_of(_leak(network, 1, label)[1]) == label


def test_a_sum_over_sites_is_the_mean_of_their_gradients(network):
    parts = [_leak(network, seed, seed % 2)[1] for seed in range(3)]
    whole = summed(parts)
    assert torch.allclose(whole[0], (parts[0][0] + parts[1][0] + parts[2][0]) / 3)


def test_the_attack_comes_nearer_to_the_gradient_that_leaked(network):
    truth, leaked = _leak(network, 1, 1)
    far, near = (invert(network, leaked, [1.0], truth[None], steps=steps) for steps in (1, 40))
    assert near.distance < 0.5 * far.distance
    assert near.pixels.shape == (1, 31, 31)
    assert 0 <= near.pixels.min() <= near.pixels.max() <= 1


def test_correlation_is_one_with_itself_and_none_without_contrast():
    image = np.random.default_rng(0).random((9, 9))
    assert correlation(image, 3 * image + 1) == pytest.approx(1)
    assert correlation(image, np.ones((9, 9))) == 0


def _films(n):
    return (
        np.stack([chest_phantom(31, random_state=number, lesion=True) for number in range(n)]).astype(np.float32) / 255
    )


def test_one_site_s_gradient_gives_more_of_its_image_away_than_the_sum_of_three(network):
    films = _films(3)
    parts = [gradient_of(network, torch.from_numpy(film)[None, None], torch.ones(1)) for film in films]
    alone = invert(network, parts[0], [1.0], films[:1], steps=150)
    together = invert(network, summed(parts), [1.0] * 3, films, steps=150)
    assert alone.distance < together.distance
    assert alone.similarities[0] > together.similarities[0]


def test_of_several_images_each_find_stands_at_the_place_of_the_one_it_is_taken_for(network):
    films = _films(2)
    leaked = gradient_of(network, torch.from_numpy(films)[:, None], torch.ones(2))
    found, turned = (invert(network, leaked, [1.0, 1.0], truths, steps=60) for truths in (films, films[::-1]))
    assert np.array_equal(found.pixels, turned.pixels[::-1])
    assert found.similarities == turned.similarities[::-1]
    for one, film, told in zip(found.pixels, films, found.similarities, strict=True):
        assert told == pytest.approx(correlation(one, film))
