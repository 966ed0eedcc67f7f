"""Batches for training: shuffled and augmented on another thread while the network learns from the last one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from secondread.data import PreparedSet
from secondread.training.augment import augment
from secondread.training.recipes import Recipe

_AHEAD = 3  # batches made before they are asked for

Batch = tuple[np.ndarray, np.ndarray]  # float32 (batch, channels, size, size) in 0–1, float32 labels (batch,)


def epoch_batches(
    prepared: PreparedSet, images: np.ndarray, recipe: Recipe, *, rng: np.random.Generator
) -> Iterator[Batch]:
    """One epoch. The same generator gives the same batches, since they are made in turn by one thread.

    images: those of `prepared`, perhaps with fewer channels.
    """
    order = rng.permutation(len(images))
    pieces = [order[start : start + recipe.batch_size] for start in range(0, len(order), recipe.batch_size)]

    def make(piece: np.ndarray) -> Batch:
        pixels = augment(images[piece], recipe, rng=rng).transpose(0, 3, 1, 2)
        return np.multiply(pixels, np.float32(1 / 255), order="C"), prepared.labels[piece].astype(np.float32)

    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(max_workers=1) as maker:
        for piece in pieces:
            waiting.append(maker.submit(make, piece))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def without_copies(images: np.ndarray) -> np.ndarray:
    """Grey images stored as three equal channels, as one: a third of the work, and nothing is lost."""
    if images.shape[3] == 3 and (images[..., :1] == images).all():
        return np.ascontiguousarray(images[..., :1])
    return np.array(images)
