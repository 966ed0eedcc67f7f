"""U-Net segmentation followed by a classifier: Ronneberger et al. 2015, as MONAI's BasicUNet builds it.

five levels of two 3×3 convolutions (16, 32, 64, 128, 256 channels), max pools down, transposed convolutions up →
lesion logits at full size; deepest features → mean → linear, plus the pooled lesion logits → logits. 1.95 M parameters.
"""

import math

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.nn import functional as F

from secondread.errors import UsageError
from secondread.models.cam import MapGeometry

WIDTHS = (16, 32, 64, 128, 256, 16)  # down to the deepest level, then the last level up
MULTIPLE = 16  # of pixels: four halvings
LARGEST_MAP = 32  # cells along one side


class UNetClassifier(nn.Module):
    """Answers from the whole image and from the lesions it outlines; `lesions` lets training show it where they are.

    Not trained on outlines, the lesion logits are only where the classifier found it useful to raise them.
    Raises UsageError unless the input's size is a multiple of 16.
    """

    def __init__(self, *, num_classes: int = 1, in_chans: int = 1, input_size: int = 128):
        super().__init__()
        if input_size < MULTIPLE or input_size % MULTIPLE:
            raise UsageError(f"unet needs an input size that is a multiple of {MULTIPLE}, not {input_size}")
        self.unet = BasicUNet(
            spatial_dims=2, in_channels=in_chans, out_channels=num_classes, features=WIDTHS, act="relu", norm="batch",
            bias=False,
        )  # fmt: skip
        self.head = nn.Linear(WIDTHS[4], num_classes)
        self.pixels = _pixels_of_a_cell(input_size)
        self.geometry = MapGeometry(first_centre=self.pixels / 2, stride=float(self.pixels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, in_chans, S, S) in 0–1 → logits (B, num_classes)."""
        return self._answer(x)[0]

    def forward_map(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logit (B,) and lesion logits averaged to cells (B, rows, columns), 32×32 at most."""
        logits, cells, _ = self._answer(x)
        return logits[:, 0], cells[:, 0]

    def lesions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, num_classes) and the first class's lesion logits (B, S, S), to be trained with outlines."""
        logits, _, lesions = self._answer(x)
        return logits, lesions[:, 0]

    def stages(self) -> list[nn.Module]:
        """Five levels down, four up, the lesions' convolution, the classifier."""
        net = self.unet
        down = [net.conv_0, net.down_1, net.down_2, net.down_3, net.down_4]
        return [*down, net.upcat_4, net.upcat_3, net.upcat_2, net.upcat_1, net.final_conv, self.head]

    def _answer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, classes), lesion logits in cells (B, classes, rows, columns) and in pixels (B, classes, S, S)."""
        deepest, lesions = self._segment(x)
        cells = F.avg_pool2d(lesions, self.pixels)
        return self.head(deepest.mean(dim=(2, 3))) + _soft_maximum(cells), cells, lesions

    def _segment(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As BasicUNet's own forward, which keeps its deepest features (B, 256, S/16, S/16) to itself."""
        net = self.unet
        x0 = net.conv_0(x)
        x1 = net.down_1(x0)
        x2 = net.down_2(x1)
        x3 = net.down_3(x2)
        deepest = net.down_4(x3)
        x = net.upcat_1(net.upcat_2(net.upcat_3(net.upcat_4(deepest, x3), x2), x1), x0)
        return deepest, net.final_conv(x)


def _soft_maximum(cells: Tensor) -> Tensor:
    """(B, classes, rows, columns) → (B, classes): log of the mean exponential (Pinheiro & Collobert 2015).

    It grows with every cell, so a higher lesion logit always speaks for the class.
    """
    flat = cells.flatten(2)
    return torch.logsumexp(flat, dim=2) - math.log(flat.shape[2])


def _pixels_of_a_cell(size: int) -> int:
    """The smallest divisor of the size that leaves no more cells than the largest map has."""
    return next(pixels for pixels in range(1, size + 1) if size % pixels == 0 and size // pixels <= LARGEST_MAP)
