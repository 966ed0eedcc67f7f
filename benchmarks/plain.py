"""The plain way that the benchmarks measure against: torch and cv2 as a demo script uses them.

    python benchmarks/plain.py WEIGHTS CHANNELS IMAGE...     prints one probability a line

Self-contained on purpose: it imports nothing of secondread.
"""

import sys

import cv2
import numpy as np
import torch
from torch import nn


def plain_network(channels: int) -> nn.Sequential:
    """The paper's network, layer by layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5), nn.Tanh(), nn.AvgPool2d(2, stride=5),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2, stride=5),
        nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 1),
    )  # fmt: skip


def plain_load(path: str, channels: int) -> np.ndarray:
    """float32 (channels, 128, 128) in 0–1."""
    picture = cv2.imread(path, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    picture = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)
    if channels == 1:
        return picture[None].astype(np.float32) / 255
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).transpose(2, 0, 1).astype(np.float32) / 255


def plain_read(network: nn.Sequential, path: str, channels: int, *, map_side: int | None = None) -> float:
    """Probability of the positive class; with `map_side`, a gradient × activation map of that side besides."""
    x = torch.from_numpy(plain_load(path, channels))[None]
    if map_side is None:
        with torch.no_grad():
            return float(torch.sigmoid(network(x))[0, 0])
    features = network[:6](x).detach().requires_grad_()
    logit = network[6:](features)[0, 0]
    logit.backward()
    coarse = (features.grad * features).sum(dim=1)[0].detach().clamp(min=0).numpy()
    cv2.resize(coarse / max(float(coarse.max()), 1e-9), (map_side, map_side))
    return float(torch.sigmoid(logit.detach()))


def main() -> None:
    weights, channels, *paths = sys.argv[1:]
    network = plain_network(int(channels))
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.eval()
    for path in paths:
        print(f"{path} {plain_read(network, path, int(channels)):.6f}")


if __name__ == "__main__":
    main()
