"""A reading drawn into axes of matplotlib; `Reading` imports this when it is asked to, so it is not named here."""

from typing import TYPE_CHECKING, Any

from secondread.errors import ExtraMissing, UsageError
from secondread.reading.heatmap import CAVEAT
from secondread.reading.notebook import plain_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = "#ffd166"  # as on the pages
_MOST = 1024  # pixels of the longest side: more is not seen in a figure


def plot_reading(reading: Any, ax: "Axes | None", *, heatmap: bool, boxes: bool) -> "Axes":
    """See `Reading.plot`. Raises ExtraMissing, and UsageError for a reading that holds neither picture nor map."""
    try:
        from matplotlib import pyplot
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise ExtraMissing.of("plotting", "train") from error
    pixels, found = plain_picture(reading, longest_side=_MOST), reading.heatmap
    if pixels is None and found is None:
        raise UsageError("this reading holds no picture; read the image again with `read`, or with keep_image=True")
    axes = pyplot.subplots(figsize=(5, 5))[1] if ax is None else ax
    width, height = _size(reading, pixels)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)  # pixels of the image, as boxes are
    if pixels is not None:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
    if found is not None and (heatmap or pixels is None):
        strength = found.strength(longest_side=512)
        axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.55 * strength, extent=extent)
        axes.set_xlabel(CAVEAT.replace(", ", ",\n"), fontsize=8)
    for one in (reading.findings or ()) if boxes else ():
        x, y, wide, high = one.box
        axes.add_patch(Rectangle((x, y), wide, high, fill=False, edgecolor=_LINE, linewidth=1.2))
        axes.text(x, y - 2, f"{one.score:.2f}", color=_LINE, fontsize=8, va="bottom")
    axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    axes.set_title(_title(reading), fontsize=10)
    return axes


def _size(reading: Any, pixels: Any) -> tuple[int, int]:
    """Width and height of the image."""
    if reading.heatmap is not None:
        return reading.heatmap.width, reading.heatmap.height
    if reading.image is not None:
        return reading.image.width, reading.image.height
    height, width = pixels.shape[:2]
    return width, height


def _title(reading: Any) -> str:
    if reading.refusal is not None:
        return f"not read: {reading.refusal.code}"
    return f"{reading.decision}, probability {reading.probability:.3f}\n{reading.bundle}"
