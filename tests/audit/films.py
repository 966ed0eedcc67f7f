"""Films that differ as patients do, and the ways in which copies of them get into collections."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from secondread.testing.phantoms import chest_phantom, encode

SIDE = 128  # pixels

Files = dict[str, tuple[bytes, dict[str, str]]]  # path → content, and what the manifest says of it


def film(random_state: int, *, size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """A chest phantom with structure of its own: plain phantoms are as alike as copies, patients are not."""
    rng = np.random.default_rng(10_000 + random_state)
    own = cv2.resize(rng.normal(0, 1, (20, 20)), size[::-1], interpolation=cv2.INTER_CUBIC)
    broad = cv2.resize(rng.normal(0, 1, (6, 6)), size[::-1], interpolation=cv2.INTER_CUBIC)
    picture = 0.7 * chest_phantom(size, random_state=random_state) + 22 * own + 18 * broad + 20
    return np.clip(picture, 0, 230).astype(np.uint8)


def turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about its middle; corners that come into view are black."""
    height, width = pixels.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(pixels, turn, (width, height))


def _png(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], bytes]:
    return lambda pixels: encode(np.ascontiguousarray(change(pixels)), "PNG")


COPIES: dict[str, Callable[[np.ndarray], bytes]] = {  # what was done → the file of the copy
    "exact": _png(lambda pixels: pixels),
    "same pixels": lambda pixels: encode(pixels, "BMP"),
    "flipped": _png(lambda pixels: pixels[:, ::-1]),
    "upside down": _png(lambda pixels: pixels[::-1]),
    "turned 90": _png(np.rot90),
    "turned 180": _png(lambda pixels: np.rot90(pixels, 2)),
    "turned 270": _png(lambda pixels: np.rot90(pixels, 3)),
    "transposed": _png(np.transpose),
    "transposed back": _png(lambda pixels: np.rot90(pixels, 2).T),
    "turned 7": _png(lambda pixels: turned(pixels, 7)),
    "turned -10": _png(lambda pixels: turned(pixels, -10)),
    "flipped and turned 5": _png(lambda pixels: turned(np.ascontiguousarray(pixels[:, ::-1]), 5)),
    "halved": _png(lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "enlarged": _png(lambda pixels: cv2.resize(pixels, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC)),
    "recompressed": lambda pixels: encode(pixels, "JPEG", quality=30),
    "brightened": _png(lambda pixels: np.clip(pixels * 1.15 + 25, 0, 255).astype(np.uint8)),
    "flat contrast": _png(lambda pixels: (pixels * 0.6 + 50).astype(np.uint8)),
}


def clean_files(n: int) -> Files:
    """n films with labels in turn, the last third of them the test split; nothing is wrong with them."""
    files: Files = {}
    for number in range(n):
        facts = {"label": str(number % 2), "split": "train" if number < 2 * n // 3 else "test", "patient": f"p{number}"}
        files[f"images/{number:03d}.png"] = (encode(film(number), "PNG"), facts)
    return files


def write_files(folder: Path, files: Files) -> Path:
    """The files and their manifest; returns the manifest's path."""
    columns = ("path", "label", "source", "patient", "group", "split")
    for name, (content, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    table = folder / "manifest.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({"path": name, **facts} for name, (_, facts) in files.items())
    return table
