"""Changes of how a film looks rather than of what it shows: detail, local contrast, texture, pasted lesions."""

import cv2
import numpy as np

from secondread.training.recipe import Recipe

SURROUNDINGS = 1 / 16  # of the side: how far a pixel's surroundings reach
FEATHER = 1 / 28  # of the side: standard deviation with which the edge of a pasted piece fades


def coarsen(image: np.ndarray, share: float) -> np.ndarray:
    """Shrunk to that share of its side and enlarged again, as a film kept in fewer pixels looks. uint8 (S, S, C)."""
    size = image.shape[0]
    side = max(8, round(size * share))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC).reshape(image.shape)


def change_local_contrast(image: np.ndarray, amount: float) -> np.ndarray:
    """The difference of every pixel from its surroundings, made larger (above 0) or smaller. uint8 (S, S, C)."""
    side = max(2, round(image.shape[0] * SURROUNDINGS))
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    around = cv2.resize(small, image.shape[:2], interpolation=cv2.INTER_LINEAR).reshape(image.shape).astype(np.float32)
    return _to_uint8(image + amount * (image - around))


def mix_amplitudes(image: np.ndarray, donor: np.ndarray, share: float) -> np.ndarray:
    """The amplitudes of all frequencies drawn by that share towards the donor's; the phases, where the anatomy is,
    stay. uint8 (S, S, C). Xu et al., CVPR 2021."""
    own = np.fft.rfft2(image, axes=(0, 1))
    size = np.abs(own)
    mixed = (1 - share) * size + share * np.abs(np.fft.rfft2(donor, axes=(0, 1)))
    turned = own * (mixed / np.maximum(size, 1e-6))
    return _to_uint8(np.fft.irfft2(turned, s=image.shape[:2], axes=(0, 1)))


def paste_pieces(
    images: np.ndarray, covers: np.ndarray, known: np.ndarray, recipe: Recipe, *, rng: np.random.Generator
) -> np.ndarray:
    """Lesions of other images set into images that have none, at the place where they were; bool (B,): who got one.

    images: uint8 (B, S, S, C) and covers: uint8 (B, S, S), both changed in place; known: bool (B,), as in a Batch.
    Every second piece is cut from an image without a lesion, with the outline of one: the mark of the scissors must
    not be what gives a lesion away. Grey values are brought to the mean and spread of the image that takes the piece.
    """
    ill = covers.any(axis=(1, 2))
    givers, healthy = np.flatnonzero(ill), np.flatnonzero(known & ~ill)
    pasted = np.zeros(len(images), dtype=bool)
    if not len(givers):
        return pasted
    originals = images.copy()
    for taker in healthy[rng.random(len(healthy)) < recipe.paste]:
        giver, lesion = rng.choice(givers), rng.random() < 0.5
        content = originals[giver] if lesion else originals[rng.choice(healthy)]
        images[taker] = _blend(images[taker], content, covers[giver])
        if lesion:
            pasted[taker] = True
            covers[taker] = covers[giver]
    return pasted


def _blend(image: np.ndarray, content: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """The content within the outline, and a little beyond, over the image."""
    sigma = FEATHER * image.shape[0]
    soft = cv2.GaussianBlur(outline.astype(np.float32) / 255, (0, 0), sigma)
    share = np.clip(2 * soft, 0, 1)[..., None]
    fitted = (content - content.mean()) / max(1.0, float(content.std())) * image.std() + image.mean()
    return _to_uint8(image * (1 - share) + fitted * share)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
