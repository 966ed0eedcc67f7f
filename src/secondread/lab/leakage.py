"""A split that leaks, made on purpose: to show how far copies of one image on both sides of it lift the numbers."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from secondread.data import Manifest, Row
from secondread.errors import CannotOpen, UsageError
from secondread.files import write_bytes
from secondread.images import decode, encode_png, to_display

_SIDE = 384  # pixels of the longer side of a copy: as large as the web collections that are full of such copies
_SPLITS, _FRACTIONS = ("train", "val", "test"), (0.7, 0.1, 0.2)
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def leaking_manifest(manifest: Manifest, *, copies: int, random_state: int, folder: Path) -> Manifest:
    """The `train` images with `copies` variants of each, written to `folder`, and split image by image.

    Variants are what such collections hold: mirrored, turned by right or small angles, other contrast (Br35H's 3,000
    images are about 465 clusters of them). No row says which images belong together, as none does there; a row's note
    names its original. Only `train` is used, so that the honest `test` split stays unseen.
    Raises UsageError if there are too many copies, CannotOpen if the folder cannot be written.
    """
    rng = np.random.default_rng(random_state)
    rows = [copy for row in manifest.split("train").rows for copy in _copies(row, copies, rng, folder)]
    ends = np.round(np.cumsum(_FRACTIONS) * len(rows)).astype(int)
    places = np.searchsorted(ends, rng.permutation(len(rows)), side="right")
    split = tuple(replace(row, split=_SPLITS[place]) for row, place in zip(rows, places, strict=True))
    return Manifest(split, folder)


def unseen_folds(leaking: Manifest, groups: Mapping[str, str], *, folds: int, random_state: int) -> Iterator[Manifest]:
    """The leaking split without its leak, in `folds` parts: together their test rows are those of `leaking`, each once.

    groups: original (a row's note) → what must stay together. A fold trains on as many images as `leaking` does, of
    other groups than the fold's: drawn from all of its images, as a copy in `leaking`'s test is nobody's test here.
    """
    rng = np.random.default_rng(random_state)
    names = sorted(set(groups.values()))
    fold_of = dict(zip(rng.permutation(names).tolist(), (number % folds for number in range(len(names))), strict=True))
    places = [fold_of[groups[row.note]] for row in leaking.rows]
    n_train = len(leaking.split("train"))
    for fold in range(folds):
        test = [row for row, place in zip(leaking.rows, places, strict=True) if place == fold and row.split == "test"]
        others = [row for row, place in zip(leaking.rows, places, strict=True) if place != fold]
        val = [row for row in others if row.split == "val"]
        free = [row for row in others if row.split != "val"]
        chosen = rng.permutation(len(free))[:n_train]
        train = [replace(free[number], split="train") for number in np.sort(chosen)]
        yield Manifest((*train, *val, *test), leaking.folder)


def share_leaked(manifest: Manifest) -> float:
    """Of the test images, how many have a variant of the same original in train."""
    seen = {row.note for row in manifest.split("train").rows}
    test = manifest.split("test").rows
    return sum(row.note in seen for row in test) / len(test)


def _copies(row: Row, copies: int, rng: np.random.Generator, folder: Path) -> list[Row]:
    if not 1 <= copies <= len(_CHANGES):
        raise UsageError(f"{copies} copies of each image cannot be made; give 1 to {len(_CHANGES)}")
    pixels = to_display(decode(row.path.read_bytes()), longest_side=_SIDE)
    names = ["original", *rng.permutation(sorted(_CHANGES))[:copies]]
    pictures = [pixels, *(_CHANGES[name](pixels, rng) for name in names[1:])]
    stem = hashlib.blake2b(row.name.encode(), digest_size=8).hexdigest()
    made = []
    for name, picture in zip(names, pictures, strict=True):
        path = folder / f"{stem}-{name}.png"
        _write(path, encode_png(np.ascontiguousarray(picture)))
        made.append(replace(row, path=path, name=path.name, patient="", group="", mask=None, note=row.name))
    return made


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
    except OSError as error:
        raise CannotOpen(f"cannot write '{path}': {error.strerror}; name another folder") from error


def _turned(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    degrees = float(rng.uniform(3, 12) * rng.choice([-1, 1]))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _other_contrast(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor = float(rng.choice([rng.uniform(0.7, 0.9), rng.uniform(1.1, 1.3)]))
    middle = float(pixels.mean())
    return np.round(np.clip((pixels - middle) * factor + middle, 0, 255)).astype(np.uint8)


_CHANGES: dict[str, Change] = {
    "mirrored": lambda pixels, rng: pixels[:, ::-1],
    "upside-down": lambda pixels, rng: pixels[::-1],
    "half-turn": lambda pixels, rng: pixels[::-1, ::-1],
    "quarter-turn-left": lambda pixels, rng: np.rot90(pixels, 1),
    "quarter-turn-right": lambda pixels, rng: np.rot90(pixels, 3),
    "turned": _turned,
    "contrast": _other_contrast,
}
