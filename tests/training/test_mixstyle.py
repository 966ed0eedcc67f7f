"""Mixed styles: what changes, what stays, and that nothing is left behind."""

import numpy as np
import pytest
import torch

from secondread.models import create_model
from secondread.training.mixstyle import mix_styles, mixed_styles


def features(n=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, 9, 9, generator=generator) * torch.arange(1, n + 1).view(n, 1, 1, 1) + 3


def test_styles_lie_between_those_of_two_images_and_the_pattern_stays():
    before = features()
    after = mix_styles(before, 0.3, rng=np.random.default_rng(1))
    spreads = before.std(dim=(2, 3))
    assert (after.std(dim=(2, 3)) <= spreads.max(dim=0).values * 1.001).all()
    assert not torch.allclose(after, before)
    patterns = [(x - x.mean(dim=(2, 3), keepdim=True)) / x.std(dim=(2, 3), keepdim=True) for x in (before, after)]
    assert torch.allclose(*patterns, atol=1e-3)


def test_only_batches_that_train_are_mixed_and_only_in_the_context():
    model = create_model("lesion-lite0", in_chans=1, input_size=64)
    x = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    stage = model.stages()[2]
    seen = []
    hook = stage.register_forward_hook(lambda *call: seen.append(call[2].detach()))
    with mixed_styles(model, 0.3, rng=np.random.default_rng(0)):
        model.eval()
        model(x)
        model(x)
        assert torch.equal(seen[0], seen[1])
    hook.remove()
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_without_alpha_nothing_is_hooked(alpha):
    model = create_model("efficientnet-lite0", in_chans=1, input_size=64)
    with mixed_styles(model, alpha, rng=np.random.default_rng(0)):
        assert any(part._forward_hooks for part in model.modules()) == bool(alpha)


def test_training_mixes_about_half_of_the_batches():
    model = create_model("efficientnet-lite0", in_chans=1, input_size=32).train()
    for part in model.modules():  # batch statistics would change the features of stage 1 too
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eval()
    x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    first = []
    with mixed_styles(model, 0.3, rng=np.random.default_rng(0)):
        hook = model.stages()[2].register_forward_pre_hook(lambda _, inputs: first.append(inputs[0].detach()))
        for _ in range(20):
            model(x)
        hook.remove()
    plain = model.stages()[1](model.stages()[0](model._to_scale(x)))
    mixed = sum(not torch.allclose(seen, plain, atol=1e-4) for seen in first)
    assert 4 <= mixed <= 16
