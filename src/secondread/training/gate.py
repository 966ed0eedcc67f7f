"""Trains the gate: which pictures each task may read, learnt from every task's images and from outliers.

The tasks' `train` splits teach and their `val` splits set the thresholds. Collections that no classifier may be fitted
to (`localisation`, `external-negatives`) are divided by group: 60 % teach the gate how such pictures look, 20 % set
thresholds, 20 % are measured. `external` is measured only.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from secondread.data import Manifest, prepared_cache
from secondread.errors import TrainingError
from secondread.images import Image, PrepareSpec, prepare
from secondread.models.gatenet import FEATURES, GatedDistances, GateNet
from secondread.training.export import TOLERANCE, run_onnx, to_onnx
from secondread.training.outliers import draw_outliers

SPEC = PrepareSpec(size=64, channels=3, aspect="pad")
OTHER, INVERTED = "other", "inverted"
_SHARED = ("localisation", "external-negatives")  # divided by group between teaching, thresholds and measuring
_KEPT = 0.997  # share of the validation pictures of a task that each threshold lets pass
_SLACK = 1.15  # distances of another day's pictures are a little larger


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of one part, with what they are."""

    images: np.ndarray  # uint8 (n, 64, 64, 3)
    kinds: np.ndarray  # int (n,), index into the kinds
    sources: tuple[str, ...]  # task/source, or other/kind


def train_gate(
    manifests: Mapping[str, Manifest],
    *,
    epochs: int = 14,
    n_outliers: int = 6000,
    random_state: int = 0,
    command: str = "",
    on_epoch: Callable[[int, int, float, float], None] | None = None,
) -> tuple[bytes, dict[str, Any]]:
    """A gate for these tasks: its ONNX file, and its record (kinds, thresholds, how it was made).

    manifests: task name → manifest. n_outliers: pictures of other kinds that teach; a fifth as many set thresholds.
    on_epoch(epoch, epochs, loss, accuracy on the threshold part).
    Raises TrainingError if the exported gate differs from torch.
    """
    kinds = [*sorted(manifests), OTHER, INVERTED]
    teach = gather(manifests, "teach", kinds, n_outliers=n_outliers, random_state=random_state)
    check = gather(manifests, "check", kinds, n_outliers=n_outliers // 5, random_state=random_state + 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        net = GateNet(num_classes=len(kinds))
    _fit(net, teach, check, kinds, epochs=epochs, random_state=random_state, on_epoch=on_epoch)
    served = _with_distances(net.eval(), teach, kinds).eval()
    data = to_onnx(served, size=SPEC.size, channels=SPEC.channels, outputs=["logits", "distances"])
    _check_parity(served, data, check.images)
    record = {
        "kinds": kinds,
        "prepare": SPEC.to_dict(),
        "thresholds": _thresholds(data, check, kinds),
        "created": date.today().isoformat(),
        "training": {"command": command, "epochs": epochs, "random_state": random_state, "n": len(teach.images)},
        "data": {name: manifest.fingerprint() for name, manifest in sorted(manifests.items())},
    }
    return data, record


def gather(
    manifests: Mapping[str, Manifest], part: str, kinds: Sequence[str], *, n_outliers: int, random_state: int
) -> Pictures:
    """The pictures that 'teach' or 'check' (set thresholds), with outliers of the taught kinds."""
    images, labels, sources = [], [], []
    for task, manifest in sorted(manifests.items()):
        rows = [
            row for row, group in zip(manifest.rows, manifest.groups, strict=True) if part_of(row.split, group) == part
        ]
        prepared = prepared_cache(Manifest(tuple(rows), manifest.folder), SPEC, on_bad="raise")
        images.append(np.array(prepared.images))
        labels += [kinds.index(task)] * len(rows)
        sources += [f"{task}/{row.source}" for row in rows]
    outliers = draw_outliers(n_outliers, held_out=False, random_state=random_state)
    images.append(np.stack([prepare(Image.from_array(picture), SPEC).pixels for _, picture in outliers]))
    labels += [kinds.index(OTHER)] * n_outliers
    sources += [f"{OTHER}/{kind}" for kind, _ in outliers]
    return Pictures(np.concatenate(images), np.array(labels), tuple(sources))


def part_of(split: str, group: str) -> str:
    """Which part of the gate's data a row belongs to: 'teach', 'check' or 'measure'."""
    if split in _SHARED:
        share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
        return "teach" if share < 0.6 else "check" if share < 0.8 else "measure"
    return {"train": "teach", "val": "check"}.get(split, "measure")


def _fit(
    net: GateNet,
    teach: Pictures,
    check: Pictures,
    kinds: Sequence[str],
    *,
    epochs: int,
    random_state: int,
    on_epoch: Callable[[int, int, float, float], None] | None,
) -> None:
    """AdamW, one cycle; every source is drawn as often as the square root of its size."""
    x = torch.from_numpy(teach.images).permute(0, 3, 1, 2)
    y = torch.from_numpy(teach.kinds)
    x_check, y_check = torch.from_numpy(check.images).permute(0, 3, 1, 2), torch.from_numpy(check.kinds)
    names, of = np.unique(teach.sources, return_inverse=True)
    weights = torch.from_numpy(1 / np.sqrt(np.bincount(of, minlength=len(names)))[of])
    steps = len(x) // 128
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.004, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.004, total_steps=steps * epochs)
    for epoch in range(1, epochs + 1):
        generator = torch.Generator().manual_seed(random_state * 100_003 + epoch)
        order = torch.multinomial(weights, steps * 128, replacement=True, generator=generator)
        net.train()
        total = 0.0
        for batch in order.split(128):
            images, targets = _vary(x[batch].float() / 255, y[batch], kinds, generator)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(images)[0], targets, label_smoothing=0.02)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        if on_epoch is not None:
            net.eval()
            with torch.inference_mode():
                right = (net(x_check.float() / 255)[0].argmax(dim=1) == y_check).float().mean()
            on_epoch(epoch, epochs, total / steps, float(right))


def _vary(x: Tensor, y: Tensor, kinds: Sequence[str], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turned, scaled, moved, mirrored, brighter or darker, noisier; one medical picture in eight inverted."""
    n = len(x)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    angle, scale = between(-0.2, 0.2), between(0.85, 1.15)
    mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [mirror * cos, -mirror * sin, between(-0.1, 0.1), sin, cos, between(-0.1, 0.1)]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    x = x.clamp(min=1e-4) ** between(0.6, 1.6, 1, 1, 1) * between(0.6, 1.25, 1, 1, 1)
    x = x + torch.randn(x.shape, generator=generator) * between(0.0, 0.03, 1, 1, 1)
    inverted = (torch.rand(n, generator=generator) < 0.125) & (y < kinds.index(OTHER))
    x = torch.where(inverted[:, None, None, None], 1 - x, x)
    return x.clamp(0, 1), torch.where(inverted, torch.full_like(y, kinds.index(INVERTED)), y)


@torch.inference_mode()
def _with_distances(net: GateNet, teach: Pictures, kinds: Sequence[str]) -> GatedDistances:
    """Means of every source of a task, and the whitening by the covariance within sources, at both depths."""
    x = torch.from_numpy(teach.images).permute(0, 3, 1, 2)
    parts = [net(batch.float() / 255)[1:] for batch in x.split(512)]
    sources = np.array(teach.sources)
    tasks = [kind for kind in kinds if kind not in (OTHER, INVERTED)]
    whitening, means = [], []
    for depth in range(2):
        features = torch.cat([part[depth] for part in parts]).double()
        inside = [
            features[torch.from_numpy(sources == name)] for name in np.unique(sources) if not name.startswith(OTHER)
        ]
        spread = torch.cat([rows - rows.mean(dim=0) for rows in inside])
        covariance = spread.T @ spread / len(spread)
        covariance += 0.01 * covariance.diagonal().mean() * torch.eye(FEATURES, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(covariance)
        white = vectors / values.sqrt()
        whitening.append(white.float())
        means.append([
            torch.stack([
                (features[torch.from_numpy(sources == name)].mean(dim=0) @ white).float()
                for name in np.unique(sources)
                if name.startswith(f"{task}/")
            ])
            for task in tasks
        ])  # fmt: skip
    return GatedDistances(net, whitening=whitening, means=means)


def _thresholds(data: bytes, check: Pictures, kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each task: the least probability of its kind and the greatest distances that its own pictures need."""
    logits, distances = run_onnx(data, check.images, outputs=["logits", "distances"])
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    found = {}
    for index, task in enumerate(kind for kind in kinds if kind not in (OTHER, INVERTED)):
        own = check.kinds == index
        found[task] = {
            "probability": round(float(min(0.5, np.quantile(probabilities[own, index], 1 - _KEPT))), 6),
            "distance_low": round(float(np.quantile(distances[own, 0, index], _KEPT)) * _SLACK, 6),
            "distance_high": round(float(np.quantile(distances[own, 1, index], _KEPT)) * _SLACK, 6),
        }
    return found


def _check_parity(served: GatedDistances, data: bytes, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = [output.numpy() for output in served(torch.from_numpy(images[:64]))]
    found = run_onnx(data, images[:64], outputs=["logits", "distances"])
    worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    if not worst <= 10 * TOLERANCE:
        raise TrainingError(f"the exported gate differs from torch by {worst:.2g}; it was not written")
