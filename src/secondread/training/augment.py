"""Augmentation of whole batches of prepared images, in their own uint8: one interpolation for rotation and flips."""

import cv2
import numpy as np

from secondread.training.recipes import Recipe

_MOVES = {"rotation", "horizontal_flip", "vertical_flip"}


def augment(images: np.ndarray, recipe: Recipe, *, rng: np.random.Generator) -> np.ndarray:
    """Each image of the batch changed at random, as the recipe says.

    images: uint8 (batch, size, size, channels) → a new array of the same shape and type.
    """
    chosen = set(recipe.augmentations)
    draws = rng.random((len(images), 5))  # angle, two flips, contrast, blur: the same whatever is chosen
    out = np.empty_like(images)
    for index, (image, draw) in enumerate(zip(images, draws, strict=True)):
        if chosen & _MOVES:
            image = _move(image, draw[:3], chosen, recipe.rotation_degrees)
        if "contrast" in chosen:
            image = _change_contrast(image, draw[3], recipe.contrast)
        if "gaussian_blur" in chosen and draw[4] < recipe.blur_share:
            image = cv2.GaussianBlur(image, (5, 5), recipe.blur_sigma)
        out[index] = image.reshape(out[index].shape)
    return out


def _move(image: np.ndarray, draw: np.ndarray, chosen: set[str], degrees: float) -> np.ndarray:
    """A flip of either axis, then a rotation about the centre; black where nothing was."""
    angle = np.radians((2 * draw[0] - 1) * degrees) if "rotation" in chosen else 0.0
    flip_x = -1.0 if "horizontal_flip" in chosen and draw[1] < 0.5 else 1.0
    flip_y = -1.0 if "vertical_flip" in chosen and draw[2] < 0.5 else 1.0
    cos, sin, centre = np.cos(angle), np.sin(angle), (image.shape[0] - 1) / 2
    turn = np.array([[flip_x * cos, -flip_y * sin], [flip_x * sin, flip_y * cos]])
    matrix = np.column_stack([turn, centre - turn @ (centre, centre)])
    return cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_LINEAR)


def _change_contrast(image: np.ndarray, draw: float, factors: tuple[float, float]) -> np.ndarray:
    """Grey values drawn nearer to the image's own mean, or farther from it; a table of 256 does it."""
    low, high = factors
    mean = float(image.mean())
    table = (np.arange(256) - mean) * (low + (high - low) * draw) + mean
    return cv2.LUT(image, np.clip(np.round(table), 0, 255).astype(np.uint8))
