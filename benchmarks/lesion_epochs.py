"""One epoch of `lesion-lite0`, images a second: ours, MONAI's loop with its EfficientNet, and a plain PyTorch loop.

    python -m benchmarks.lesion_epochs [IMAGES]

The same prepared films of 224 pixels, batches of 32, AdamW, both cores. The plain loop is the same network in float32,
augmented image by image in a Dataset. MONAI's is its EfficientNet-B0 with its own cached data set and transforms of the
same kinds: another network of the same family (0.39 GFLOP an image against our backbone's 0.41 and its head), whose
speed says what its users have today. Ours trains whole, no stage frozen, though its shipped recipes freeze three.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks._common import data_folder, save
from secondread.data import Manifest, PreparedSet, load_data, prepared_cache
from secondread.models import create_model
from secondread.tasks import load_task
from secondread.training.fit import fit
from secondread.training.prepare import LesionMaps, lesion_maps
from secondread.training.recipe import Recipe, load_recipe, prepare_spec_of

TASK, EPOCHS, BATCH = "fracture", 3, 32


class PlainFilms(Dataset[tuple[Tensor, Tensor, float]]):
    """An image, its lesion map and its label, augmented by itself as the recipe says."""

    def __init__(self, prepared: PreparedSet, maps: LesionMaps, recipe: Recipe):
        self.images, self.labels = np.array(prepared.images), prepared.labels
        self.maps, self.recipe = maps, recipe
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, float]:
        image, cover = self.images[index], self.maps.pixels(np.array([index]))[0]
        size = image.shape[0]
        angle = self.rng.uniform(-self.recipe.rotation_degrees, self.recipe.rotation_degrees)
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, self.rng.uniform(*(self.recipe.zoom or (1, 1))))
        turn[:, 2] += self.rng.uniform(-1, 1, 2) * self.recipe.shift * size
        image, cover = (cv2.warpAffine(part, turn, (size, size)) for part in (image, cover))
        if self.rng.random() < 0.5:
            image, cover = cv2.flip(image, 1), cv2.flip(cover, 1)
        pixels = (image.astype(np.float32) / 255) ** self.rng.uniform(*(self.recipe.gamma or (1, 1)))
        mean = pixels.mean()
        pixels = np.clip((pixels - mean) * self.rng.uniform(*self.recipe.contrast) + mean, 0, 1)
        pixels = pixels + self.rng.normal(0, self.recipe.noise / 255, pixels.shape)
        return torch.from_numpy(pixels.astype(np.float32))[None], torch.from_numpy(cover), float(self.labels[index])


def plain_loop(prepared: PreparedSet, maps: LesionMaps, recipe: Recipe) -> list[float]:
    """Seconds of every epoch."""
    torch.manual_seed(0)
    model = create_model("lesion-lite0", in_chans=1, input_size=prepared.images.shape[1])
    loader = DataLoader(PlainFilms(prepared, maps, recipe), batch_size=BATCH, shuffle=True)

    def loss_of(images: Tensor, covers: Tensor, labels: Tensor) -> Tensor:
        logits, cells = model.lesions(images)
        wanted = F.adaptive_max_pool2d(covers.float()[:, None] / 255, cells.shape[1:])[:, 0]
        found = torch.sigmoid(cells)
        dice = 1 - 2 * (found * wanted).sum() / (found.sum() + wanted.sum()).clamp(min=1)
        each = F.binary_cross_entropy_with_logits
        return each(logits[:, 0], labels.float()) + each(cells, wanted) + dice

    return _epochs(model, loader, lambda batch: loss_of(*batch))


def monai_loop(prepared: PreparedSet, recipe: Recipe) -> list[float]:
    """Seconds of every epoch."""
    from monai.data import CacheDataset
    from monai.networks.nets import EfficientNetBN
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandFlipd,
        RandGaussianNoised,
        ScaleIntensityRanged,
        ToTensord,
    )

    key = ["image"]
    limits = recipe.zoom or (1, 1)
    steps = Compose([
        ScaleIntensityRanged(key, 0, 255, 0, 1),
        RandAffined(
            key, prob=1.0, rotate_range=np.radians(recipe.rotation_degrees), padding_mode="zeros",
            scale_range=[(limits[0] - 1, limits[1] - 1)] * 2, translate_range=recipe.shift * prepared.images.shape[1],
        ),
        RandFlipd(key, prob=0.5, spatial_axis=1),
        RandAdjustContrastd(key, prob=1.0, gamma=recipe.gamma or (0.7, 1.4)),
        RandGaussianNoised(key, prob=1.0, std=recipe.noise / 255),
        ToTensord(key),
    ])  # fmt: skip
    rows = [
        {"image": image[..., 0][None].astype(np.float32), "label": float(label)}
        for image, label in zip(np.array(prepared.images), prepared.labels, strict=True)
    ]
    torch.manual_seed(0)
    model = EfficientNetBN("efficientnet-b0", pretrained=False, in_channels=1, num_classes=1)
    loader = DataLoader(CacheDataset(rows, steps, progress=False), batch_size=BATCH, shuffle=True)

    def loss_of(batch: dict[str, Any]) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(batch["image"])[:, 0], batch["label"].float())

    return _epochs(model, loader, loss_of)


def _epochs(model: nn.Module, loader: DataLoader[Any], loss_of: Callable[[Any], Tensor]) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(EPOCHS):
        started = time.perf_counter()
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            loss_of(batch).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds


def ours(prepared: PreparedSet, val: PreparedSet, maps: LesionMaps, recipe: Recipe, *, bfloat16: bool) -> list[float]:
    """Seconds of every epoch; a few images of validation are in them."""
    torch.manual_seed(0)
    model = create_model("lesion-lite0", in_chans=1, input_size=prepared.images.shape[1])
    followed = replace(recipe, epochs=EPOCHS, bfloat16=bfloat16, frozen_stages=0, sizes=(1.0,), batch_size=BATCH)
    result = fit(model, prepared, val, followed, lesions=maps, random_state=0)
    return [line.seconds for line in result.history]


@contextmanager
def prepared_films(n: int) -> Iterator[tuple[PreparedSet, PreparedSet, LesionMaps, Recipe]]:
    """n training films, half of them fractured, 32 of validation, their lesion maps, and the recipe."""
    task = load_task(TASK)
    recipe = load_recipe("best", task)
    recipe = replace(recipe, prepare={**recipe.prepare, "size": 224, "channels": 1})
    manifest = load_data(data_folder() / TASK / "manifest.csv", task=task)
    train, val = (_half_and_half(manifest.split(name), count) for name, count in (("train", n), ("val", 32)))
    spec = prepare_spec_of(task, recipe)
    with tempfile.TemporaryDirectory() as folder:
        sets = [prepared_cache(part, spec, folder=Path(folder), on_bad="raise") for part in (train, val)]
        yield sets[0], sets[1], lesion_maps(train, sets[0].rows, spec), recipe


def _half_and_half(manifest: Manifest, n: int) -> Manifest:
    by_label = [[row for row in manifest.rows if row.label == label][: n // 2] for label in (0, 1)]
    return Manifest(tuple(by_label[0] + by_label[1]), manifest.folder)


def main() -> None:
    """Each loop once, in one run; the median epoch counts."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    with prepared_films(n) as (train, val, maps, recipe):
        seconds = {
            "secondread, as shipped (bfloat16 where the processor gains by it)": ours(
                train, val, maps, recipe, bfloat16=True
            ),
            "secondread, float32": ours(train, val, maps, recipe, bfloat16=False),
            "MONAI, EfficientNet-B0, no lesions": monai_loop(train, recipe),
            "plain PyTorch, the same network": plain_loop(train, maps, recipe),
        }
    speeds = {name: round(len(train) / statistics.median(each), 1) for name, each in seconds.items()}
    first = next(iter(speeds))
    table = {
        "what": f"{EPOCHS} epochs of {len(train)} films of 224 pixels, batches of {BATCH}, both cores",
        "images_a_second": speeds,
        "times_as_fast_as": {name: round(speeds[first] / speed, 2) for name, speed in speeds.items() if name != first},
    }
    save("lesion_epochs", table)


if __name__ == "__main__":
    main()
