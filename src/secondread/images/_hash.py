"""The perceptual hash of a picture: near for pictures that a person would call the same."""

import numpy as np

from secondread.errors import ExtraMissing


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
