"""Trains the gate: which pictures each task may read, learnt from every task's images and from outliers.

It is trained on the tasks' `train` splits, and their `val` splits set the thresholds. Collections that no classifier
may be fitted to (`localisation`, `external-negatives`) are divided by group: 60 % train the gate, 20 % set thresholds,
and 20 % are measured. `external` is measured only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional as F

from secondread.data import Manifest, prepared_cache
from secondread.data.split import part_of
from secondread.errors import TrainingError
from secondread.images import Image, PrepareSpec, prepare
from secondread.models.gatenet import GatedDistances, GateNet
from secondread.training.export import TOLERANCE, run_onnx, to_onnx
from secondread.training.gate_pictures import draw_outliers, invert, vary

SPEC = PrepareSpec(size=64, channels=3, aspect="pad")
OTHER, INVERTED = "other", "inverted"
_BATCH, _LEARNING_RATE = 128, 0.01
_OUTLIERS_DRAWN, _INVERTED_DRAWN = 0.3, 0.12  # shares of the training pictures: of all; of the tasks' own pictures
_KEPT = 0.995  # share of every source's threshold pictures that each threshold lets pass
_LEAST, _MOST = 0.1, 0.5  # bounds of the probability asked for
_TIMES_VARIED = 4  # each threshold picture, beside itself: another hospital's lie further off


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of one part, with what they are."""

    images: np.ndarray  # uint8 (n, 64, 64, 3)
    kinds: np.ndarray  # int (n,), index into the kinds
    sources: tuple[str, ...]  # task/source, or other/kind


def train_gate(
    manifests: Mapping[str, Manifest],
    *,
    epochs: int = 30,
    n_outliers: int = 6000,
    random_state: int = 0,
    command: str = "",
    on_epoch: Callable[[int, int, float, float], None] | None = None,
) -> tuple[bytes, dict[str, Any]]:
    """A gate for these tasks: its ONNX file, and its record (kinds, thresholds, how it was made).

    manifests: task name → manifest. n_outliers: pictures of other kinds to train on; a fifth as many set thresholds.
    on_epoch(epoch, epochs, loss, accuracy on the threshold part).
    Raises TrainingError if the exported gate differs from torch.
    """
    kinds = [*sorted(manifests), OTHER, INVERTED]
    train = gather(manifests, "train", kinds, n_outliers=n_outliers, random_state=random_state)
    val = gather(manifests, "val", kinds, n_outliers=n_outliers // 5, random_state=random_state + 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        net = GateNet(num_classes=len(kinds))
    _fit(net, train, val, kinds, epochs=epochs, random_state=random_state, on_epoch=on_epoch)
    served = _with_distances(net.eval(), train, kinds).eval()
    data = to_onnx(served, size=SPEC.size, channels=SPEC.channels, outputs=["logits", "distances"])
    _check_parity(served, data, val.images)
    record = {
        "kinds": kinds,
        "prepare": SPEC.to_dict(),
        "thresholds": _thresholds(data, val, kinds, random_state=random_state),
        "created": date.today().isoformat(),
        "training": {"command": command, "epochs": epochs, "random_state": random_state, "n": len(train.images)},
        "data": {name: manifest.fingerprint() for name, manifest in sorted(manifests.items())},
    }
    return data, record


def gather(
    manifests: Mapping[str, Manifest], part: str, kinds: Sequence[str], *, n_outliers: int, random_state: int
) -> Pictures:
    """The pictures of a part: 'train', or 'val', which sets the thresholds; with outliers of the training kinds."""
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


def _fit(
    net: GateNet,
    train: Pictures,
    val: Pictures,
    kinds: Sequence[str],
    *,
    epochs: int,
    random_state: int,
    on_epoch: Callable[[int, int, float, float], None] | None,
) -> None:
    """AdamW, one cycle; the tasks are drawn equally, and their sources by the square root of their size."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    share = _shares(train, kinds)
    steps = len(share) // _BATCH
    optimizer = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps * epochs)
    rng = np.random.default_rng(random_state)
    for epoch in range(1, epochs + 1):
        net.train()
        total = 0.0
        for batch in rng.choice(len(share), (steps, _BATCH), p=share):
            images, targets = _varied(train.images[batch], train.kinds[batch], kinds, rng)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(_as_input(images))[0], torch.from_numpy(targets))
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        if on_epoch is not None:
            net.eval()
            with torch.inference_mode():
                right = net(_as_input(val.images))[0].argmax(dim=1).numpy() == val.kinds
            on_epoch(epoch, epochs, total / steps, float(right.mean()))


def _shares(train: Pictures, kinds: Sequence[str]) -> np.ndarray:
    """How often each picture is drawn; they sum to 1."""
    names, of = np.unique(train.sources, return_inverse=True)
    shares = 1 / np.sqrt(np.bincount(of, minlength=len(names)))[of]
    n_tasks = len(set(kinds) - {OTHER, INVERTED})
    for number, kind in enumerate(kinds):
        own = train.kinds == number  # none is 'inverted' yet
        if not own.any():
            continue
        shares[own] *= (_OUTLIERS_DRAWN if kind == OTHER else (1 - _OUTLIERS_DRAWN) / n_tasks) / shares[own].sum()
    return np.asarray(shares / shares.sum())


def _varied(
    images: np.ndarray, targets: np.ndarray, kinds: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Every picture varied; some of the tasks' own inverted, and named so."""
    inverted = (rng.random(len(images)) < _INVERTED_DRAWN) & (targets < kinds.index(OTHER))
    pictures = [
        vary(invert(image, whole=rng.random() < 0.4) if flip else image, rng)
        for image, flip in zip(images, inverted, strict=True)
    ]
    return np.stack(pictures), np.where(inverted, kinds.index(INVERTED), targets)


def _as_input(images: np.ndarray) -> Tensor:
    """uint8 (n, side, side, 3) → (n, 3, side, side) in 0–1, as GateNet takes it."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def _with_distances(net: GateNet, train: Pictures, kinds: Sequence[str]) -> GatedDistances:
    """Means of every source of a task, and the whitening by the covariance within sources, at both depths."""
    parts = [net(_as_input(train.images[start : start + 512]))[1:] for start in range(0, len(train.images), 512)]
    sources = np.array(train.sources)
    tasks = [kind for kind in kinds if kind not in (OTHER, INVERTED)]
    whitening, means = [], []
    for depth in range(2):
        features = torch.cat([part[depth] for part in parts]).double()
        inside = [
            features[torch.from_numpy(sources == name)] for name in np.unique(sources) if not name.startswith(OTHER)
        ]
        spread = torch.cat([rows - rows.mean(dim=0) for rows in inside])
        covariance = spread.T @ spread / len(spread)
        covariance += 0.01 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
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


def _thresholds(data: bytes, val: Pictures, kinds: Sequence[str], *, random_state: int) -> dict[str, dict[str, float]]:
    """For each task: the least probability of its kind and the greatest distances that its own pictures need.

    They are looked at as they are and varied. A threshold suits every source of the task, not the largest alone.
    """
    rng = np.random.default_rng(random_state)
    varied = [vary(picture, rng) for _ in range(_TIMES_VARIED) for picture in val.images]
    images, sources = np.concatenate([val.images, np.stack(varied)]), np.tile(val.sources, 1 + _TIMES_VARIED)
    logits, distances = run_onnx(data, images, outputs=["logits", "distances"])
    probabilities = softmax(logits, axis=1)
    found = {}
    for index, task in enumerate(kind for kind in kinds if kind not in (OTHER, INVERTED)):
        own = [sources == name for name in np.unique(sources) if name.startswith(f"{task}/")]
        needed = min(float(np.quantile(probabilities[rows, index], 1 - _KEPT)) for rows in own)
        found[task] = {"probability": round(min(max(needed, _LEAST), _MOST), 6)} | {
            name: round(max(float(np.quantile(distances[rows, depth, index], _KEPT)) for rows in own), 6)
            for depth, name in enumerate(("distance_low", "distance_high"))
        }
    return found


def _check_parity(served: GatedDistances, data: bytes, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = [output.numpy() for output in served(torch.from_numpy(images[:64]))]
    found = run_onnx(data, images[:64], outputs=["logits", "distances"])
    worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    if not worst <= 10 * TOLERANCE:
        raise TrainingError(f"the exported gate differs from torch by {worst:.2g}; it was not written")
