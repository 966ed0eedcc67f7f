"""Pixels for a person to look at: previews and encoded pictures."""

import cv2
import numpy as np

from secondread.images._image import Image


def to_display(image: Image, *, longest_side: int = 1024) -> np.ndarray:
    """uint8 (height, width) or (height, width, 3) RGB, shrunk so that no side exceeds `longest_side`."""
    scale = min(1.0, longest_side / max(image.width, image.height))
    pixels = image.pixels
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if image.full_scale == 255 and pixels.dtype == np.uint8:
        return pixels
    return np.round(np.clip(pixels.astype(np.float32) / image.full_scale, 0, 1) * 255).astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 (height, width), (height, width, 3) RGB or (height, width, 4) RGBA as a PNG file."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, order[pixels.shape[2]])
    # Level 1: previews are made while someone waits, and cross a local network at most.
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
