"""A small data set of phantoms and a network trained on it: made once, used by many tests."""

import csv
from pathlib import Path

import numpy as np

from tests.phantoms import chest_phantom, encode

SPLITS = {"train": 48, "val": 24, "test": 24}


def write_phantom_data(folder: Path, *, counts: dict[str, int] = SPLITS, size: int = 128) -> Path:
    """Chest phantoms, every second one with a lesion, and their manifest. Returns the manifest's path."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows, number = [], 0
    for split, count in counts.items():
        for _ in range(count):
            label = number % 2
            picture = film(size, number, disease=bool(label))
            name = f"images/{number:04d}.png"
            (folder / name).write_bytes(encode(picture, "PNG"))
            rows.append(
                {
                    "path": name,
                    "label": label,
                    "source": f"site{number % 3}",
                    "patient": f"p{number // 4}{split}",
                    "split": split,
                }
            )
            number += 1
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def film(size: int, random_state: int, *, disease: bool) -> np.ndarray:
    """A chest phantom; disease is a large opacity, plain enough for the paper's network and 48 images."""
    picture = chest_phantom(size, random_state=random_state).astype(int)
    if disease:
        picture[size // 4 : size // 2, size // 5 : size // 2] += 90
    return picture.clip(0, 255).astype(np.uint8)
