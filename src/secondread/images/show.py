"""Pixels for a person or a browser to look at, and the hash of how a picture looks."""

import cv2
import numpy as np

from secondread.errors import ExtraMissing
from secondread.images.image import Depth, Image
from secondread.images.values import mapped


def to_display(image: Image, *, longest_side: int = 1024) -> np.ndarray:
    """uint8 (height, width) or (height, width, 3) RGB, shrunk so that no side exceeds `longest_side`."""
    pixels = _shrunk(image.pixels, longest_side)
    if image.full_scale == 255 and pixels.dtype == np.uint8:
        return pixels

    def levels(values: np.ndarray) -> np.ndarray:
        return np.round(np.clip(values.astype(np.float32) / image.full_scale, 0, 1) * 255).astype(np.uint8)

    return mapped(levels, pixels, np.uint8)


def blend(pixels: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """uint8 (height, width, 3) RGB: a picture with a heat map laid over it, in the perceptually uniform inferno.

    pixels: uint8 (height, width) or (height, width, 3) RGB. strength: float32 in 0–1, of any size.
    """
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    strength = cv2.resize(strength, (colour.shape[1], colour.shape[0]))
    levels = np.round(strength * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = 0.55 * strength[:, :, None]
    return np.round(colour * (1 - share) + colours * share).astype(np.uint8)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 (height, width), (height, width, 3) RGB or (height, width, 4) RGBA as a PNG file."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, order[pixels.shape[2]])
    # Made while someone waits, for a local network at most: one filter for all rows takes half the time of trying five.
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    return cv2.imencode(".png", pixels, fast)[1].tobytes()


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """uint8 (height, width) or (height, width, 3) RGB as a JPEG file: a tenth of a PNG, to look at."""
    order = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    return cv2.imencode(".jpg", order, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def encode_depth(depth: Depth, *, longest_side: int) -> bytes:
    """A PNG whose red is the upper and green the lower byte of each level: what a browser can take apart exactly.

    Shrunk so that no side exceeds `longest_side`.
    """
    pixels = _shrunk(depth.pixels, longest_side)
    bgr = np.zeros((*pixels.shape, 3), dtype=np.uint8)
    bgr[:, :, 2], bgr[:, :, 1] = pixels >> 8, pixels & 255
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _shrunk(pixels: np.ndarray, longest_side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(1.0, longest_side / max(width, height))
    if scale == 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def perceptual_hash(pixels: np.ndarray) -> int:
    """64 bits of the picture's coarse frequencies (ImageHash's `phash`); few of them differ between copies.

    pixels: uint8 (height, width). It survives rescaling, compression and contrast, not turning. Raises ExtraMissing.
    """
    try:
        from imagehash import phash
    except ImportError as error:
        raise ExtraMissing.of("finding near duplicates", "train") from error
    from PIL import Image as PillowImage

    bits = phash(PillowImage.fromarray(np.ascontiguousarray(pixels))).hash
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")
