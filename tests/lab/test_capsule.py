"""The capsule network: routing as the paper writes it, lengths that stay below one, a map that adds up."""

import pytest
import torch

from secondread.lab.zoo.capsule import Routing, squash
from secondread.models import create_model


def routed_as_written(weight, capsules, rounds=3):
    """Procedure 1 of Sabour et al. 2017, capsule by capsule: (n, 8) → class capsules (classes, 16)."""
    n, classes = weight.shape[:2]
    predictions = [[weight[i, j] @ capsules[i] for j in range(classes)] for i in range(n)]
    b = torch.zeros(n, classes, dtype=weight.dtype)
    for _ in range(rounds):
        c = b.softmax(dim=1)
        s = [sum(c[i, j] * predictions[i][j] for i in range(n)) for j in range(classes)]
        v = [s_j * (s_j @ s_j) / (1 + s_j @ s_j) / s_j.norm() for s_j in s]
        b = b + torch.tensor([[predictions[i][j] @ v[j] for j in range(classes)] for i in range(n)])
    return torch.stack(v)


@torch.no_grad()
def test_shares_add_up_to_the_lengths_of_the_papers_capsules():
    torch.manual_seed(0)
    routing = Routing(12, 3).double()
    routing.weight *= 10
    capsules = squash(torch.randn(1, 12, 8, dtype=torch.float64))
    expected = routed_as_written(routing.weight, capsules[0]).norm(dim=1)
    torch.testing.assert_close(routing(capsules).sum(dim=2)[0], expected, rtol=1e-5, atol=1e-7)


def test_squash_keeps_the_direction_and_shortens_below_one():
    vectors = torch.randn(50, 8, dtype=torch.float64) * torch.logspace(-2, 3, 50, dtype=torch.float64)[:, None]
    lengths, shortened = vectors.norm(dim=1), squash(vectors)
    torch.testing.assert_close(shortened.norm(dim=1), lengths**2 / (1 + lengths**2), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.cosine_similarity(vectors, shortened), torch.ones(50, dtype=torch.float64))


def test_squash_has_a_gradient_at_zero():
    zero = torch.zeros(1, 8, requires_grad=True)
    squash(zero).sum().backward()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("size", [64, 100, 128])
@torch.no_grad()
def test_map_adds_up_to_the_logit(classes, size):
    torch.manual_seed(0)
    model = create_model("capsule", in_chans=1, num_classes=classes, input_size=size).double().eval()
    logit, cam = model.forward_map(torch.rand(2, 1, size, size, dtype=torch.float64))
    assert cam.shape == (2, size // 16, size // 16)
    torch.testing.assert_close(cam.sum(dim=(1, 2)), logit)


@torch.no_grad()
def test_no_logit_exceeds_the_scale():
    torch.manual_seed(0)
    model = create_model("capsule", in_chans=1).eval()
    model.routing.weight *= 1000
    assert (model(torch.rand(4, 1, 128, 128)).abs() <= model.routing.scale).all()
