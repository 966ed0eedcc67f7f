"""Augmentation of whole batches of prepared images, in their own uint8: one interpolation for all that moves pixels."""

import cv2
import numpy as np
from skimage.exposure import match_histograms

from secondread.training.looks import change_local_contrast, coarsen, mix_amplitudes
from secondread.training.recipe import Recipe

_MOVES = {"rotation", "horizontal_flip", "vertical_flip"}
_GREYS = np.arange(256, dtype=np.float64)


def augment(
    images: np.ndarray, recipe: Recipe, *, rng: np.random.Generator, lesions: np.ndarray | None = None
) -> np.ndarray:
    """Each image of the batch changed at random, as the recipe says.

    images: uint8 (batch, size, size, channels) → a new array of the same shape and type.
    lesions: uint8 (batch, size, size), moved in place with their images.
    """
    chosen = set(recipe.augmentations)
    draws = rng.random((len(images), 5))  # angle, two flips, contrast, blur: the same whatever is chosen
    more = rng.random((len(images), 10)) if _goes_beyond_the_paper(recipe) else None
    looks = rng.random((len(images), 5)) if recipe.coarsest or recipe.local_contrast or recipe.fourier else None
    donors = rng.integers(len(images), size=len(images)) if recipe.tones or recipe.fourier else None
    out = np.empty_like(images)
    for index, (image, draw) in enumerate(zip(images, draws, strict=True)):
        extra = None if more is None else more[index]
        if donors is not None and recipe.tones and rng.random() < recipe.tones:
            # before anything moves, while neither has corners that were never exposed
            image = np.round(match_histograms(image, images[donors[index]])).astype(np.uint8)
        if looks is not None:
            donor = image if donors is None else images[donors[index]]
            image = _change_looks(image, donor, looks[index], recipe)
        if chosen & _MOVES or recipe.zoom or recipe.shift:
            matrix = _movement(image.shape[0], draw[:3], extra, chosen, recipe)
            image = _warp(image, matrix)
            if lesions is not None and lesions[index].any():
                lesions[index] = _warp(lesions[index], matrix)
        if "contrast" in chosen:
            image = _change_contrast(image, draw[3], recipe.contrast)
        if extra is not None:
            image = _change_tone(image, extra[4:], recipe, rng)
        if "gaussian_blur" in chosen and draw[4] < recipe.blur_share:
            image = cv2.GaussianBlur(image, (5, 5), recipe.blur_sigma)
        out[index] = image.reshape(out[index].shape)
    return out


def _goes_beyond_the_paper(recipe: Recipe) -> bool:
    return bool(recipe.zoom or recipe.shift or recipe.gamma or recipe.noise or recipe.erase)


def _movement(size: int, draw: np.ndarray, extra: np.ndarray | None, chosen: set[str], recipe: Recipe) -> np.ndarray:
    """(2, 3) matrix: a flip of either axis, zoom, then a rotation about the centre and a shift."""
    angle = np.radians((2 * draw[0] - 1) * recipe.rotation_degrees) if "rotation" in chosen else 0.0
    flip_x = -1.0 if "horizontal_flip" in chosen and draw[1] < 0.5 else 1.0
    flip_y = -1.0 if "vertical_flip" in chosen and draw[2] < 0.5 else 1.0
    shift_x = shift_y = 0.0
    if extra is not None:
        scale = 1.0 if recipe.zoom is None else _between(recipe.zoom, extra[0])
        ratio = recipe.stretch ** (extra[1] - 0.5)
        flip_x, flip_y = flip_x * scale * ratio, flip_y * scale / ratio
        shift_x, shift_y = (2 * extra[2:4] - 1) * recipe.shift * size
    cos, sin, centre = np.cos(angle), np.sin(angle), (size - 1) / 2
    a, b, c, d = flip_x * cos, -flip_y * sin, flip_x * sin, flip_y * cos
    # written out: as a product of small arrays it takes as long as a third of the interpolation
    return np.array([[a, b, centre - (a + b) * centre + shift_x], [c, d, centre - (c + d) * centre + shift_y]])


def _warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Black where nothing was."""
    return cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_LINEAR)


def _change_contrast(image: np.ndarray, draw: float, factors: tuple[float, float]) -> np.ndarray:
    """Grey values drawn nearer to the image's own mean, or farther from it; a table of 256 does it."""
    mean = sum(cv2.mean(image)) / (1 if image.ndim == 2 else image.shape[2])
    return _look_up(image, (_GREYS - mean) * _between(factors, draw) + mean)


def _change_tone(image: np.ndarray, draw: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Gamma, noise and an erased rectangle: what another scanner, another dose or a marker on the film would change."""
    if recipe.gamma:
        exponent = np.exp(_between((np.log(recipe.gamma[0]), np.log(recipe.gamma[1])), draw[0]))
        image = _look_up(image, 255 * (_GREYS / 255) ** exponent)
    if recipe.noise:
        spread = rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(recipe.noise * draw[1])
        image = np.clip(image + (spread if image.ndim == 2 else spread[..., None]), 0, 255).astype(np.uint8)
    if recipe.erase:
        size = image.shape[0]
        width, height = (int(recipe.erase * size * share) for share in draw[2:4])
        x, y = int(draw[4] * (size - width)), int(draw[5] * (size - height))
        image = image.copy()
        image[y : y + height, x : x + width] = image.mean()
    return image


def _change_looks(image: np.ndarray, donor: np.ndarray, draw: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Detail, local contrast and texture: what the film's way through scanners and file formats would change."""
    if recipe.coarsest and draw[0] < 0.5:
        image = coarsen(image, _between((recipe.coarsest, 1.0), draw[1]))
    if recipe.local_contrast:
        image = change_local_contrast(image, (2 * draw[2] - 1) * recipe.local_contrast)
    if recipe.fourier and draw[3] < 0.5:
        image = mix_amplitudes(image, donor, recipe.fourier * draw[4])
    return image


def _look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    return cv2.LUT(image, table.round().clip(0, 255).astype(np.uint8))


def _between(limits: tuple[float, float], draw: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * draw
