"""A reading drawn into axes of matplotlib; `Reading` imports this when it is asked to, so it is not named here."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.errors import ExtraMissing, UsageError
from secondread.images import Image, to_display
from secondread.pages.bars import BLUE
from secondread.reading.heatmap import CAVEAT
from secondread.reading.notebook import plain_picture
from secondread.reading.sources import Source, open_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = "#ffd166"  # as on the pages
_MOST = 1024  # pixels of the longest side: more is not seen in a figure
_BAR = (0.0, -0.075, 1.0, 0.035)  # left, bottom, width and height, in parts of the picture
_ALONE = "The map alone: this reading holds no picture. Give it as plot(image=…)."


def plot_reading(
    reading: Any, ax: "Axes | None", *, image: Source | None, heatmap: bool, boxes: bool, bar: bool
) -> "Axes":
    """See `Reading.plot`."""
    try:
        from matplotlib import pyplot
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise ExtraMissing.of("plotting", "train") from error
    given = None if image is None else _given(reading, image)
    pixels = plain_picture(reading, longest_side=_MOST) if given is None else to_display(given, longest_side=_MOST)
    found = reading.heatmap
    if pixels is None and found is None and reading.refusal is None:
        raise UsageError("this reading holds no picture; give it, as plot(image=path), or read it with keep_image=True")
    axes = pyplot.subplots(figsize=(5, 5.6), layout="constrained")[1] if ax is None else ax
    axes.set(xticks=[], yticks=[])
    axes.set_title(_title(reading), fontsize=10)
    if pixels is None and found is None:
        said = "\n\n".join(textwrap.fill(one, 36) for one in (reading.refusal.message, reading.next_step.message))
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", fontsize=9)
        return axes
    width, height = _size(reading, given, pixels)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)  # pixels of the image, as boxes are
    notes = []
    if pixels is not None:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
    if found is not None and (heatmap or pixels is None):
        strength = found.strength(longest_side=512)
        alpha = None if pixels is None else 0.55 * strength
        axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=alpha, extent=extent)
        notes += [_ALONE] if pixels is None else []
        notes.append(CAVEAT)
    for one in (reading.findings or ()) if boxes else ():
        x, y, wide, high = one.box
        axes.add_patch(Rectangle((x, y), wide, high, fill=False, edgecolor=_LINE, linewidth=1.2))
        axes.text(x, y - 2, f"{one.score:.2f}", color=_LINE, fontsize=8, va="bottom")
    axes.set(xlim=extent[:2], ylim=extent[2:])
    below = _bar(axes, reading) if bar and reading.probability is not None else axes
    below.set_xlabel("\n".join(textwrap.fill(one, 44) for one in notes), fontsize=8)
    return axes


def _bar(axes: "Axes", reading: Any) -> "Axes":
    """The probability, from 0 to 1, with the operating point as marks."""
    marks = [mark for mark in (reading.low, reading.threshold) if mark is not None]
    below = axes.inset_axes(_BAR)
    below.barh(0, reading.probability, color=BLUE)
    for mark in marks:
        below.axvline(mark, color="black", linewidth=1.5)
    below.set(xlim=(0, 1), ylim=(-0.4, 0.4), yticks=[], xticks=marks, xticklabels=[f"{mark:.2f}" for mark in marks])
    below.tick_params(labelsize=8, length=2, pad=1)
    return below


def _given(reading: Any, source: Source) -> Image:
    """The image that was read; of several pictures the one that answered."""
    found = open_source(source, frame=None)
    if not isinstance(found, Image):
        found = found.frame((reading.worst_frame or 1) - 1)
    map_, size = reading.heatmap, (found.width, found.height)
    if map_ is not None and size != (map_.width, map_.height):
        raise UsageError(
            f"this image has {size[0]} × {size[1]} pixels, the one that was read {map_.width} × {map_.height}; "
            "give the one that was read"
        )
    return found


def _size(reading: Any, given: Image | None, pixels: np.ndarray | None) -> tuple[int, int]:
    """Width and height of the image."""
    for one in (given, reading.heatmap, reading.image):
        if one is not None:
            return one.width, one.height
    assert pixels is not None, "a reading without a map is drawn by its picture"
    height, width = pixels.shape[:2]
    return width, height


def _title(reading: Any) -> str:
    if reading.refusal is not None:
        return f"not read: {reading.refusal.code}"
    return f"{reading.decision}, probability {reading.probability:.3f}\n{reading.bundle}"
