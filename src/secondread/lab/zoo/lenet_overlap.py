"""The paper's network with overlapping pools (Krizhevsky et al. 2012) at the paper's number of parameters.

    conv 6@5×5 → tanh → average pool 3×3, stride 2 → conv 16@5×5 → tanh → the same pool → mean to 4×4 → 120 → 84 → 1

43,661 parameters with one channel, 43,961 with three, at 128 pixels: as many as `lenet` at any size of input.
No activation is thrown away; the last mean brings the cells down to as many as `lenet` has.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.models.cam import MapGeometry
from secondread.models.lenet import LeNet

_POOL, _POOL_STRIDE = 3, 2
_CONV = 4  # pixels that a 5×5 convolution takes off each side's length


class LeNetOverlap(LeNet):
    """LeNet's layers and its map in closed form; the pools alone differ. Raises UsageError below 31 pixels."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128):
        super().__init__(num_classes=num_classes, in_chans=in_chans, input_size=input_size, form="plain")
        cells = round((self.fc1.in_features / self.conv2.out_channels) ** 0.5)
        places = _pooled(_pooled(input_size))
        self.step = places // cells
        self.window = places - (cells - 1) * self.step  # the remainder makes the means overlap, too
        # A place of the second pool sees pixels 4k to 4k + 18; a cell is the mean of `window` places.
        self.geometry = MapGeometry(first_centre=9.5 + 2.0 * (self.window - 1), stride=4.0 * self.step)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) → means of the last pool's output (B, 16, cells, cells)."""
        for conv in (self.conv1, self.conv2):
            x = F.avg_pool2d(torch.tanh(conv(x)), _POOL, stride=_POOL_STRIDE)
        return F.avg_pool2d(x, self.window, stride=self.step)


def _pooled(size: int) -> int:
    """Places along one side after a convolution and its pool."""
    return (size - _CONV - _POOL) // _POOL_STRIDE + 1
