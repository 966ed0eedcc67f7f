"""The seed paper's network, in the plain form of its layers and in a fast form that computes the same.

    conv 6@5×5 → tanh → average pool 2×2, stride 5 → conv 16@5×5 → tanh → the same pool → 256 → 120 → 84 → 1

The pool reads 4 of every 25 activations; the plain form computes the other 21 and throws them away. A 2×2 mean
at stride 5 of tanh(conv 5×5) is the mean of four tanh(conv at stride 5) whose kernels are shifted by one pixel.
The four shifted kernels fit in 6×6 windows, so one 6×6 convolution of stride 5 with four zero-padded copies of
the kernel, tanh, and a mean over the copies is the same function with the same parameters.

Two more things make a training step faster on a processor: tanh(x) is 2 sigmoid(2x) - 1, whose vector form takes a
tenth of the time, and where a gradient must reach the input the windows are laid side by side for one matrix product.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.errors import UsageError
from secondread.models.cam import MapGeometry

_KERNEL = 5
_POOL = 2
_STRIDE = 5


class LeNet(nn.Module):
    """43,661 parameters with one channel, 43,961 with three, at 128 pixels.

    form: 'fast' (default) or 'plain'; weights pass from one to the other unchanged.
    A network of three channels takes grey images of one channel too, and answers as for three equal ones.
    Raises UsageError for an input too small for the two pools.
    """

    map_method = "gradient × activation at the last pool"

    def __init__(
        self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128, form: Literal["fast", "plain"] = "fast"
    ):
        super().__init__()
        self.form = form
        self.conv1 = nn.Conv2d(in_chans, 6, _KERNEL)
        self.conv2 = nn.Conv2d(6, 16, _KERNEL)
        cells = _pooled(_pooled(input_size))
        if cells < 1:
            raise UsageError(f"lenet needs an input of at least 31 pixels, not {input_size}")
        self.fc1 = nn.Linear(16 * cells * cells, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        # A cell of the last pool sees pixels 25i to 25i + 30, so its centre is 15.5 from the input's edge.
        self.geometry = MapGeometry(first_centre=15.5, stride=25.0)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes)."""
        hidden = F.relu(self.fc1(self.features(x).flatten(1)))  # (B, 120)
        return self.fc3(F.relu(self.fc2(hidden)))

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and gradient × activation at the last pool, summed over channels (B, cells, cells).

        The head is two ReLU layers, so its gradient is known in closed form: with masks m where a ReLU is open,
        d logit / d features = ((w3 · m2) W2 · m1) W1. No backward pass is needed, and the graph can be exported.
        """
        features = self.features(x)  # (B, 16, cells, cells)
        before1 = self.fc1(features.flatten(1))  # (B, 120)
        before2 = self.fc2(F.relu(before1))  # (B, 84)
        logit = self.fc3(F.relu(before2))[:, 0]
        to_hidden2 = self.fc3.weight[0] * (before2 > 0).to(x.dtype)
        to_hidden1 = (to_hidden2 @ self.fc2.weight) * (before1 > 0).to(x.dtype)
        gradient = (to_hidden1 @ self.fc1.weight).reshape(features.shape)
        return logit, (gradient * features).sum(dim=1)

    def stages(self) -> list[nn.Module]:
        """The two convolutions and the three linear layers."""
        return [self.conv1, self.conv2, self.fc1, self.fc2, self.fc3]

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) → the last pool's output (B, 16, cells, cells)."""
        stage = _fast_stage if self.form == "fast" else _plain_stage
        return stage(stage(x, self.conv1), self.conv2)


def _plain_stage(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return F.avg_pool2d(torch.tanh(F.conv2d(x, _kernels(x, conv), conv.bias)), _POOL, stride=_STRIDE)


def _fast_stage(x: Tensor, conv: nn.Conv2d) -> Tensor:
    kernels, biases = _shifted(_kernels(x, conv)), conv.bias.repeat(4)  # type: ignore[union-attr]  # our convolutions have one
    before = (
        _as_product(x, 2 * kernels, 2 * biases)
        if x.requires_grad
        else F.conv2d(x, 2 * kernels, 2 * biases, stride=_STRIDE)
    )
    batch, _, rows, columns = before.shape  # (B, 4·out, rows, columns)
    return 2 * torch.sigmoid(before).view(batch, 4, conv.out_channels, rows, columns).mean(dim=1) - 1


def _as_product(x: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """What conv2d gives as fast; its gradient for x in a fifth of the time, as these windows hardly overlap."""
    rows, columns = ((side - kernels.shape[2]) // _STRIDE + 1 for side in x.shape[2:])
    windows = F.unfold(x, kernels.shape[2], stride=_STRIDE)  # (B, in·6·6, rows·columns)
    product = torch.baddbmm(biases[:, None], kernels.flatten(1).expand(len(x), -1, -1), windows)
    return product.view(len(x), -1, rows, columns)


def _kernels(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The convolution's kernels; for one grey channel their sum, which is what three equal channels would give."""
    return conv.weight.sum(dim=1, keepdim=True) if x.shape[1] == 1 != conv.in_channels else conv.weight


def _shifted(weight: Tensor) -> Tensor:
    """(out, in, 5, 5) → (4·out, in, 6, 6): the kernel at each place of the 2×2 pool, zeros elsewhere."""
    places = [(left, 1 - left, top, 1 - top) for top in (0, 1) for left in (0, 1)]
    return torch.cat([F.pad(weight, place) for place in places])


def _pooled(size: int) -> int:
    """Cells along one side after a stage."""
    return (size - _KERNEL + 1 - _POOL) // _STRIDE + 1
