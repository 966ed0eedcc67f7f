"""MixStyle: early features take on the mean and spread of another image's, so that a hospital's look says little.

Zhou et al., ICLR 2021. Nothing of it stays in the network.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

STAGES = (1, 2, 3)  # behind which styles are mixed: features of strides 2, 4 and 8
_SHARE = 0.5  # of the batches


@contextmanager
def mixed_styles(model: nn.Module, alpha: float, *, rng: np.random.Generator) -> Iterator[None]:
    """While the model trains in this context, half of its batches have their styles mixed. alpha: 0 does nothing.

    The weight of an image's own style is drawn from a beta distribution with that alpha.
    """
    stages = list(model.stages())[:-1] if alpha and hasattr(model, "stages") else []  # type: ignore[operator]

    def mix(stage: nn.Module, _: object, features: Tensor) -> Tensor:
        return mix_styles(features, alpha, rng=rng) if stage.training and rng.random() < _SHARE else features

    hooks = [stages[number].register_forward_hook(mix) for number in STAGES if number < len(stages)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def mix_styles(features: Tensor, alpha: float, *, rng: np.random.Generator) -> Tensor:
    """Each image's mean and spread of every channel drawn towards those of another of the batch. (B, C, H, W)"""
    n = len(features)
    partner = torch.from_numpy(rng.permutation(n)).to(features.device)
    own = torch.from_numpy(rng.beta(alpha, alpha, (n, 1, 1, 1)).astype(np.float32)).to(features.device)
    values = features.float()
    mean = values.mean(dim=(2, 3), keepdim=True).detach()
    spread = (values.var(dim=(2, 3), keepdim=True, unbiased=False) + 1e-6).sqrt().detach()
    new_mean, new_spread = (own * style + (1 - own) * style[partner] for style in (mean, spread))
    return ((values - mean) / spread * new_spread + new_mean).to(features.dtype)
