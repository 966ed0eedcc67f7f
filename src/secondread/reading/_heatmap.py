"""A class-activation map and its place on the image it came from."""

from dataclasses import dataclass

import cv2
import numpy as np

from secondread.images import Image, blend, encode_png, place_map, to_display
from secondread.images._prepare import Box


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where in the image the answer came from. It shows what the model used, not where disease is.

    values: float32 (rows, columns), the model's own coarse map; above 0 speaks for the positive class.
    box: the part of the image that the map covers, in pixels of the image.
    width, height: of the image.
    """

    values: np.ndarray
    box: Box
    width: int
    height: int

    def strength(self, *, longest_side: int | None = None) -> np.ndarray:
        """float32 in 0–1 (height, width) of the image, or shrunk so that no side exceeds `longest_side`.

        The strongest cell that speaks for the positive class is 1; cells that speak against it are 0.
        """
        scale = 1.0 if longest_side is None else min(1.0, longest_side / max(self.width, self.height))
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        x0, y0, x1, y1 = (side * scale for side in self.box)
        towards = np.maximum(self.values, 0)
        top = float(towards.max())
        return place_map(towards / top if top > 0 else towards, (x0, y0, x1, y1), width=width, height=height)

    def overlay_png(self, *, longest_side: int = 512) -> bytes:
        """A PNG to lay over the image: colour map inferno (perceptually uniform), opaque where the map is strong."""
        return overlay_of(np.round(self.strength(longest_side=longest_side) * 255).astype(np.uint8))

    def blended_png(self, image: Image, *, longest_side: int = 1024) -> bytes:
        """The image with this map laid over it, as one PNG to look at."""
        pixels = to_display(image, longest_side=longest_side)
        return encode_png(blend(pixels, self.strength(longest_side=longest_side)))


def overlay_of(levels: np.ndarray) -> bytes:
    """The overlay of a map that was kept as grey levels: uint8 (height, width), 0 nothing, 255 strongest."""
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return encode_png(np.dstack([colours, levels]))
