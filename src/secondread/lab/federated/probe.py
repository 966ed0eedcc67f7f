"""What a curious server could make of one site's weights: gradient inversion, attempted on a network of ours.

A site that takes one step on one image sends the gradient, scaled. The attack looks for pixels whose gradient points
the same way: cosine distance and total variation, by Adam (Geiping et al., NeurIPS 2020). Of several images all are
looked for at once. Under secure aggregation the server has the sum over all sites alone, and attacks that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

Gradients = list[Tensor]


@dataclass(frozen=True, eq=False)
class Inverted:
    """What the attack found."""

    pixels: np.ndarray  # float32 (n, size, size) in 0–1, each at the place of the true image that it is taken for
    distance: float  # 1 − cosine between their gradient and the one that leaked
    similarities: tuple[float, ...]  # correlation of each one's pixels with the true image's


def gradient_of(model: nn.Module, images: Tensor, labels: Tensor) -> Gradients:
    """Of the mean loss over some images: what one step of training gives away.

    images: float (n, 1, size, size) in 0–1; labels: float (n,).
    """
    loss = F.binary_cross_entropy_with_logits(model(images)[:, 0], labels)
    return [part.detach() for part in torch.autograd.grad(loss, list(model.parameters()))]


def summed(gradients: Sequence[Gradients]) -> Gradients:
    """What secure aggregation leaves to see: the mean over sites."""
    return [torch.stack(parts).mean(dim=0) for parts in zip(*gradients, strict=True)]


def invert(
    model: nn.Module,
    leaked: Gradients,
    labels: Sequence[float],
    truths: np.ndarray,
    *,
    steps: int = 300,
    random_state: int = 0,
    smoothness: float = 1e-3,
) -> Inverted:
    """Look for the images behind a gradient. labels: of the images; a single one's is known from the sign of the last
    bias' gradient, of several the attack is given them.

    truths: float (n, size, size) in 0–1, to tell how near it came; the attack does not see them. A gradient does not
    say in which order its images came, so what is found is matched to them as fits best in all.
    """
    generator = torch.Generator().manual_seed(random_state)
    size = truths.shape[-1]
    guess = torch.rand((len(labels), 1, size, size), generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.05)
    wanted = torch.tensor(list(labels), dtype=torch.float32)
    parameters = list(model.parameters())
    distance = torch.ones(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(guess)[:, 0], wanted)
        own = torch.autograd.grad(loss, parameters, create_graph=True)
        distance = _distance(own, leaked)
        (distance + smoothness * _variation(guess)).backward()
        optimizer.step()
        with torch.no_grad():
            guess.clamp_(0, 1)
    pixels = guess.detach()[:, 0].numpy()
    alike = np.array([[correlation(one, truth) for one in pixels] for truth in truths])
    _, taken = linear_sum_assignment(-alike)
    return Inverted(
        pixels[taken], float(distance.detach()), tuple(float(row[at]) for row, at in zip(alike, taken, strict=True))
    )


def label_of(leaked: Gradients) -> float:
    """The label of a single image: the gradient of the last bias is probability minus label."""
    return 1.0 if float(leaked[-1].sum()) < 0 else 0.0


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, over pixels; 0 for an image without any contrast."""
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm else 0.0


def _distance(own: Sequence[Tensor], leaked: Sequence[Tensor]) -> Tensor:
    dot = torch.stack([(a * b).sum() for a, b in zip(own, leaked, strict=True)]).sum()
    lengths = [torch.stack([(part**2).sum() for part in parts]).sum().sqrt() for parts in (own, leaked)]
    return 1 - dot / (lengths[0] * lengths[1]).clamp(min=1e-12)


def _variation(image: Tensor) -> Tensor:
    return (image[..., 1:, :] - image[..., :-1, :]).abs().mean() + (image[..., 1:] - image[..., :-1]).abs().mean()
