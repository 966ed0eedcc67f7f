"""The scaling that torchvision's ImageNet weights were made with."""

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)  # of red, green and blue in 0–1
STD = (0.229, 0.224, 0.225)


class ImageNetScale(nn.Module):
    """(x - mean) / std for each channel; a grey channel becomes three equal ones."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 1 or 3, H, W) in 0–1 → (B, 3, H, W)."""
        return (x - self.mean) / self.std
