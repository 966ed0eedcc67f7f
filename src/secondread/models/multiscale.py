"""A residual network that looks at three scales in every block, after Szegedy et al. 2015 and Yu & Koltun 2016.

conv 32@6×6 stride 2 → four residual blocks of parallel 3×3 convolutions with dilation 1, 2, 3, joined by a 1×1
(32, 64, 128, 192 channels), each but the first after a 2×2 max pool → mean → linear. 0.61 M parameters.
"""

import torch
from torch import Tensor, nn

from secondread.models._trunk import ResidualTrunk

WIDTHS = (32, 32, 64, 128, 192)  # stem, then the blocks
DILATIONS = (1, 2, 3)  # fields of 3, 5 and 7 pixels at the cost of 3


class MultiScaleNet(ResidualTrunk):
    """Fine lines and large opacities are seen by branches of their own at each depth."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128, dropout: float = 0.2):
        super().__init__(MultiScaleBlock, WIDTHS, num_classes=num_classes, in_chans=in_chans, dropout=dropout)


class MultiScaleBlock(nn.Module):
    """One branch a dilation, half as wide as the output; a 1×1 convolution joins them; residual (He et al. 2016)."""

    def __init__(self, in_chans: int, out_chans: int):
        super().__init__()
        width = out_chans // 2
        self.branches = nn.ModuleList(
            nn.Conv2d(in_chans, width, 3, padding=dilation, dilation=dilation, bias=False) for dilation in DILATIONS
        )
        joined = width * len(DILATIONS)
        self.join = nn.Sequential(
            nn.BatchNorm2d(joined), nn.ReLU(), nn.Conv2d(joined, out_chans, 1, bias=False), nn.BatchNorm2d(out_chans)
        )
        self.skip = nn.Identity() if in_chans == out_chans else nn.Conv2d(in_chans, out_chans, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W) → (B, out, H, W)."""
        scales = torch.cat([branch(x) for branch in self.branches], dim=1)  # (B, 3·out/2, H, W)
        return torch.relu(self.skip(x) + self.join(scales))
