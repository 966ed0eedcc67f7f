"""The picture of a result: the image with heat map and boxes over it, and what it is not for burned into its pixels."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from io import BytesIO

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from secondread.dicom.results.common import answer_in_words
from secondread.dicom.results.findings import Box, boxes_of
from secondread.dicom.results.source import Source
from secondread.images import Image, to_display
from secondread.reading import HeatMap, Region, drawn_over, regions_of

SIDE = 1024  # pixels, longest side of the image; a smaller one is enlarged to LEAST
LEAST = 768
_MAP_SIDE = 512
_MARGIN = 14
_WARNING, _WORDS, _QUIET = (255, 209, 102), (240, 240, 240), (170, 170, 170)  # RGB on black
NOT_FOR_DIAGNOSIS = "NOT FOR DIAGNOSIS"
_WHAT = "secondread is no medical device. This picture assists a qualified reader; the original is in this study."
_MAP = "Colours show what the model used, not where disease is."
_LINES = "Outlines enclose the strongest places of the map; they are no border of a lesion."
_BOXES = "Boxes enclose what the model found; they are no border of a lesion."


def result_picture(
    source: Source, image: Image, heatmap: HeatMap | None, *, moment: datetime, maps_lesions: bool = False
) -> np.ndarray:
    """uint8 (height, width, 3) RGB: a strip of text above, the image with what was found, a strip below.

    image: the frame that answered, decoded. heatmap: its map, where it is to be drawn. moment: when it was read.
    maps_lesions: whether the map names places.
    """
    boxes = boxes_of(source.reading)
    levels = np.zeros((1, 1), np.uint8) if heatmap is None else heatmap.levels(longest_side=_MAP_SIDE)
    regions: Sequence[Region] = [_as_region(box, image) for box in boxes]
    if not boxes and heatmap is not None and maps_lesions:
        regions = regions_of(levels, width=heatmap.width, height=heatmap.height, cell=heatmap.cell)
    pixels = to_display(image, longest_side=SIDE)
    drawn = drawn_over(pixels, levels, regions, width=image.width, least_side=LEAST)
    what = [_MAP] if heatmap is not None else []
    what += [_BOXES if boxes else _LINES] if regions else []
    return _framed(drawn, _above(source, moment), [*what, _WHAT])


def _as_region(box: Box, image: Image) -> Region:
    left, top, right, bottom = (round(side) for side in box.sides)
    outline = ((left, top), (right, top), (right, bottom), (left, bottom))
    area = (right - left) * (bottom - top) / (image.width * image.height)
    return Region((left, top, right - left, bottom - top), outline, box.score, area)


def _above(source: Source, moment: datetime) -> list[str]:
    reading = source.reading
    said = reading.refusal_message or reading.decision_text
    made = f"{reading.bundle or 'secondread'} · {moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
    at = [] if source.frame is None else [f"frame {source.frame} of {source.shown.n_frames}"]
    if len(source.instances) > 1 and source.shown.instance_number is not None:
        at = [f"image {source.shown.instance_number} of a series of {len(source.instances)}"]
    return [answer_in_words(source), *filter(None, [said]), " · ".join([made, *at])]


def _framed(picture: np.ndarray, above: Sequence[str], below: Sequence[str]) -> np.ndarray:
    """The picture between two black strips, as wide as it: text is wrapped, never cut."""
    width = picture.shape[1]
    size = max(14, min(20, width // 42))
    words = [(text, _WORDS, size, False) for text in above]
    quiet = [(text, _QUIET, size - 2, False) for text in below]
    top = _strip(width, [(NOT_FOR_DIAGNOSIS, _WARNING, size + 6, True), *words])
    bottom = _strip(width, [*quiet, (NOT_FOR_DIAGNOSIS, _WARNING, size, True)])
    return np.ascontiguousarray(np.vstack([top, picture, bottom]))


def _strip(width: int, lines: Sequence[tuple[str, tuple[int, int, int], int, bool]]) -> np.ndarray:
    wrapped = [
        (part, colour, _font(size, bold))
        for text, colour, size, bold in lines
        for part in _wrapped(text, _font(size, bold), width - 2 * _MARGIN)
    ]
    height = sum(_height(font) for _, _, font in wrapped) + 2 * _MARGIN
    canvas = PillowImage.new("RGB", (width, height))
    draw, y = ImageDraw.Draw(canvas), _MARGIN
    for text, colour, font in wrapped:
        draw.text((_MARGIN, y), text, fill=colour, font=font)
        y += _height(font)
    return np.asarray(canvas)


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _height(font: ImageFont.FreeTypeFont) -> int:
    return round(1.35 * font.size)


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "NotoSans-Bold.ttf" if bold else "NotoSans-Regular.ttf"
    data = files("secondread.service").joinpath("fonts", name).read_bytes()
    return ImageFont.truetype(BytesIO(data), size, layout_engine=ImageFont.Layout.BASIC)
