"""Batches for training: shuffled and augmented on another thread while the network learns from the last one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import cv2
import numpy as np

from secondread.data import PreparedSet
from secondread.training.augment import augment
from secondread.training.looks import paste_pieces
from secondread.training.prepare import LesionMaps
from secondread.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")

_AHEAD = 3  # batches made before they are asked for


class Batch(NamedTuple, Generic[Array]):
    """What one step learns from: arrays, or tensors on the device."""

    images: Array  # float32 (batch, channels, size, size) in 0–1
    labels: Array  # float32 (batch,); between 0 and 1 where images were mixed
    label_weights: Array | None = None  # float32 (batch,); 0 where the label does not count
    priors: Array | None = None  # float32 (batch,), log odds: what an image's source alone says of its label
    lesions: Array | None = None  # float32 (batch, size, size) in 0–1: covered by a lesion
    lesion_known: Array | None = None  # bool (batch,)
    boxes: Array | None = None  # float32 (batch, most, 4) in pixels of the images: left, top, right, bottom; else NaN
    boxes_known: Array | None = None  # bool (batch,)


def epoch_batches(
    prepared: PreparedSet,
    images: np.ndarray,
    recipe: Recipe,
    *,
    rng: np.random.Generator,
    lesions: LesionMaps | None = None,
    n_labelled: int | None = None,
    priors: np.ndarray | None = None,
    size: int | None = None,
) -> Iterator[Batch[np.ndarray]]:
    """One epoch. The same generator gives the same batches, since they are made in turn by one thread.

    images: those of `prepared`, perhaps with fewer channels. n_labelled: only the first so many count by their labels.
    priors: see `source_priors`.
    size: pixels of the batches' images, if not their own.
    """
    pieces = epoch_pieces(prepared, recipe, rng=rng)

    def make(piece: np.ndarray) -> Batch[np.ndarray]:
        covers = None if lesions is None else lesions.pixels(piece)
        chosen, labels = images[piece], prepared.labels[piece].astype(np.float32)
        if recipe.paste and lesions is not None and covers is not None:
            labels[paste_pieces(chosen, covers, lesions.known[piece], recipe, rng=rng)] = 1
        pixels = _resized(augment(chosen, recipe, rng=rng, lesions=covers), size)
        batch = Batch(_to_float(pixels), labels)
        if n_labelled is not None:
            batch = batch._replace(label_weights=(piece < n_labelled).astype(np.float32))
        if priors is not None:
            batch = batch._replace(priors=priors[piece])
        if lesions is not None and covers is not None:
            covers = _resized(covers, size).astype(np.float32) / 255
            batch = batch._replace(lesions=covers, lesion_known=lesions.known[piece])
        return _mixed(batch, recipe, rng) if recipe.mixup or recipe.cutmix else batch

    waiting: deque[Future[Batch[np.ndarray]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as maker:
        for piece in pieces:
            waiting.append(maker.submit(make, piece))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def epoch_pieces(prepared: PreparedSet, recipe: Recipe, *, rng: np.random.Generator) -> list[np.ndarray]:
    """The numbers of the images of every batch of an epoch.

    All of them once; or, where sources are balanced, as many draws, each source as likely as any other.
    """
    n = len(prepared.labels)
    if recipe.balance_sources:
        _, places, counts = np.unique([row.source for row in prepared.rows], return_inverse=True, return_counts=True)
        order = rng.choice(n, size=n, p=1 / (len(counts) * counts[places]))
    else:
        order = rng.permutation(n)
    return [order[start : start + recipe.batch_size] for start in range(0, n, recipe.batch_size)]


def without_copies(images: np.ndarray) -> np.ndarray:
    """Grey images stored as three equal channels, as one: a third of the work, and nothing is lost."""
    if images.shape[3] == 3 and (images[..., :1] == images).all():
        return np.ascontiguousarray(images[..., :1])
    return np.array(images)


def _to_float(pixels: np.ndarray) -> np.ndarray:
    return np.multiply(pixels.transpose(0, 3, 1, 2), np.float32(1 / 255), order="C")


def _resized(pixels: np.ndarray, size: int | None) -> np.ndarray:
    if size is None or pixels.shape[1] == size:
        return pixels
    smaller = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in pixels]
    return np.stack(smaller).reshape(len(pixels), size, size, *pixels.shape[3:])


def _mixed(batch: Batch[np.ndarray], recipe: Recipe, rng: np.random.Generator) -> Batch[np.ndarray]:
    """Every image mixed with another of the batch: blended, or with a rectangle of it pasted in."""
    partner = rng.permutation(len(batch.images))
    cut = recipe.cutmix and (not recipe.mixup or rng.random() < 0.5)
    alpha = recipe.cutmix if cut else recipe.mixup
    share = rng.beta(alpha, alpha)  # of the partner
    by = _rectangle(batch.images.shape[-1], share, rng) if cut else np.full((1, 1), share, dtype=np.float32)
    share = float(by.mean())  # the rectangle may have been cut off
    mixed = Batch(_mix(batch.images, partner, by), _mix(batch.labels, partner, np.float32(share)))
    if batch.label_weights is not None:
        mixed = mixed._replace(label_weights=batch.label_weights * batch.label_weights[partner])
    if batch.priors is not None:
        mixed = mixed._replace(priors=_mix(batch.priors, partner, np.float32(share)))
    if batch.lesions is not None and batch.lesion_known is not None:
        known = batch.lesion_known & batch.lesion_known[partner]
        mixed = mixed._replace(lesions=_mix(batch.lesions, partner, by), lesion_known=known)
    return mixed


def _mix(values: np.ndarray, partner: np.ndarray, by: np.ndarray | np.float32) -> np.ndarray:
    return values * (1 - by) + values[partner] * by


def _rectangle(size: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """float32 (size, size): 1 inside a rectangle of that share of the area, cut off at the border."""
    half = size * np.sqrt(share) / 2
    x, y = rng.random(2) * size
    inside = np.zeros((size, size), dtype=np.float32)
    inside[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)] = 1
    return inside
