"""The score on its scale, as the report draws it."""

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import Flowable

from secondread.service.outcomes import StoredReading
from secondread.service.pdf_style import COLOURS, GREY, RULE, font
from secondread.stats.scale import marks

_BAR_HEIGHT, _BAR, _BASE = 15 * mm, 3 * mm, 5 * mm
_BAND = HexColor(0xEBD98F)

_APART = 6  # points of the scale


class ScoreBar(Flowable):
    """The scale from 0 to 100, as wide as the page, with what begins where. Only for a reading that has a score."""

    def __init__(self, reading: StoredReading, width: float):
        super().__init__()
        assert reading.score is not None
        self.reading = reading
        self.score = reading.score
        self.width, self.height = width, _BAR_HEIGHT

    def draw(self) -> None:
        """Scale, band, threshold, and the reading's place."""
        canvas = self.canv
        canvas.setFillColor(RULE)
        canvas.rect(0, _BASE, self.width, _BAR, stroke=0, fill=1)
        if self.reading.threshold is not None:
            self._marks(*marks(self.reading.threshold, self.reading.low))
        self._end(0, "0")
        self._end(100, "100")
        x = self.width * self.score / 100
        canvas.setFillColor(COLOURS[self.reading.decision])
        canvas.circle(x, _BASE + _BAR / 2, 1.8 * mm, stroke=0, fill=1)
        canvas.setFont(font(bold=True), 11)
        text = str(self.score)
        half = canvas.stringWidth(text, font(bold=True), 11) / 2
        canvas.drawCentredString(min(max(x, half), self.width - half), _BASE + _BAR + 2.2 * mm, text)

    def _marks(self, uncertain: int | None, positive: int) -> None:
        canvas = self.canv
        if uncertain is not None:
            canvas.setFillColor(_BAND)
            canvas.rect(
                self.width * uncertain / 100, _BASE, self.width * (positive - uncertain) / 100, _BAR, stroke=0, fill=1
            )
        canvas.setStrokeColor(GREY)
        canvas.setLineWidth(1)
        places = sorted({mark for mark in (uncertain, positive) if mark is not None})
        for mark in places:
            x = self.width * mark / 100
            canvas.line(x, _BASE - 1 * mm, x, _BASE + _BAR + 1 * mm)
        # Two marks side by side are told together, since their numbers would lie on each other.
        if len(places) > 1 and places[1] - places[0] < _APART:
            self._end(sum(places) / 2, f"{places[0]} – {places[1]}")
        else:
            for mark in places:
                self._end(mark, str(mark))

    def _end(self, at: float, text: str) -> None:
        """A number under the scale, left out where it would lie on the one at an end."""
        canvas = self.canv
        canvas.setFont(font(), 7.5)
        canvas.setFillColor(GREY)
        half = canvas.stringWidth(text, font(), 7.5) / 2
        x = min(max(self.width * at / 100, half), self.width - half)
        if at in (0, 100) or 3 * mm + half < x < self.width - 6 * mm - half:
            canvas.drawCentredString(x, 0.8 * mm, text)
