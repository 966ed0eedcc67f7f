"""Learning rates, freezing, the moving average and the losses do what their formulas say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secondread.models import create_model
from secondread.tasks import load_task
from secondread.training.device import mixed_precision
from secondread.training.optimise import (
    MovingAverage,
    freeze,
    label_loss,
    lesion_loss,
    make_optimizer,
    positive_weight_of,
    set_learning_rate,
    source_priors,
    swapped_in,
)
from secondread.training.recipe import load_recipe

PAPER = load_recipe("paper", load_task("tuberculosis"))
TRANSFER = load_recipe("transfer", load_task("tuberculosis"))
CPU = torch.device("cpu")


class Three(nn.Module):
    """Three stages of one layer."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def stages(self):
        return list(self.parts)


def rates(recipe, *, epoch=1, done=0.0):
    optimizer = make_optimizer(Three(), recipe, CPU)
    set_learning_rate(optimizer, recipe, epoch=epoch, done=done)
    return [group["lr"] for group in optimizer.param_groups]


def test_the_papers_rate_falls_along_a_cosine_over_the_epochs():
    assert rates(PAPER) == [0.001]
    assert rates(PAPER, epoch=26)[0] == pytest.approx(0.0005)


def test_one_cycle_rises_then_falls_to_nearly_nothing():
    course = [rates(TRANSFER, done=done)[-1] for done in np.linspace(0, 1, 101)]
    peak = int(np.argmax(course))
    assert peak == pytest.approx(100 * TRANSFER.warmup, abs=1)
    assert course[peak] == pytest.approx(TRANSFER.learning_rate, rel=0.01)
    assert course[0] == pytest.approx(TRANSFER.learning_rate / 25)
    assert course[-1] < 0.001 * TRANSFER.learning_rate
    assert np.all(np.diff(course[: peak + 1]) > 0)
    assert np.all(np.diff(course[peak:]) < 0)


def test_stages_nearer_to_the_image_learn_slower_and_biases_do_not_decay():
    recipe = replace(TRANSFER, stage_decay=0.5, scheduler="constant")
    optimizer = make_optimizer(Three(), recipe, CPU)
    assert rates(recipe) == pytest.approx([0.001 * share for share in (0.25, 0.25, 0.5, 0.5, 1, 1)])
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (recipe.weight_decay if group["params"][0].ndim > 1 else 0)


def test_freezing_first_all_but_the_head_then_the_early_stages():
    model = Three()
    recipe = replace(TRANSFER, frozen_epochs=2, frozen_stages=1)

    def learning(epoch):
        freeze(model, recipe, epoch)
        return [all(p.requires_grad for p in part.parameters()) for part in model.parts]

    assert learning(2) == [False, False, True]
    assert learning(3) == [False, True, True]


def test_the_moving_average_follows_its_formula_and_is_swapped_in_for_a_while():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
        average = MovingAverage(model, 0.9)
        expected = 0.0
        for step in range(1, 40):
            model.weight.fill_(1.0)
            average.update(model)
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay)
    with swapped_in(model, average):
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 1.0
    with swapped_in(model, None):
        assert model.weight.item() == 1.0


def loss(logits, labels, weights=None, positive_weight=1.0, **changes):
    recipe = replace(PAPER, **changes)
    given = None if weights is None else torch.tensor(weights)
    return float(
        label_loss(torch.tensor(logits), torch.tensor(labels), recipe, positive_weight=positive_weight, weights=given)
    )


def test_label_losses_against_their_definitions():
    logits, labels = [0.3, -2.0, 1.5], [1.0, 0.0, 0.0]
    p = torch.sigmoid(torch.tensor(logits))
    plain = F.binary_cross_entropy(p, torch.tensor(labels), reduction="none")
    assert loss(logits, labels) == pytest.approx(float(plain.mean()), rel=1e-5)
    smooth = F.binary_cross_entropy(p, torch.tensor([0.95, 0.05, 0.05]))
    assert loss(logits, labels, label_smoothing=0.1) == pytest.approx(float(smooth), rel=1e-5)
    focal = ((torch.tensor(labels) - p).abs() ** 2 * plain).mean()
    assert loss(logits, labels, focal_gamma=2.0) == pytest.approx(float(focal), rel=1e-5)
    balanced = (plain * torch.tensor([2.0, 1, 1])).mean()
    assert loss(logits, labels, balance=True, positive_weight=2.0) == pytest.approx(float(balanced), rel=1e-5)
    assert loss(logits, labels, weights=[1.0, 0.0, 1.0]) == pytest.approx(float(plain[[0, 2]].mean()), rel=1e-5)
    assert loss(logits, labels, weights=[0.0, 0.0, 0.0]) == 0.0
    assert positive_weight_of([True, False, False]) == 2.0


def test_a_sources_prior_is_its_log_odds_less_those_of_all():
    """Of 12 in `a` 3 are ill, of 8 in `b` 6, of `c` none is labelled; one more of each class counts."""
    sources, labels = (
        ["a"] * 12 + ["b"] * 8 + ["c"] * 2,
        [True] * 3 + [False] * 9 + [True] * 6 + [False] * 2 + [True] * 2,
    )
    found = source_priors(sources, labels, n_labelled=20)
    everyone = np.log(10 / 12)
    expected = [np.log(4 / 10) - everyone] * 12 + [np.log(7 / 3) - everyone] * 8 + [0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isfinite(source_priors(["a", "b"], [True, False])).all()


def test_with_priors_a_network_that_sees_the_source_alone_learns_nothing_of_it():
    """Without them it learns the log odds of each source, which is what they are there to prevent."""
    labels = torch.tensor([1.0] * 9 + [0.0] * 29 + [1.0] * 24 + [0.0] * 8)
    source = torch.tensor([0] * 38 + [1] * 32)
    priors = torch.from_numpy(source_priors([str(int(one)) for one in source], [bool(one) for one in labels]))

    def learnt(added):
        said = torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.LBFGS([said], max_iter=50)

        def closure():
            optimizer.zero_grad()
            error = label_loss(said[source] + added, labels, PAPER, positive_weight=1.0, weights=None)
            error.backward()
            return error

        optimizer.step(closure)
        return float((said[1] - said[0]).detach())

    assert learnt(torch.zeros(70)) > 2
    assert abs(learnt(priors)) < 0.2  # not 0: each class counts one more than there are


def test_lesion_loss_is_least_where_scores_and_covers_agree_and_ignores_what_is_not_known():
    covers = torch.zeros(2, 32, 32)
    covers[0, :16, 16:] = 1
    right = torch.full((2, 2, 2), -9.0)
    right[0, 0, 1] = 9.0
    both = torch.tensor([True, True])
    assert float(lesion_loss(right, covers, both)) < 0.01
    assert float(lesion_loss(right.flip(2), covers, both)) > 2
    wrong_in_second = right.clone()
    wrong_in_second[1] = 9.0
    first_only = torch.tensor([True, False])
    assert float(lesion_loss(wrong_in_second, covers, first_only)) < 0.01
    nothing = torch.tensor([False, False])
    assert float(lesion_loss(wrong_in_second, covers, nothing)) == 0.0


@pytest.mark.parametrize(
    ("amx", "avx512", "used"),
    [(False, False, set()), (False, True, {"lenet"}), (True, True, {"lenet", "efficientnet-lite0"})],
)
def test_bfloat16_is_used_where_the_processor_makes_the_network_faster(monkeypatch, amx, avx512, used):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    for name in ("lenet", "efficientnet-lite0"):
        model = create_model(name, in_chans=1, input_size=64)
        assert mixed_precision(model, CPU, bfloat16=True)._enabled is (name in used), name
        assert not mixed_precision(model, CPU, bfloat16=False)._enabled
