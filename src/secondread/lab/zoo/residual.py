"""Small residual networks: with attention (CBAM, Woo et al. 2018), at several scales (Szegedy et al. 2015)."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from secondread.models.cam import CamNetwork, MapGeometry


class ResidualTrunk(CamNetwork):
    """conv 6×6 stride 2 → blocks, each but the first after a 2×2 max pool → mean → linear.

    Four blocks make cells of 16 pixels; kernels and pools are of even size where they stride, so the cells tile the
    input.
    """

    def __init__(
        self,
        block: Callable[[int, int], nn.Module],
        widths: Sequence[int],
        *,
        num_classes: int,
        in_chans: int,
        dropout: float,
    ):
        """block: (channels in, channels out) → a module that keeps the size. widths: of the stem, then each block."""
        super().__init__(dropout=dropout)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, widths[0], 6, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2) if depth else nn.Identity(), block(a, b))
            for depth, (a, b) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(widths[-1], num_classes)
        cell = 2.0 ** len(self.blocks)
        self.geometry = MapGeometry(first_centre=cell / 2, stride=cell)

    def features(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → (B, widths[-1], S/16, S/16) with four blocks."""
        x = self.stem(x)  # (B, widths[0], S/2, S/2)
        for block in self.blocks:
            x = block(x)
        return x

    def stages(self) -> list[nn.Module]:
        """Stem, blocks, head."""
        return [self.stem, *self.blocks, self.head]


CBAM_WIDTHS = (32, 32, 64, 128, 192)  # stem, then the blocks
REDUCTION = 16  # of channels inside the channel attention
SPATIAL_KERNEL = 7


class CBAMNet(ResidualTrunk):
    """Attention weighs channels and places inside each block; the map is taken after the last one."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128, dropout: float = 0.2):
        super().__init__(AttentionBlock, CBAM_WIDTHS, num_classes=num_classes, in_chans=in_chans, dropout=dropout)


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


MULTISCALE_WIDTHS = (32, 32, 64, 128, 192)  # stem, then the blocks
DILATIONS = (1, 2, 3)  # fields of 3, 5 and 7 pixels at the cost of 3


class MultiScaleNet(ResidualTrunk):
    """Fine lines and large opacities are seen by branches of their own at each depth."""

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128, dropout: float = 0.2):
        super().__init__(
            MultiScaleBlock, MULTISCALE_WIDTHS, num_classes=num_classes, in_chans=in_chans, dropout=dropout
        )


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
