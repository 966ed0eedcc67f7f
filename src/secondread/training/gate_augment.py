"""Varies the gate's small pictures as other scanners, exports and hands would."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

_DARK = 8  # level up to which a row or column counts as border
_BRIGHT = (180, 256)  # of film edges and markers
_NOISES = 64  # fields of noise, drawn once: drawing them anew would cost more than all the rest

Vary = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 (side, side, channels) in and out


def vary(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turned, scaled, moved, mirrored; other levels; now and then blurred, edged, marked or noisy."""
    picture = _relevel(_move(picture, rng), rng)
    for share, change in _NOW_AND_THEN:
        if rng.random() < share:
            picture = change(picture, rng)
    return picture


def invert(picture: np.ndarray, *, whole: bool) -> np.ndarray:
    """Bright for dark: the whole square, or what lies inside its black padding."""
    if whole:
        return 255 - picture
    bright = picture.max(axis=2) > _DARK
    y, x = _inside(bright.any(axis=1)), _inside(bright.any(axis=0))
    inverted = picture.copy()
    inverted[y, x] = 255 - inverted[y, x]
    return inverted


def _inside(lines: np.ndarray) -> slice:
    """Padding is equally wide on both sides."""
    at = np.flatnonzero(lines)
    pad = min(at[0], len(lines) - 1 - at[-1]) if len(at) else 0
    return slice(pad, len(lines) - pad)


def _move(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = picture.shape[0]
    angle, mirror = rng.normal(0, 0.1), rng.choice((-1, 1))
    scale, stretch = np.exp(rng.uniform(-0.2, 0.25)), np.exp(rng.uniform(-0.1, 0.1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.diag([mirror * stretch, 1 / stretch])
    centre = np.full(2, (side - 1) / 2)
    shift = centre - matrix @ centre + rng.uniform(-0.08, 0.08, 2) * side
    return cv2.warpAffine(picture, np.column_stack([matrix, shift]), (side, side), flags=cv2.INTER_LINEAR)


def _relevel(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another gamma, gain and offset."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.5, 0.5)) * rng.uniform(0.65, 1.25)
    table = ((levels + rng.uniform(-0.06, 0.06)).clip(0, 1) * 255).astype(np.uint8)
    return cv2.LUT(picture, table)


def _blur(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.8))


def _edge(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One side covered: collimated black, or the bright edge of a film."""
    quarters = int(rng.integers(4))
    turned = np.rot90(picture, quarters).copy()
    turned[: int(rng.uniform(0.02, 0.18) * len(turned))] = 0 if rng.random() < 0.6 else rng.integers(*_BRIGHT)
    return np.ascontiguousarray(np.rot90(turned, -quarters))


def _mark(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bright patch, as large as letters on a film are."""
    marked = picture.copy()
    y, x = rng.integers(0, len(picture) - 2, 2)
    marked[y : y + rng.integers(1, 5), x : x + rng.integers(1, 8)] = rng.integers(*_BRIGHT)
    return marked


def _noise(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    field = _fields(picture.shape)[rng.integers(_NOISES)]
    return np.clip(picture + field * rng.uniform(0, 8), 0, 255).astype(np.uint8)


@cache
def _fields(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((_NOISES, *shape), dtype=np.float32)


_NOW_AND_THEN: tuple[tuple[float, Vary], ...] = ((0.2, _blur), (0.3, _edge), (0.15, _mark), (0.3, _noise))
