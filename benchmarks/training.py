"""50 epochs of the paper's recipe: fast form and cache against layers that decode every image in every epoch.

    python -m benchmarks.training [TASK] [PLAIN_WORKERS] [PLAIN_EPOCHS] [SEEDS]

The plain way is what a demo script does: a DataLoader whose data set reads with cv2, augments each image by itself,
and the layers as the paper lists them; same optimiser, batches, schedule, validation and choice of epoch.
PLAIN_EPOCHS: so many of its epochs are run, whose median counts for all of them; then its AUC is not told. SEEDS: how
often ours is run, 3.
"""

import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks._common import data_folder, save
from benchmarks.plain import plain_load, plain_network
from secondread.data import Manifest, load_data, prepared_cache
from secondread.models import create_model
from secondread.tasks import Task, load_task
from secondread.training.fit import fit, predict_logits
from secondread.training.recipe import Recipe, load_recipe, prepare_spec_of

SEEDS = 3


class PlainImages(Dataset):
    """Reads its image again at every call; augments it by itself as the recipe says."""

    def __init__(self, manifest: Manifest, channels: int, recipe: Recipe | None):
        self.rows, self.channels, self.recipe = manifest.rows, channels, recipe

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        row = self.rows[index]
        image = plain_load(str(row.path), self.channels)
        if self.recipe is not None:
            image = plain_augment(image, self.recipe)
        return torch.from_numpy(image), float(row.label)


def plain_augment(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The paper's set on one image: rotation, both flips, contrast, Gaussian filter."""
    picture = image.transpose(1, 2, 0)
    angle = np.random.uniform(-recipe.rotation_degrees, recipe.rotation_degrees)  # noqa: NPY002  as such scripts do
    turn = cv2.getRotationMatrix2D((63.5, 63.5), angle, 1.0)
    picture = cv2.warpAffine(picture, turn, (128, 128))
    if np.random.rand() < 0.5:  # noqa: NPY002
        picture = cv2.flip(picture, 1)
    if np.random.rand() < 0.5:  # noqa: NPY002
        picture = cv2.flip(picture, 0)
    mean = picture.mean()
    picture = np.clip((picture - mean) * np.random.uniform(*recipe.contrast) + mean, 0, 1)  # noqa: NPY002
    if np.random.rand() < recipe.blur_share:  # noqa: NPY002
        picture = cv2.GaussianBlur(picture, (5, 5), recipe.blur_sigma)
    return np.ascontiguousarray(np.atleast_3d(picture).transpose(2, 0, 1), dtype=np.float32)


def train_plain(
    manifest: Manifest, task: Task, recipe: Recipe, *, workers: int, seed: int, n_epochs: int | None = None
) -> tuple[float, float | None]:
    """Seconds for the whole training, and AUC on the test split at the best epoch by validation, if all were run.

    Seconds are the median epoch times their number, since other programs come and go.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    network = plain_network(task.channels)
    train = PlainImages(manifest.split("train"), task.channels, recipe)
    loader = DataLoader(train, batch_size=recipe.batch_size, shuffle=True, num_workers=workers)
    val = DataLoader(PlainImages(manifest.split("val"), task.channels, None), batch_size=256, num_workers=workers)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    best_auc, best_state = -1.0, network.state_dict()
    epochs = []
    for epoch in range(n_epochs or recipe.epochs):
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(network(images)[:, 0], labels.float()).backward()
            optimizer.step()
        auc = plain_auc(network, val)
        if auc > best_auc:
            best_auc, best_state = auc, {name: tensor.clone() for name, tensor in network.state_dict().items()}
        epochs.append(time.perf_counter() - started)
    seconds = recipe.epochs * statistics.median(epochs)
    if n_epochs is not None:
        return seconds, None
    network.load_state_dict(best_state)
    test = DataLoader(PlainImages(manifest.split("test"), task.channels, None), batch_size=256)
    return seconds, plain_auc(network, test)


@torch.no_grad()
def plain_auc(network: nn.Module, loader: DataLoader) -> float:
    """ROC AUC over a loader."""
    network.eval()
    pairs = [(network(images)[:, 0], labels) for images, labels in loader]
    return float(roc_auc_score(torch.cat([y for _, y in pairs]), torch.cat([x for x, _ in pairs])))


def train_ours(manifest: Manifest, task: Task, recipe: Recipe, *, seed: int, folder: Path) -> tuple[float, float]:
    """The same from an empty cache: preparing the images is counted."""
    spec = prepare_spec_of(task)
    torch.manual_seed(seed)
    model = create_model("lenet", in_chans=task.channels)
    started = time.perf_counter()
    train, val = (
        prepared_cache(manifest.split(name), spec, folder=folder, on_bad="raise") for name in ("train", "val")
    )
    prepared = time.perf_counter() - started
    result = fit(model, train, val, recipe, random_state=seed, run_folder=folder / "run")
    seconds = prepared + recipe.epochs * statistics.median(line.seconds for line in result.history)
    test = prepared_cache(manifest.split("test"), spec, folder=folder, on_bad="raise")
    return seconds, float(roc_auc_score(test.labels, predict_logits(result.model, np.array(test.images))))


def main() -> None:
    """Ours with every seed, the plain way once, in one run."""
    task = load_task(sys.argv[1] if len(sys.argv) > 1 else "fracture")
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    data = data_folder() / task.name / "manifest.csv"
    manifest, recipe = load_data(data, task=task), load_recipe("paper", task)
    ours = []
    for seed in range(int(sys.argv[4]) if len(sys.argv) > 4 else SEEDS):
        with tempfile.TemporaryDirectory() as name:
            ours.append(train_ours(manifest, task, recipe, seed=seed, folder=Path(name)))
    n_epochs = int(sys.argv[3]) if len(sys.argv) > 3 else None
    plain_seconds, plain_test_auc = train_plain(manifest, task, recipe, workers=workers, seed=0, n_epochs=n_epochs)
    seconds = statistics.median(value for value, _ in ours)
    aucs = [auc for _, auc in ours]
    table: dict[str, Any] = {
        "what": f"{recipe.epochs} epochs on {task.name} ({len(manifest.split('train').rows)} training images)",
        "plain_workers": workers,
        "seconds": {"secondread": round(seconds, 1), "plain": round(plain_seconds, 1)},
        "ratio": round(plain_seconds / seconds, 2),
        "asked": "at least 10",
        "test_auc": {"secondread, by seed": [round(auc, 4) for auc in aucs]},
    }
    if plain_test_auc is not None:
        table["test_auc"]["plain, seed 0"] = round(plain_test_auc, 4)
        table["plain_within_spread_of_seeds"] = min(aucs) <= plain_test_auc <= max(aucs)
    save("training", table | {"command": " ".join(["python -m benchmarks.training", *sys.argv[1:]])})


if __name__ == "__main__":
    main()
