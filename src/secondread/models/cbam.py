"""A small residual network with channel and spatial attention: CBAM (Woo et al. 2018).

conv 32@6×6 stride 2 → four residual blocks of two 3×3 convolutions and CBAM (32, 64, 128, 192 channels), each but
the first after a 2×2 max pool → mean → linear. 0.89 M parameters.
"""

import torch
from torch import Tensor, nn

from secondread.models._trunk import ResidualTrunk

WIDTHS = (32, 32, 64, 128, 192)  # stem, then the blocks
REDUCTION = 16  # of channels inside the channel attention
SPATIAL_KERNEL = 7


class CBAMNet(ResidualTrunk):
    """Attention weighs channels and places inside each block; the map is taken after the last one."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128, dropout: float = 0.2):
        super().__init__(AttentionBlock, WIDTHS, num_classes=num_classes, in_chans=in_chans, dropout=dropout)


class AttentionBlock(nn.Module):
    """Residual block (He et al. 2016) whose branch is weighed by channel, then by place, before it is added."""

    def __init__(self, in_chans: int, out_chans: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(in_chans, out_chans, 3, padding=1, bias=False), nn.BatchNorm2d(out_chans), nn.ReLU(),
            nn.Conv2d(out_chans, out_chans, 3, padding=1, bias=False), nn.BatchNorm2d(out_chans),
            ChannelAttention(out_chans), SpatialAttention(),
        )  # fmt: skip
        self.skip = nn.Identity() if in_chans == out_chans else nn.Conv2d(in_chans, out_chans, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in, H, W) → (B, out, H, W)."""
        return torch.relu(self.skip(x) + self.branch(x))


class ChannelAttention(nn.Module):
    """sigmoid(MLP(mean over places) + MLP(maximum over places)), one MLP for both. Woo et al. 2018, 3.1."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(4, channels // REDUCTION)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) → the same shape, channels weighed."""
        weights = torch.sigmoid(self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3))))  # (B, C)
        return x * weights[:, :, None, None]


class SpatialAttention(nn.Module):
    """sigmoid(conv 7×7 of mean and maximum over channels). Woo et al. 2018, 3.1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) → the same shape, places weighed."""
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)  # (B, 2, H, W)
        return x * torch.sigmoid(self.conv(summary))
